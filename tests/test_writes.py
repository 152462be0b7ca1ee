"""The options of every write: dry run, idempotency key, precondition, audit reason."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from apps import API, client_of, client_with, problem, said
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from shardapi import ShardApp, clock, create_app, writes
from shardapi.config import load
from shardapi.store import one, rows
from shardapi.testing import Server

NETS = f"{API}/nets"
KEPT = {"Idempotency-Key": "first"}


def audited(app: ShardApp) -> list[tuple[Any, ...]]:
    """The audit as it is on disk: method, path, status, dry run, reason, request id."""
    return app.shard.store.read(
        lambda: rows("SELECT method, path, status, dry_run, reason, request_id FROM audit ORDER BY id")
    )


def kept(app: ShardApp) -> int:
    """How many answers are kept."""
    return int(app.shard.store.read(lambda: one("SELECT count(*) FROM idempotency"))[0])


def everything(app: ShardApp) -> dict[str, list[Any]]:
    """All rows of the store but the audit's."""

    def read() -> dict[str, list[Any]]:
        names = [name for (name,) in rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: rows(f"SELECT * FROM {name}") for name in names if name not in ("audit", "sqlite_sequence")
        }

    return app.shard.store.read(read)


# -- Idempotency-Key


def test_a_repeat_is_answered_as_before_and_does_nothing(app: ShardApp, client: FlaskClient) -> None:
    first = client.post(NETS, json={"name": "Strike"}, headers=KEPT)
    again = client.post(NETS, json={"name": "Strike"}, headers=KEPT)
    assert "Idempotent-Replayed" not in first.headers and again.headers["Idempotent-Replayed"] == "true"
    assert first.data == again.data and said(again)["changed"]
    assert len(app.shard.guild.nets) == 1 and app.shard.guild.version == 1


def test_a_replay_has_a_request_id_and_limits_of_its_own(client: FlaskClient) -> None:
    first = client.post(NETS, json={"name": "Strike"}, headers=KEPT)
    again = client.post(NETS, json={"name": "Strike"}, headers={**KEPT, "X-Request-Id": "mine"})
    assert again.headers["X-Request-Id"] == "mine"
    left = "X-RateLimit-Remaining"
    assert int(again.headers[left]) == int(first.headers[left]) - 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/nets", {"name": "Other"}),
        ("POST", "/nets?x=1", {"name": "Strike"}),
        ("POST", "/operation", {"name": "Strike"}),
        ("DELETE", "/nets/1", None),
    ],
)
def test_the_key_of_another_request_is_refused(
    client: FlaskClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    said(client.post(NETS, json={"name": "Strike"}, headers=KEPT))
    problem(client.open(API + path, method=method, json=body, headers=KEPT), "idempotency_mismatch")


def test_each_owner_key_has_idempotency_keys_of_its_own(app: ShardApp, client: FlaskClient) -> None:
    other = client_of(app)
    uids = {said(who.post(NETS, json={"name": "Strike"}, headers=KEPT))["netUid"] for who in (client, other)}
    assert len(uids) == 2


def test_a_replay_needs_the_scope_too(app: ShardApp) -> None:
    writer = client_of(app, "write:nets")
    said(writer.post(NETS, json={"name": "Strike"}, headers=KEPT))
    (key,) = app.shard.keys.all()
    app.shard.store.execute(
        lambda: one("UPDATE api_key SET scopes = '[\"read:status\"]' WHERE id = ?", (key.id,))
    )
    app.shard.keys.reload()
    problem(writer.post(NETS, json={"name": "Strike"}, headers=KEPT), "missing_scope")


def test_a_refusal_is_not_kept(app: ShardApp, client: FlaskClient) -> None:
    body = {"netId": 1, "name": "Air"}
    problem(client.post(f"{NETS}/rename", json=body, headers=KEPT), "net_not_found")
    said(client.post(NETS, json={"name": "Strike"}))
    assert said(client.post(f"{NETS}/rename", json=body, headers=KEPT))["changed"]
    assert kept(app) == 1


def test_what_was_so_already_is_kept_too(app: ShardApp, client: FlaskClient) -> None:
    first = client.post(f"{API}/operation", json={"open": False}, headers=KEPT)
    assert said(first)["changed"] is False
    said(client.post(f"{API}/operation", json={"open": True}))
    assert client.post(f"{API}/operation", json={"open": False}, headers=KEPT).data == first.data
    assert app.shard.guild.operation_open


def test_a_dry_run_is_neither_kept_nor_replayed(app: ShardApp, client: FlaskClient) -> None:
    said(client.post(f"{NETS}?dryRun=true", json={"name": "Strike"}, headers=KEPT))
    assert kept(app) == 0
    said(client.post(NETS, json={"name": "Strike"}, headers=KEPT))
    dry = client.post(f"{NETS}?dryRun=true", json={"name": "Strike"}, headers=KEPT)
    assert said(dry)["dryRun"] is True and "Idempotent-Replayed" not in dry.headers


def test_reads_know_no_idempotency_key(app: ShardApp, client: FlaskClient) -> None:
    said(client.get(f"{API}/status", headers=KEPT))
    said(client.get(f"{API}/features", headers=KEPT))
    assert kept(app) == 0


def test_an_answer_is_replayed_for_a_day(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first, began = client.post(NETS, json={"name": "Strike"}, headers=KEPT), clock.now()
    monkeypatch.setattr(clock, "now", lambda: began + 86_300_000)
    assert client.post(NETS, json={"name": "Strike"}, headers=KEPT).data == first.data
    monkeypatch.setattr(clock, "now", lambda: began + 86_500_000)
    assert said(client.post(NETS, json={"name": "Strike"}, headers=KEPT))["netId"] == 2


def test_a_run_in_progress_is_refused_until_it_is_over(app: ShardApp, client: FlaskClient) -> None:
    release = threading.Event()
    gevent.spawn(app.shard.store.execute, release.wait)
    gevent.sleep(0)  # now the store's writing thread is held up
    first = gevent.spawn(client.post, NETS, json={"name": "Strike"}, headers=KEPT)
    try:
        while not app.shard.running_writes:
            gevent.sleep(0.001)
        other = app.test_client()
        other.environ_base.update(client.environ_base)
        problem(other.post(NETS, json={"name": "Strike"}, headers=KEPT), "idempotency_running")
        problem(other.post(NETS, json={"name": "Other"}, headers=KEPT), "idempotency_mismatch")
    finally:
        release.set()
    answer: TestResponse = first.get(timeout=10)
    assert client.post(NETS, json={"name": "Strike"}, headers=KEPT).data == answer.data


def test_two_processes_do_the_same_request_once(
    app: ShardApp, key: str, client: FlaskClient, make_app: Callable[..., ShardApp]
) -> None:
    successor, release = make_app(), threading.Event()
    gevent.spawn(app.shard.store.execute, release.wait)
    gevent.sleep(0)
    first = gevent.spawn(client.post, NETS, json={"name": "Strike"}, headers=KEPT)
    while not app.shard.running_writes:
        gevent.sleep(0.001)
    made = gevent.spawn(client_with(successor, key).post, NETS, json={"name": "Strike"}, headers=KEPT)
    made.join(timeout=10)  # the first one waits meanwhile
    release.set()
    answers = [first.get(timeout=10), made.get(timeout=10)]
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    problem(next(answer for answer in answers if answer.status_code == 409), "idempotency_running")
    again = client.post(NETS, json={"name": "Strike"}, headers=KEPT)
    assert again.headers["Idempotent-Replayed"] == "true" and len(app.shard.guild.nets) == 1


def test_an_idempotency_key_may_have_255_characters_and_no_more(client: FlaskClient) -> None:
    said(client.post(NETS, json={"name": "A"}, headers={"Idempotency-Key": "k" * 255}))
    refused = problem(
        client.post(NETS, json={"name": "A"}, headers={"Idempotency-Key": "k" * 256}), "invalid_value"
    )
    assert refused["errors"][0]["path"] == "Idempotency-Key"


def test_the_oldest_answers_of_a_key_are_forgotten_first(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = client_of(app)
    said(other.post(NETS, json={"name": "N"}, headers={"Idempotency-Key": "other"}))
    now = clock.now()
    for number in range(4):
        monkeypatch.setattr(clock, "now", lambda number=number: now + number)
        said(client.post(NETS, json={"name": "N"}, headers={"Idempotency-Key": f"k{number}"}))
    monkeypatch.setattr(writes, "MOST_ROWS", 2)
    app.shard.writer.write(writes.prune)
    names = app.shard.store.read(lambda: rows("SELECT name FROM idempotency ORDER BY name"))
    assert names == [("k2",), ("k3",), ("other",)]
    size = app.shard.store.read(lambda: one("SELECT length(body) FROM idempotency WHERE name = 'k3'"))[0]
    monkeypatch.setattr(writes, "MOST_BYTES", size + 1)
    app.shard.writer.write(writes.prune)
    assert kept(app) == 2  # the newest of each


def test_a_repeat_after_a_kill_is_answered_as_before(start_shard: Callable[..., Server]) -> None:
    server = start_shard()
    first = server.post("/nets", {"name": "Strike"}, headers=KEPT)
    server.kill()
    server.start()
    again = server.post("/nets", {"name": "Strike"}, headers=KEPT)
    assert again.headers["Idempotent-Replayed"] == "true" and again.content == first.content
    assert len(server.get("/status").json()["nets"]) == 1
    assert server.post("/nets", {"name": "Other"}, headers=KEPT).status_code == 409


# -- If-Match, ETag, If-None-Match


@pytest.mark.parametrize("tag", ['"1"', '"0", "1"', "*"])
def test_a_write_on_the_version_it_names_is_made(client: FlaskClient, tag: str) -> None:
    said(client.post(NETS, json={"name": "A"}))
    assert said(client.post(NETS, json={"name": "B"}, headers={"If-Match": tag}))["version"] == 2


@pytest.mark.parametrize("tag", ['"0"', '"11"', "1", 'W/"1"', '""', "nonsense"])
@pytest.mark.parametrize("dry", ["", "?dryRun=true"])
def test_a_write_on_another_version_is_refused(
    app: ShardApp, client: FlaskClient, tag: str, dry: str
) -> None:
    said(client.post(NETS, json={"name": "A"}))
    refused = client.post(NETS + dry, json={"name": "B"}, headers={"If-Match": tag})
    told = problem(refused, "precondition_failed")
    assert "version 1" in told["error"] and '"1"' in told["hint"]
    assert app.shard.guild.version == 1


def test_a_precondition_is_asked_before_anything_else_of_the_state(client: FlaskClient) -> None:
    body = {"netId": 9, "name": "B"}
    problem(client.post(f"{NETS}/rename", json=body, headers={"If-Match": '"7"'}), "precondition_failed")
    problem(client.post(f"{NETS}/rename", json=body, headers={"If-Match": '"0"'}), "net_not_found")


def test_of_two_writes_on_one_version_one_is_made(app: ShardApp, client: FlaskClient) -> None:
    tag, other = {"If-Match": '"0"'}, client_of(app)
    both = [gevent.spawn(who.post, NETS, json={"name": "A"}, headers=tag) for who in (client, other)]
    assert sorted(one.get(timeout=10).status_code for one in both) == [200, 412]


def test_a_replay_comes_before_the_precondition(client: FlaskClient) -> None:
    headers = {**KEPT, "If-Match": '"0"'}
    first = client.post(NETS, json={"name": "A"}, headers=headers)
    assert client.post(NETS, json={"name": "A"}, headers=headers).data == first.data


@pytest.mark.parametrize("path", ["/features", "/public-net"])
def test_a_read_of_the_config_has_its_version_as_etag(client: FlaskClient, path: str) -> None:
    assert client.get(API + path).headers["ETag"] == '"0"'
    said(client.post(NETS, json={"name": "A"}))
    assert client.get(API + path).headers["ETag"] == '"1"'


@pytest.mark.parametrize("tag", ['"0"', 'W/"0"', '"7", "0"'])
def test_what_is_known_already_is_not_sent_again(client: FlaskClient, tag: str) -> None:
    answer = client.get(f"{API}/features", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == '"0"' and answer.headers["X-Request-Id"]
    assert "X-RateLimit-Remaining" in answer.headers


@pytest.mark.parametrize("tag", ['"1"', "0", '"00"'])
def test_what_is_not_known_is_sent(client: FlaskClient, tag: str) -> None:
    assert client.get(f"{API}/features", headers={"If-None-Match": "*"}).status_code == 304
    said(client.get(f"{API}/features", headers={"If-None-Match": tag}))


@pytest.mark.parametrize("path", ["/status", "/roster", "/assignments", "/audit"])
def test_what_holds_live_presence_has_no_etag(client: FlaskClient, path: str) -> None:
    assert "ETag" not in client.get(API + path).headers


# -- dryRun


@pytest.mark.parametrize("query", ["dryRun=true", "dryRun=TRUE", "x=1&dryRun=true", "%64ryRun=true"])
def test_a_dry_run_changes_nothing_and_tells_nothing(app: ShardApp, client: FlaskClient, query: str) -> None:
    before = everything(app)
    answer = said(client.post(f"{NETS}?{query}", json={"name": "Strike"}))
    assert answer["dryRun"] is True and answer["changed"] is True and answer["version"] == 0
    assert (answer["netUid"], answer["uid"], answer["netId"]) == ("", "", 1)
    assert everything(app) == before and not app.shard.guild.nets and app.shard.events.newest == 0


@pytest.mark.parametrize("query", ["dryRun=false", "dryRun=true&dryRun=false", "dryrun=true"])
def test_what_is_not_a_dry_run_is_real(app: ShardApp, client: FlaskClient, query: str) -> None:
    assert "dryRun" not in said(client.post(f"{NETS}?{query}", json={"name": "Strike"}))
    assert len(app.shard.guild.nets) == 1


@pytest.mark.parametrize("value", ["=maybe", "=1", "=0", "=", ""])
def test_a_dry_run_that_is_neither_true_nor_false_is_refused(
    app: ShardApp, client: FlaskClient, value: str
) -> None:
    refused = problem(client.post(f"{NETS}?dryRun{value}", json={"name": "Strike"}), "invalid_value")
    assert refused["errors"][0]["path"] == "dryRun" and not app.shard.guild.nets


calls = st.one_of(
    st.fixed_dictionaries({"path": st.just("/nets"), "name": st.sampled_from(["A", "B", "..", ""])}),
    st.fixed_dictionaries(
        {"path": st.just("/nets/rename"), "netId": st.integers(1, 4), "name": st.sampled_from(["A", "C"])}
    ),
    st.fixed_dictionaries({"path": st.just("/nets/remove"), "netId": st.integers(1, 4)}),
    st.fixed_dictionaries({"path": st.just("/nets/remove"), "old": st.integers(0, 5)}),
    st.fixed_dictionaries(
        {
            "path": st.just("/assignments"),
            "userId": st.sampled_from(["1", "2"]),
            "netId": st.integers(1, 4),
            "action": st.sampled_from(["assign", "unassign"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "path": st.just("/assignments/temporary"),
            "userId": st.sampled_from(["1", "2"]),
            "netId": st.integers(1, 4),
            "ttlMs": st.sampled_from([14_999, 15_000, 86_400_000]),
        }
    ),
    st.fixed_dictionaries(
        {
            "path": st.just("/assignments/bulk"),
            "assignments": st.lists(
                st.fixed_dictionaries({"userId": st.sampled_from(["1", "2"]), "netId": st.integers(1, 4)}),
                max_size=3,
            ),
            "action": st.sampled_from(["assign", "unassign"]),
            "atomic": st.booleans(),
        }
    ),
    st.fixed_dictionaries({"path": st.just("/operation"), "open": st.booleans()}),
)


def without_minted(value: Any, minted: set[str]) -> Any:
    """An answer without what a dry run cannot know: uids it would mint, times, the request's id, the version."""
    if isinstance(value, dict):
        skip = ("expiresAt", "createdAt", "archivedAt", "updatedAt", "requestId", "version", "dryRun")
        return {name: without_minted(one, minted) for name, one in value.items() if name not in skip}
    if isinstance(value, list):
        return [without_minted(one, minted) for one in value]
    return "" if isinstance(value, str) and value in minted else value


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(calls, min_size=3, max_size=15))
def test_a_dry_run_answers_as_the_real_run_does(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, Any]]
) -> None:
    folder = str(tmp_path_factory.mktemp("data"))
    app = create_app(load(environ={"SHARDAPI_CENTRAL__MAX_NETS": "3"}, data_dir=folder))
    try:
        client, uids = client_of(app), list[str]()
        for call in history:
            path = call.pop("path")
            if "old" in call:
                call["netUid"] = uids[call.pop("old") % len(uids)] if uids else "net_none"
            here, before = set(app.shard.guild.nets), everything(app)
            guild = app.shard.guild
            dry = client.post(f"{API}{path}?dryRun=true", json=call)
            assert everything(app) == before and app.shard.guild is guild
            real = client.post(API + path, json=call)
            minted = set(app.shard.guild.nets) - here
            uids += minted
            assert dry.status_code == real.status_code and dry.content_type == real.content_type
            assert without_minted(dry.json, set()) == without_minted(real.json, minted)
            if real.status_code == 200:
                assert said(dry)["dryRun"] is True and said(dry)["version"] == guild.version
                assert said(real)["version"] == guild.version + said(real)["changed"]
    finally:
        app.shard.close()


# -- the audit


def test_a_write_is_in_the_audit_once_as_soon_as_it_is_made(app: ShardApp, client: FlaskClient) -> None:
    headers = {"X-Audit-Log-Reason": "Friday op", "X-Request-Id": "r1"}
    said(client.post(NETS, json={"name": "Strike"}, headers=headers))
    row = ("POST", NETS, 200, 0, "Friday op", "r1")
    assert audited(app) == [row]
    app.shard.audit.flush()
    assert audited(app) == [row]


def test_a_dry_run_and_a_replay_are_in_the_audit_too(app: ShardApp, client: FlaskClient) -> None:
    for path in (NETS, NETS, f"{NETS}?dryRun=true"):
        said(client.post(path, json={"name": "Strike"}, headers=KEPT))
    app.shard.audit.flush()
    assert [row[3] for row in audited(app)] == [0, 0, 1]


def test_a_refused_write_is_in_the_audit_with_its_reason(app: ShardApp, client: FlaskClient) -> None:
    headers = {"X-Audit-Log-Reason": "tidy up"}
    problem(client.post(f"{NETS}/remove", json={"netId": 1}, headers=headers), "net_not_found")
    app.shard.audit.flush()
    assert [row[1:5] for row in audited(app)] == [(f"{NETS}/remove", 404, 0, "tidy up")]


@pytest.mark.parametrize("dry", [True, False])
def test_a_write_refused_before_its_options_count_is_in_the_audit_with_them(app: ShardApp, dry: bool) -> None:
    url, headers = f"{NETS}?dryRun={dry}", {"X-Audit-Log-Reason": "tidy up"}
    problem(client_of(app, "read:status").post(url, json={"name": "A"}, headers=headers), "missing_scope")
    client = client_of(app)
    big = b" " * 600_000
    problem(client.post(url, data=big, headers=headers), "body_too_large")
    problem(client.post(url, json={}, headers={"X-Audit-Log-Reason": "x" * 600}), "invalid_value")
    problem(client_with(app, "").post(url, json={"name": "A"}, headers=headers), "unauthorized")
    app.shard.audit.flush()
    assert sorted(row[2:5] for row in audited(app)) == sorted(
        [(403, dry, "tidy up"), (413, dry, "tidy up"), (400, dry, "x" * 512), (401, False, "")]
    )


def test_a_reason_may_have_512_characters_of_any_script(app: ShardApp, client: FlaskClient) -> None:
    reason = "ö" * 512
    environ = {"HTTP_X_AUDIT_LOG_REASON": reason.encode().decode("latin-1")}
    said(client.post(NETS, json={"name": "A"}, environ_overrides=environ))
    assert audited(app)[0][4] == reason
    refused = client.post(NETS, json={"name": "A"}, headers={"X-Audit-Log-Reason": "x" * 513})
    assert problem(refused, "invalid_value")["errors"][0]["path"] == "X-Audit-Log-Reason"


def test_a_write_that_cannot_be_kept_leaves_nothing_behind(app: ShardApp, client: FlaskClient) -> None:
    store = app.shard.store
    pages = store.execute(lambda: one("PRAGMA page_count"))[0]
    store.execute(lambda: one(f"PRAGMA max_page_count = {pages}"))
    for number in range(50):  # until the pages that there are, are full
        before, guild = everything(app), app.shard.guild
        answer = client.post(NETS, json={"name": "N" * 64}, headers={"Idempotency-Key": f"{number}"})
        if answer.status_code != 200:
            break
    refused = problem(answer, "store_unavailable")
    assert "nothing was changed" in refused["error"] and int(answer.headers["Retry-After"]) > 0
    assert everything(app) == before and app.shard.guild is guild
    assert len(audited(app)) == number
    assert said(client.get(f"{API}/status"))["version"] == guild.version
    store.execute(lambda: one("PRAGMA max_page_count = 100000"))
    again = client.post(NETS, json={"name": "N" * 64}, headers={"Idempotency-Key": f"{number}"})
    assert "Idempotent-Replayed" not in again.headers and said(again)["version"] == guild.version + 1


TEA = '''
from shardapi import Event, EventType, NoBody, Outcome, Routes, Write, Written, hookimpl
from shardapi.commands import SetOperation
from shardapi.events import OperationChanged

routes = Routes("tea", __name__)


@routes.post("/tea", scope="write:operation")
def tea(body: NoBody, write: Write) -> Written:
    """Close the operation for tea."""

    def told(outcome: Outcome) -> list[Event]:
        return [Event("tea.time", OperationChanged(open=outcome.guild.operation_open))]

    return write.submit([SetOperation(open=False)], lambda outcome: Written(action="tea"), events=told)


@hookimpl
def shardapi_events():
    return [EventType("tea.time", OperationChanged, "It was tea time.")]


@hookimpl
def shardapi_blueprints(app):
    return [routes]
'''


def test_events_of_a_plugin_are_logged_with_the_commands_it_submits(
    make_app: Callable[..., ShardApp], tmp_path: Path
) -> None:
    (tmp_path / "tea.py").write_text(TEA)
    app = make_app(PLUGINS__DIR=str(tmp_path))
    client, log = client_of(app), app.shard.events
    said(client.post(f"{API}/operation", json={"open": True}))
    since = log.newest
    assert said(client.post(f"{API}/tea?dryRun=true"))["changed"] and log.newest == since
    for _ in range(2):
        said(client.post(f"{API}/tea", headers=KEPT))
    assert [one.type for one in log.page(since, log.newest)] == ["operation.closed", "tea.time"]
    said(client.post(f"{API}/tea"))
    assert [one.type for one in log.page(since + 2, log.newest)] == ["tea.time"]

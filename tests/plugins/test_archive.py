"""/archive: entries created, changed, removed and restored, with every option of a write; the journal's state."""

from collections.abc import Callable, Iterator
from typing import Any

import chain
import gevent
import pytest
from apps import API, client_of, problem, said
from faults import store
from flask.testing import FlaskClient

from shardapi import ShardApp, clock, create_app, journal
from shardapi.config import load

ARCHIVE = f"{API}/archive"
NEW = "net_" + "a" * 24
OTHER = "net_" + "b" * 24
GONE = "net_" + "c" * 24
FULL = {
    "name": "Strike Net",
    "notes": "Escort,\n\ttwo ships \x00",
    "tags": ["air", "Größe 日本 🛰", 'a "quoted" \\ tag'],
    "assignedUserIds": ["123456789012345678", "bot:7"],
    "relayTargetNetUids": ["net_x"],
    "inboundRelayFromNetUids": ["net_y", "net_z"],
}


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client that the tests of bad input share, without a limit to speak of."""
    folder = str(tmp_path_factory.mktemp("easy"))
    app = create_app(load(environ={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}, data_dir=folder))
    yield client_of(app)
    app.shard.close()


def create(client: FlaskClient, **members: Any) -> dict[str, Any]:
    """A new entry."""
    entry: dict[str, Any] = said(client.post(ARCHIVE, json={"name": "Old", **members}))["entry"]
    return entry


def entry(client: FlaskClient, uid: str) -> dict[str, Any]:
    """The entry of a uid."""
    found: dict[str, Any] = said(client.get(f"{ARCHIVE}/{uid}"))["entry"]
    return found


def net(client: FlaskClient, name: str = "Strike") -> str:
    """A new active net's uid."""
    return str(said(client.post(f"{API}/nets", json={"name": name}))["netUid"])


def removed(client: FlaskClient, name: str = "Strike") -> str:
    """The uid of a net that was active."""
    uid = net(client, name)
    said(client.delete(f"{API}/nets/{uid}"))
    return uid


def active(client: FlaskClient) -> dict[str, dict[str, Any]]:
    """The active nets by uid."""
    return {one["uid"]: one for one in said(client.get(f"{API}/status"))["nets"]}


def told(app: ShardApp) -> list[tuple[str, dict[str, Any]]]:
    """All events: type and data."""
    return [(one.type, one.envelope["data"]) for one in app.shard.events.page(0, 2**62)]


def journal_of(app: ShardApp) -> list[tuple[str, str]]:
    """The operations in the journal, checked: action and uid."""
    found = chain.operations(app.shard.store.folder, app.shard.guild_id)
    return [(one["action"], one["uid"]) for one in found]


# -- create and update


def test_a_new_entry_gets_a_uid_and_empty_members(app: ShardApp, client: FlaskClient) -> None:
    answer = said(client.post(ARCHIVE, json={"name": "  Old Net "}))
    made = answer["entry"]
    assert (answer["action"], answer["changed"], answer["version"]) == ("created", True, 0)
    assert len(made["uid"]) == 28 and made["uid"].startswith("net_")
    assert made == {
        "uid": made["uid"],
        "name": "Old Net",
        "notes": "",
        "tags": [],
        "assignedUserIds": [],
        "relayTargetNetUids": [],
        "inboundRelayFromNetUids": [],
        "createdAt": made["createdAt"],
        "archivedAt": made["createdAt"],
        "updatedAt": made["createdAt"],
        "source": "api",
    }
    keyed = app.shard.keys.all()[0].id
    data = {"action": "archive.upsert", "version": 0, "uid": made["uid"], "keyId": keyed}
    assert told(app) == [("config.changed", data)]
    assert journal_of(app) == [("upsert", made["uid"])]


def test_every_member_is_kept_as_it_was_sent(client: FlaskClient) -> None:
    made = create(client, **FULL)
    assert {name: made[name] for name in FULL} == FULL
    answer = said(client.get(f"{ARCHIVE}/{made['uid']}"))
    assert answer["entry"] == made and answer["source"] == "api"


def test_what_is_said_twice_is_kept_once_and_trimmed(client: FlaskClient) -> None:
    made = create(
        client, tags=[" a ", "b", "a"], assignedUserIds=["2", "1", "2"], relayTargetNetUids=["net_x"] * 2
    )
    assert made["tags"] == ["a", "b"] and made["assignedUserIds"] == ["2", "1"]
    assert made["relayTargetNetUids"] == ["net_x"]


@pytest.mark.parametrize("uid", [NEW, "net_1", "net_Old-Net_2", "net_" + "x" * 60])
def test_an_entry_can_be_created_under_a_uid_of_ones_own(client: FlaskClient, uid: str) -> None:
    answer = said(client.post(ARCHIVE, json={"uid": uid, "name": "Old"}))
    assert (answer["action"], answer["entry"]["uid"]) == ("created", uid)
    assert entry(client, uid) == answer["entry"]


@pytest.mark.parametrize("how", ["upsert", "POST", "PATCH"])
def test_an_update_changes_what_it_names_and_nothing_else(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    before, now = create(client, uid=NEW, **FULL), clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 5000)
    sent: dict[str, Any] = {"tags": ["sea"], "notes": None, "unknown": 1}
    if how == "upsert":
        answer = said(client.post(ARCHIVE, json={**sent, "uid": NEW}))
    else:
        answer = said(client.open(f"{ARCHIVE}/{NEW}", method=how, json=sent))
    assert (answer["action"], answer["changed"], answer["version"]) == ("updated", True, 0)
    assert answer["entry"] == {**before, "tags": ["sea"], "updatedAt": clock.iso(now + 5000)}
    assert entry(client, NEW) == answer["entry"]
    assert [data["action"] for _, data in told(app)] == ["archive.upsert"] * 2
    assert journal_of(app) == [("upsert", NEW)] * 2


@pytest.mark.parametrize("how", ["upsert", "POST", "PATCH"])
@pytest.mark.parametrize("sent", [{}, FULL, {"name": " Strike Net"}, {"tags": None}, {"uid": NEW}])
def test_an_update_that_is_true_already_changes_nothing(
    app: ShardApp, client: FlaskClient, how: str, sent: dict[str, Any]
) -> None:
    before = create(client, uid=NEW, **FULL)
    if how == "upsert":
        answer = said(client.post(ARCHIVE, json={**sent, "uid": NEW}))
    else:
        answer = said(client.open(f"{ARCHIVE}/{NEW}", method=how, json=sent))
    assert (answer["action"], answer["changed"], answer["entry"]) == ("updated", False, before)
    assert len(told(app)) == 1 and len(journal_of(app)) == 1


def test_an_update_can_empty_what_there_was(client: FlaskClient) -> None:
    create(client, uid=NEW, **FULL)
    empty = {"notes": "", "tags": [], "assignedUserIds": [], "relayTargetNetUids": []}
    said(client.patch(f"{ARCHIVE}/{NEW}", json=empty))
    found = entry(client, NEW)
    assert {name: found[name] for name in empty} == empty and found["name"] == "Strike Net"


def test_an_active_net_of_that_uid_is_left_alone(app: ShardApp, client: FlaskClient) -> None:
    uid = net(client)
    before = app.shard.guild
    assert create(client, uid=uid, name="Other", assignedUserIds=["5"])["name"] == "Other"
    said(client.patch(f"{ARCHIVE}/{uid}", json={"name": "Another"}))
    said(client.delete(f"{ARCHIVE}/{uid}"))
    assert app.shard.guild is before and active(client)[uid]["name"] == "Strike"


def test_a_removed_net_is_an_entry_that_can_be_annotated(client: FlaskClient) -> None:
    uid = removed(client)
    assert said(client.get(f"{ARCHIVE}/{uid}"))["source"] == "removed"
    noted = said(client.patch(f"{ARCHIVE}/{uid}", json={"notes": "Friday", "tags": ["op"]}))["entry"]
    said(client.post(f"{ARCHIVE}/{uid}/restore"))
    again = said(client.delete(f"{API}/nets/{uid}"))["entry"]
    assert (again["notes"], again["tags"], again["createdAt"]) == ("Friday", ["op"], noted["createdAt"])


# -- bad input


@pytest.mark.parametrize("path", ["", f"/{NEW}"])
@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "."}, "name"),
        ({"name": 5}, "name"),
        ({"notes": "n" * 8001}, "notes"),
        ({"notes": ["x"]}, "notes"),
        ({"tags": ["t"] * 33}, "tags"),
        ({"tags": ["t" * 41]}, "tags[0]"),
        ({"tags": [""]}, "tags[0]"),
        ({"tags": ["  "]}, "tags[0]"),
        ({"tags": ["a\tb"]}, "tags[0]"),
        ({"tags": [None]}, "tags[0]"),
        ({"tags": "air"}, "tags"),
        ({"assignedUserIds": [str(one) for one in range(2001)]}, "assignedUserIds"),
        ({"assignedUserIds": [""]}, "assignedUserIds[0]"),
        ({"assignedUserIds": ["a b"]}, "assignedUserIds[0]"),
        ({"assignedUserIds": [7]}, "assignedUserIds[0]"),
        ({"relayTargetNetUids": [f"net_{one}" for one in range(51)]}, "relayTargetNetUids"),
        ({"relayTargetNetUids": ["5"]}, "relayTargetNetUids[0]"),
        ({"inboundRelayFromNetUids": [f"net_{one}" for one in range(51)]}, "inboundRelayFromNetUids"),
        ({"inboundRelayFromNetUids": ["net_\n"]}, "inboundRelayFromNetUids[0]"),
        ({"relayTargetNetUids": [NEW]}, "relayTargetNetUids"),
        ({"inboundRelayFromNetUids": ["net_x", NEW]}, "inboundRelayFromNetUids"),
    ],
)
def test_a_member_out_of_bounds_is_refused_and_nothing_is_lost(
    easy: FlaskClient, path: str, sent: dict[str, Any], where: str
) -> None:
    before = create(easy, uid=NEW, **FULL)
    refused = problem(easy.post(ARCHIVE + path, json={"uid": NEW, **sent}), "invalid_value")
    assert refused["errors"][0]["path"] == where
    assert entry(easy, NEW) == before


def test_members_at_their_bounds_are_taken(easy: FlaskClient) -> None:
    sent = {
        "name": "🛰" * 64,
        "notes": "🛰" * 8000,
        "tags": [f"{one:02d}" + "t" * 38 for one in range(32)],
        "assignedUserIds": [f"{one:064d}" for one in range(2000)],
        "relayTargetNetUids": [f"net_{one}" for one in range(50)],
        "inboundRelayFromNetUids": [f"net_{one}" for one in range(50)],
    }
    made = create(easy, **sent)
    assert {name: entry(easy, made["uid"])[name] for name in sent} == sent


@pytest.mark.parametrize(
    "uid",
    ["", "5", "net_", "net", "net_ ", "net_a b", "net_é", "net_a\n", "net_" + "x" * 61, "NET_a", "../net_a"],
)
def test_a_uid_of_another_kind_is_refused(easy: FlaskClient, uid: str) -> None:
    refused = problem(easy.post(ARCHIVE, json={"name": "Old", "uid": uid}), "invalid_value")
    assert refused["errors"][0]["path"] == "uid"


@pytest.mark.parametrize("uid", ["net_public", "net_global"])
def test_what_is_no_net_cannot_be_archived(easy: FlaskClient, uid: str) -> None:
    problem(easy.post(ARCHIVE, json={"name": "Old", "uid": uid}), "net_protected")


@pytest.mark.parametrize("sent", [{}, {"notes": "x"}, {"name": None}])
def test_a_new_entry_needs_a_name(easy: FlaskClient, sent: dict[str, Any]) -> None:
    assert problem(easy.post(ARCHIVE, json=sent), "invalid_value")["errors"][0]["path"] == "name"
    refused = problem(easy.post(ARCHIVE, json={**sent, "uid": GONE}), "entry_not_found")
    assert "name" in refused["hint"]


@pytest.mark.parametrize("uid", [GONE, "5", "sync", "net_%00", "%ff", "net_public", "é", "x" * 5000])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/restore")]
)
def test_an_entry_that_is_not_there_is_not_found(easy: FlaskClient, method: str, path: str, uid: str) -> None:
    body = None if method in ("GET", "DELETE") else {"name": "X"}
    refused = problem(easy.open(f"{ARCHIVE}/{uid}{path}", method=method, json=body), "entry_not_found")
    assert refused["hint"]


def test_of_an_active_net_the_refusal_says_so(easy: FlaskClient) -> None:
    assert "active" in problem(easy.get(f"{ARCHIVE}/{net(easy)}"), "entry_not_found")["hint"]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_the_state_of_the_journal_is_no_entry(easy: FlaskClient, method: str) -> None:
    problem(easy.open(f"{ARCHIVE}/sync/status", method=method), "method_not_allowed")


# -- remove


def test_a_removed_entry_is_gone_for_ever(app: ShardApp, client: FlaskClient) -> None:
    uid = create(client, **FULL)["uid"]
    answer = said(client.delete(f"{ARCHIVE}/{uid}"))
    assert {name: answer[name] for name in ("action", "changed", "uid", "deleted", "version")} == {
        "action": "archive.remove",
        "changed": True,
        "uid": uid,
        "deleted": True,
        "version": 0,
    }
    assert told(app)[-1][1]["action"] == "archive.remove" and told(app)[-1][1]["uid"] == uid
    problem(client.get(f"{ARCHIVE}/{uid}"), "entry_not_found")
    problem(client.delete(f"{ARCHIVE}/{uid}"), "entry_not_found")
    assert said(client.get(ARCHIVE))["entries"] == []
    assert journal_of(app) == [("upsert", uid), ("remove", uid)] and len(told(app)) == 2


# -- the options of a write


def rows(app: ShardApp) -> list[list[Any]]:
    """What the archive has on disk, its index and its journal with it."""
    names = ("catalogue", "catalogue_change", "catalogue_head", "archive_tag", "archive_search_data", "event")
    return [store.rows(app.shard.store.folder, f"SELECT * FROM {name}") for name in names]


@pytest.mark.parametrize(
    ("method", "path", "sent", "expected"),
    [
        ("POST", "", {"name": "Dry"}, {"action": "created", "changed": True}),
        ("POST", "", {"name": "Dry", "uid": NEW}, {"action": "updated", "changed": True}),
        ("POST", f"/{NEW}", {"notes": "x", "tags": ["dry"]}, {"action": "updated", "changed": True}),
        ("PATCH", f"/{NEW}", {}, {"action": "updated", "changed": False}),
        ("DELETE", f"/{NEW}", None, {"deleted": True, "changed": True}),
        ("POST", f"/{NEW}/restore", None, {"netUid": NEW, "netId": 1, "changed": True}),
    ],
)
def test_a_dry_run_says_what_would_be_and_changes_nothing(
    app: ShardApp, client: FlaskClient, method: str, path: str, sent: Any, expected: dict[str, Any]
) -> None:
    create(client, uid=NEW, **FULL)
    before = rows(app)
    answer = said(client.open(f"{ARCHIVE}{path}?dryRun=true", method=method, json=sent))
    assert answer["dryRun"] is True and answer["version"] == 0
    assert {name: answer[name] for name in expected} == expected
    if sent == {"name": "Dry"}:
        assert answer["entry"]["uid"] == "" and answer["entry"]["name"] == "Dry"
    assert rows(app) == before and not active(client)


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "", {"name": "Kept"}),
        ("PATCH", f"/{NEW}", {"notes": "x"}),
        ("DELETE", f"/{NEW}", None),
        ("POST", f"/{NEW}/restore", {"name": "Back"}),
    ],
)
def test_a_repeat_with_its_key_is_answered_as_before_and_does_nothing(
    app: ShardApp, client: FlaskClient, method: str, path: str, sent: Any
) -> None:
    create(client, uid=NEW)
    keyed = {"Idempotency-Key": "once"}
    first = client.open(ARCHIVE + path, method=method, json=sent, headers=keyed)
    before = rows(app)
    again = client.open(ARCHIVE + path, method=method, json=sent, headers=keyed)
    assert said(first)["changed"] and first.data == again.data
    assert again.headers["Idempotent-Replayed"] == "true" and rows(app) == before
    other = client.post(ARCHIVE, json={"name": "Another"}, headers=keyed)
    problem(other, "idempotency_mismatch")


def test_an_entry_has_an_entity_tag_of_its_own(client: FlaskClient) -> None:
    create(client, uid=NEW)
    first = client.get(f"{ARCHIVE}/{NEW}").headers["ETag"]
    net(client)
    create(client, uid=OTHER)
    assert client.get(f"{ARCHIVE}/{NEW}").headers["ETag"] == first
    unchanged = client.get(f"{ARCHIVE}/{NEW}", headers={"If-None-Match": first})
    assert unchanged.status_code == 304 and unchanged.data == b""
    said(client.patch(f"{ARCHIVE}/{NEW}", json={"notes": "x"}))
    changed = client.get(f"{ARCHIVE}/{NEW}", headers={"If-None-Match": first})
    assert said(changed)["entry"]["notes"] == "x" and changed.headers["ETag"] != first


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "", {"uid": NEW, "notes": "mine"}),
        ("POST", f"/{NEW}", {"notes": "mine"}),
        ("PATCH", f"/{NEW}", {"notes": "mine"}),
        ("DELETE", f"/{NEW}", None),
    ],
)
def test_a_write_that_rests_on_an_older_entry_is_refused(
    client: FlaskClient, method: str, path: str, sent: Any
) -> None:
    create(client, uid=NEW)
    seen = client.get(f"{ARCHIVE}/{NEW}").headers["ETag"]
    theirs = said(client.patch(f"{ARCHIVE}/{NEW}", json={"notes": "theirs"}))["entry"]
    for stale in (seen, '"0"', '"x", "y"'):
        refused = client.open(ARCHIVE + path, method=method, json=sent, headers={"If-Match": stale})
        assert "quotes" in problem(refused, "precondition_failed")["hint"]
    assert entry(client, NEW) == theirs
    now = client.get(f"{ARCHIVE}/{NEW}").headers["ETag"]
    assert said(client.open(ARCHIVE + path, method=method, json=sent, headers={"If-Match": now}))["changed"]


@pytest.mark.parametrize("tag", ['"0"', "*"])
def test_no_tag_matches_what_is_not_there(client: FlaskClient, tag: str) -> None:
    match = {"If-Match": tag}
    problem(client.post(ARCHIVE, json={"name": "Old"}, headers=match), "precondition_failed")
    problem(client.post(ARCHIVE, json={"name": "Old", "uid": NEW}, headers=match), "precondition_failed")
    problem(client.delete(f"{ARCHIVE}/{NEW}", headers=match), "precondition_failed")
    assert said(client.get(ARCHIVE))["total"] == 0


def test_any_tag_matches_what_is_there(client: FlaskClient) -> None:
    create(client, uid=NEW)
    said(client.patch(f"{ARCHIVE}/{NEW}", json={"notes": "x"}, headers={"If-Match": "*"}))


def test_a_restore_rests_on_the_config_not_on_the_entry(client: FlaskClient) -> None:
    create(client, uid=NEW)
    net(client)
    stale = client.post(f"{ARCHIVE}/{NEW}/restore", headers={"If-Match": '"0"'})
    problem(stale, "precondition_failed")
    assert said(client.post(f"{ARCHIVE}/{NEW}/restore", headers={"If-Match": '"1"'}))["version"] == 2


def test_the_audit_has_each_write_with_its_reason(app: ShardApp, client: FlaskClient) -> None:
    create(client, uid=NEW)
    said(client.delete(f"{ARCHIVE}/{NEW}", headers={"X-Audit-Log-Reason": "tidy"}))
    audited = store.rows(app.shard.store.folder, "SELECT method, path, status, reason FROM audit ORDER BY id")
    assert audited == [("POST", ARCHIVE, 200, ""), ("DELETE", f"{ARCHIVE}/{NEW}", 200, "tidy")]


@pytest.mark.parametrize("scope", ["read:status", "write:nets"])
def test_every_call_needs_the_scope_of_the_archive(app: ShardApp, scope: str) -> None:
    client = client_of(app, scope)
    for method, path in (("GET", ""), ("GET", "/sync/status"), ("GET", f"/{NEW}"), ("DELETE", f"/{NEW}")):
        problem(client.open(ARCHIVE + path, method=method), "missing_scope")
    for path in ("", f"/{NEW}", f"/{NEW}/restore"):
        problem(client.post(ARCHIVE + path, json={"name": "X"}), "missing_scope")


# -- restore


def test_a_net_comes_back_under_its_uid_in_a_fresh_slot(app: ShardApp, client: FlaskClient) -> None:
    uid = net(client)
    said(client.post(f"{API}/assignments", json={"userId": "7", "netUid": uid}))
    said(client.post(f"{API}/assignments/temporary", json={"userId": "8", "netUid": uid}))
    said(client.delete(f"{API}/nets/{uid}"))
    kept, operations = entry(client, uid), journal_of(app)
    answer = said(client.post(f"{ARCHIVE}/{uid}/restore"))
    assert (answer["action"], answer["changed"], answer["version"]) == ("archive.restore", True, 5)
    assert (answer["uid"], answer["netUid"], answer["netId"]) == (uid, uid, 2)
    assert (answer["name"], answer["entry"], answer["skipped"]) == ("Strike", kept, [])
    assert active(client)[uid]["id"] == 2
    assert said(client.get(f"{API}/assignments"))["assignments"] == {"7": [2]}
    assert entry(client, uid) == kept and journal_of(app) == operations  # the catalogue is as it was
    by = app.shard.keys.all()[0].id
    assert told(app)[-2:] == [
        ("config.changed", {"action": "archive.restore", "version": 5, "uid": uid, "keyId": by}),
        (
            "assignments.changed",
            {"source": "archive", "action": "assign", "netId": 2, "netUid": uid, "keyId": by, "count": 1},
        ),
    ]


def test_a_net_can_come_back_under_another_name(client: FlaskClient) -> None:
    uid = removed(client)
    answer = said(client.post(f"{ARCHIVE}/{uid}/restore", json={"name": " Air Wing "}))
    assert answer["name"] == "Air Wing" and active(client)[uid]["name"] == "Air Wing"
    assert answer["entry"]["name"] == "Strike" == entry(client, uid)["name"]


def test_a_net_can_come_back_without_its_people(app: ShardApp, client: FlaskClient) -> None:
    create(client, uid=NEW, assignedUserIds=["1", "2"])
    said(client.post(f"{ARCHIVE}/{NEW}/restore", json={"assignments": False}))
    assert said(client.get(f"{API}/assignments"))["assignments"] == {}
    assert [type_ for type_, _ in told(app)] == ["config.changed"] * 2


def test_relays_to_and_from_active_nets_come_back_and_others_are_skipped(client: FlaskClient) -> None:
    there, gone = net(client, "There"), removed(client, "Gone")
    create(
        client, uid=NEW, relayTargetNetUids=[there, gone, "net_x"], inboundRelayFromNetUids=[there, "net_y"]
    )
    answer = said(client.post(f"{ARCHIVE}/{NEW}/restore"))
    assert answer["skipped"] == [gone, "net_x", "net_y"]
    nets = active(client)
    assert nets[NEW]["relayTargetNetUids"] == [there] and nets[there]["relayTargetNetUids"] == [NEW]


def test_a_net_can_come_back_without_its_relays(client: FlaskClient) -> None:
    there = net(client)
    create(client, uid=NEW, relayTargetNetUids=[there, "net_x"], inboundRelayFromNetUids=[there])
    answer = said(client.post(f"{ARCHIVE}/{NEW}/restore", json={"relays": False}))
    assert answer["skipped"] == []
    assert [one["relayTargetNetUids"] for one in active(client).values()] == [[], []]


def test_an_active_net_is_not_restored_again(app: ShardApp, client: FlaskClient) -> None:
    uid = removed(client)
    first = said(client.post(f"{ARCHIVE}/{uid}/restore", json={"name": "Air"}))
    again = said(client.post(f"{ARCHIVE}/{uid}/restore", json={"name": "Other"}))
    assert again == {**first, "changed": False}
    assert len(active(client)) == 1 and len(told(app)) == 3


def test_without_a_free_slot_the_refusal_says_what_to_do(make_app: Callable[..., ShardApp]) -> None:
    client = client_of(make_app(CENTRAL__MAX_NETS="2"))
    uid = removed(client)
    for name in "ab":
        net(client, name)
    before = active(client)
    refused = problem(client.post(f"{ARCHIVE}/{uid}/restore"), "no_free_slot")
    assert "Remove a net" in refused["hint"]
    problem(client.post(f"{ARCHIVE}/{uid}/restore?dryRun=true"), "no_free_slot")
    assert active(client) == before and entry(client, uid)
    said(client.delete(f"{API}/nets/1"))
    assert said(client.post(f"{ARCHIVE}/{uid}/restore"))["netId"] == 1


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"name": ""}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"assignments": "yes"}, "assignments"),
        ({"assignments": 0}, "assignments"),
        ({"relays": 1}, "relays"),
    ],
)
def test_restore_options_out_of_bounds_are_refused(
    client: FlaskClient, sent: dict[str, Any], where: str
) -> None:
    create(client, uid=NEW)
    refused = problem(client.post(f"{ARCHIVE}/{NEW}/restore", json=sent), "invalid_value")
    assert refused["errors"][0]["path"] == where and not active(client)


@pytest.mark.parametrize("data", [None, b"", b"{}", b" "])
def test_the_options_of_a_restore_may_be_left_out(client: FlaskClient, data: bytes | None) -> None:
    create(client, uid=NEW)
    assert said(client.post(f"{ARCHIVE}/{NEW}/restore", data=data))["changed"]


def test_of_two_restores_at_once_one_does_it(app: ShardApp, client: FlaskClient) -> None:
    create(client, uid=NEW)
    two = [gevent.spawn(client_of(app).post, f"{ARCHIVE}/{NEW}/restore") for _ in range(2)]
    answers = [said(one.get()) for one in gevent.joinall(two, raise_error=True)]
    assert sorted(one["changed"] for one in answers) == [False, True]
    assert {one["netId"] for one in answers} == {1} and app.shard.guild.version == 1


def test_a_restored_net_outlives_its_entry(client: FlaskClient) -> None:
    create(client, uid=NEW)
    said(client.post(f"{ARCHIVE}/{NEW}/restore"))
    said(client.delete(f"{ARCHIVE}/{NEW}"))
    problem(client.post(f"{ARCHIVE}/{NEW}/restore"), "entry_not_found")
    assert list(active(client)) == [NEW]


# -- the journal's state


def test_the_state_of_the_journal_is_told(app: ShardApp, client: FlaskClient) -> None:
    empty = {"lastCheckpointHash": "", "lastCheckpointVersion": 0, "lastCheckpointAt": ""}
    answer = said(client.get(f"{ARCHIVE}/sync/status"))
    assert (answer["checkpoint"], answer["pendingOps"]) == (empty, 0)
    create(client, uid=NEW)
    removed(client)
    answer = said(client.get(f"{ARCHIVE}/sync/status"))
    assert (answer["checkpoint"], answer["pendingOps"]) == (empty, 2)
    app.shard.writer.write(app.shard.central.checkpoint)
    said(client.delete(f"{ARCHIVE}/{NEW}"))
    answer = said(client.get(f"{ARCHIVE}/sync/status"))
    version, digest, pending = chain.checkpoint(app.shard.store.folder, app.shard.guild_id)
    at = clock.iso(app.shard.store.read(lambda: journal.head(app.shard.guild_id)).checkpoint_at)
    assert answer["checkpoint"] == {
        "lastCheckpointHash": digest,
        "lastCheckpointVersion": version,
        "lastCheckpointAt": at,
    }
    assert (version, answer["pendingOps"], pending) == (2, 1, 1) and at


# -- guilds


def test_guilds_in_one_store_never_see_each_other(make_app: Callable[..., ShardApp]) -> None:
    mine, theirs = client_of(make_app(GUILD__ID="1")), client_of(make_app(GUILD__ID="2"))
    create(mine, uid=NEW, name="Mine", tags=["air"])
    create(theirs, uid=OTHER, name="Theirs", tags=["air"])
    problem(mine.get(f"{ARCHIVE}/{OTHER}"), "entry_not_found")
    problem(mine.patch(f"{ARCHIVE}/{OTHER}", json={"notes": "x"}), "entry_not_found")
    problem(mine.delete(f"{ARCHIVE}/{OTHER}"), "entry_not_found")
    problem(mine.post(f"{ARCHIVE}/{OTHER}/restore"), "entry_not_found")
    for client, uid, other in ((mine, NEW, "th"), (theirs, OTHER, "mi")):
        for query in ("", "?tag=air", "?q=ai", "?q=ai&tag=air", "?q=!", "?tag=air&tag=air&q=!"):
            answer = said(client.get(ARCHIVE + query))
            assert ([one["uid"] for one in answer["entries"]], answer["total"]) == ([uid], 1)
        for query in (f"?q={other}", f"?q={other}&tag=air"):
            assert said(client.get(ARCHIVE + query))["total"] == 0
    create(mine, uid=OTHER, name="Mine too")
    assert entry(theirs, OTHER)["name"] == "Theirs"

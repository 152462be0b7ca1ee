"""/webhooks: what is registered, what is refused, what is shown once, and the commands beside it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from outboxes import LOOPBACK, Desk
from receivers import Receiver

from shardapi import ShardApp, clock
from shardapi.config import ConfigError
from shardapi.store import rows

URL = "http://127.0.0.1:9/hook"

MakeApp = Callable[..., ShardApp]


@pytest.fixture
def desk(make_app: MakeApp) -> Iterator[Desk]:
    """An app whose outbox does not deliver."""
    yield Desk(make_app(**LOOPBACK))


def refused(desk: Desk, path: str, body: Any, method: str = "POST") -> dict[str, Any]:
    """The problem that a call is answered with."""
    answer = desk.client.open(f"/api/v1{path}", method=method, json=body)
    assert answer.status_code >= 400, answer.text
    found: dict[str, Any] = answer.json
    return found


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": 5}, "url"),
        ({"url": "example.com/hook"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http:///path"}, "url"),
        ({"url": "http://user:secret@example.com/"}, "url"),
        ({"url": "http://user@example.com/"}, "url"),
        ({"url": "http://example.com:0/"}, "url"),
        ({"url": "http://example.com:99999/"}, "url"),
        ({"url": "http://example.com:http/"}, "url"),
        ({"url": "http://[::1/"}, "url"),
        ({"url": "http://exa mple.com/"}, "url"),
        ({"url": "http://example.com/\r\nX: y"}, "url"),
        ({"url": "http://example.com\\@127.0.0.1/"}, "url"),
        ({"url": "http://" + "a" * 70 + ".com/"}, "url"),
        ({"url": "http://example.com/" + "a" * 2100}, "url"),
        ({"url": "http://10.1.2.3/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "http://[::ffff:10.1.2.3]/"}, "url"),
        ({"url": URL, "events": "user.joined"}, "events"),
        ({"url": URL, "events": ["user.joind"]}, "events[0]"),
        ({"url": URL, "events": ["user.*", "nothing.*"]}, "events[1]"),
        ({"url": URL, "events": ["User.Joined"]}, "events[0]"),
        ({"url": URL, "events": [""]}, "events[0]"),
        ({"url": URL, "events": [None]}, "events[0]"),
        ({"url": URL, "events": ["user.*"] * 51}, "events"),
        ({"url": URL, "secret": "fifteen letters"}, "secret"),
        ({"url": URL, "secret": "s" * 257}, "secret"),
        ({"url": URL, "secret": "whsec_no base64 at all"}, "secret"),
        ({"url": URL, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"}, "secret"),
        ({"url": URL, "secret": 7}, "secret"),
        ({"url": URL, "ordered": "yes"}, "ordered"),
    ],
)
def test_what_cannot_be_delivered_to_is_refused(desk: Desk, body: dict[str, Any], path: str) -> None:
    problem = refused(desk, "/webhooks", body)
    assert (problem["status"], problem["code"]) == (400, "invalid_value")
    assert problem["errors"][0]["path"] == path
    assert desk.call("GET", "/webhooks")["webhooks"] == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://127.0.0.1:9", "/"),
        ("http://127.0.0.1:9?a=1", "/?a=1"),
        ("http://127.0.0.1:9/ä/%2F?q=ü&x=%20", "/%C3%A4/%2F?q=%C3%BC&x=%20"),
        ("HTTP://127.0.0.1:9/A#fragment", "/A"),
        ("https://[::1]/", "/"),
        ("http://2130706433/", "/"),
        ("http://nobody.invalid/hook", "/hook"),
        ("http://bücher.invalid/", "/"),
    ],
)
def test_a_url_is_taken_as_it_is_and_asked_for_as_http_writes_it(desk: Desk, url: str, path: str) -> None:
    from shardapi.outbox.target import parse

    assert desk.call("POST", "/webhooks", {"url": url})["webhook"]["url"] == url
    assert parse(url).path == path


def test_a_typing_error_in_an_event_is_told(desk: Desk) -> None:
    assert refused(desk, "/webhooks", {"url": URL, "events": ["user.joind"]})["hint"] == (
        "Did you mean user.joined?"
    )


def test_a_webhook_is_listed_without_its_secret(desk: Desk) -> None:
    made = desk.call("POST", "/webhooks", {"url": URL, "events": ["user.*", "user.*"]})
    assert made["secret"].startswith("whsec_") and len(made["secret"]) == 50
    listed = desk.call("GET", "/webhooks")
    assert listed["webhooks"] == [made["webhook"]]
    assert made["webhook"]["events"] == ["user.*"]
    assert (made["action"], made["changed"], made["version"]) == ("webhook.create", True, 0)
    assert made["secret"] not in json.dumps(listed)
    assert {"user.joined", "ptt.stop", "acars.sent", "webhook.disabled", "webhook.gap"} <= set(
        listed["events"]
    )


def test_no_secret_is_in_the_store_or_in_the_audit(desk: Desk) -> None:
    given = "a secret of the owner's own"
    made = desk.call("POST", "/webhooks", {"url": URL}, headers={"Idempotency-Key": "one"})["secret"]
    id = desk.hook(URL, secret=given)
    rotated = desk.call("POST", f"/webhooks/{id}/rotate", headers={"Idempotency-Key": "two"})["secret"]
    desk.shard.audit.flush()
    desk.shard.store.execute(lambda: rows("PRAGMA wal_checkpoint(TRUNCATE)"))
    for file in desk.shard.store.folder.iterdir():
        data = file.read_bytes()
        for secret in (made, given, rotated):
            assert secret.encode() not in data, file
            assert secret.removeprefix("whsec_").encode() not in data, file


@pytest.mark.parametrize("given", ["", "a secret of the owner's own"])
def test_a_repeat_shows_no_secret_and_makes_nothing(desk: Desk, given: str) -> None:
    body, key = {"url": URL, "secret": given}, {"Idempotency-Key": "again"}
    first = desk.call("POST", "/webhooks", body, headers=key)
    answer = desk.client.post("/api/v1/webhooks", json=body, headers=key)
    assert answer.headers["Idempotent-Replayed"] == "true"
    again = answer.json
    assert first["secret"] and "hint" not in first
    assert again["secret"] == "" and f"/webhooks/{first['webhook']['id']}/rotate" in again["hint"]
    assert {**again, "secret": first["secret"], "hint": ""} == {**first, "hint": ""}
    assert len(desk.call("GET", "/webhooks")["webhooks"]) == 1


def test_dry_run_shows_neither_id_nor_secret_and_keeps_nothing(desk: Desk) -> None:
    tried = desk.call("POST", "/webhooks?dryRun=true", {"url": URL})
    assert (tried["dryRun"], tried["changed"]) == (True, True)
    assert (tried["secret"], tried["webhook"]["id"]) == ("", "")
    assert refused(desk, "/webhooks?dryRun=true", {"url": "http://10.0.0.1/"})["code"] == "invalid_value"
    assert desk.call("GET", "/webhooks")["webhooks"] == []
    id = desk.hook(URL)
    for path in (f"/webhooks/{id}/rotate", f"/webhooks/{id}/enable", f"/webhooks/{id}/replay"):
        assert desk.call("POST", f"{path}?dryRun=true")["dryRun"] is True
    assert desk.call("POST", f"/webhooks/{id}/rotate?dryRun=true")["secret"] == ""
    assert desk.call("POST", f"/webhooks/{id}/test?dryRun=true")["delivered"] is False
    assert desk.call("DELETE", f"/webhooks/{id}?dryRun=true")["deleted"] is True
    assert desk.deliveries(id)["deliveries"] == []


def test_fifty_are_the_most(desk: Desk) -> None:
    ids = [desk.hook(URL) for _ in range(50)]
    assert len(set(ids)) == 50
    problem = refused(desk, "/webhooks", {"url": URL})
    assert (problem["status"], problem["code"]) == (409, "too_many_webhooks")
    desk.call("DELETE", f"/webhooks/{ids[0]}")
    desk.hook(URL)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", ""),
        ("GET", "/deliveries"),
        ("POST", "/test"),
        ("POST", "/enable"),
        ("POST", "/rotate"),
        ("POST", "/replay"),
    ],
)
def test_what_is_not_there_is_not_found(desk: Desk, method: str, path: str) -> None:
    problem = refused(desk, f"/webhooks/wh_nothing{path}", None, method)
    assert (problem["status"], problem["code"]) == (404, "webhook_not_found")
    id = desk.hook(URL)
    desk.call("DELETE", f"/webhooks/{id}")
    assert refused(desk, f"/webhooks/{id}{path}", None, method)["code"] == "webhook_not_found"


@pytest.mark.parametrize(
    "since", ["nothing", "0-1", "{epoch}-99", "{epoch}--1", "2999-01-01T00:00:00Z", "-", "5"]
)
def test_a_replay_needs_a_place_that_is_known(desk: Desk, since: str) -> None:
    id = desk.hook(URL)
    problem = refused(desk, f"/webhooks/{id}/replay", {"since": since.format(epoch=desk.shard.events.epoch)})
    assert (problem["code"], problem["errors"][0]["path"]) == ("invalid_value", "since")


@pytest.mark.parametrize("limit", ["0", "101", "x", ""])
def test_deliveries_have_a_limit(desk: Desk, limit: str) -> None:
    id = desk.hook(URL)
    assert refused(desk, f"/webhooks/{id}/deliveries?limit={limit}", None, "GET")["code"] == "invalid_value"


def test_a_key_needs_the_scope(desk: Desk) -> None:
    key = desk.shard.keys.create("other", {"read:status"})[1]
    answer = desk.client.get("/api/v1/webhooks", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json["code"]) == (403, "missing_scope")


def test_no_secret_ends_before_its_day_however_often_another_is_made(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    id = desk.hook(URL)
    ends = []
    for _ in range(4):
        now += 1000
        last = desk.call("POST", f"/webhooks/{id}/rotate")
        ends.append(last["previousUntil"])
    problem = refused(desk, f"/webhooks/{id}/rotate", None)
    assert (problem["status"], problem["code"]) == (409, "conflict")
    assert problem["hint"] == f"The oldest ends at {ends[0]}; then a new one can be made."
    again = desk.call("POST", f"/webhooks/{id}/rotate", {"secret": last["secret"]})
    assert (again["changed"], again["previousUntil"]) == (False, ends[-1])
    now = clock.ms(ends[0])
    desk.call("POST", f"/webhooks/{id}/rotate")
    assert refused(desk, f"/webhooks/{id}/rotate", None)["code"] == "conflict"


def test_a_replay_to_a_disabled_webhook_says_that_nothing_is_sent_yet(desk: Desk) -> None:
    id = desk.hook(URL)
    (first,) = desk.join(1)
    assert "hint" not in desk.call("POST", f"/webhooks/{id}/replay", {"since": first})
    assert run(desk, "replay", id).stdout == f"{id} is sent again 0 parked events\n"
    desk.shard.writer.write(lambda: desk.box.table.enable(id, False, "gone"))
    asked = f"POST /api/v1/webhooks/{id}/enable"
    assert asked in desk.call("POST", f"/webhooks/{id}/replay", {"since": first})["hint"]
    said = run(desk, "replay", id, "--since", first).stdout
    assert said == f"{id} is sent again all after {first}, but it is disabled: not before {asked}\n"
    desk.call("POST", f"/webhooks/{id}/enable")
    assert "hint" not in desk.call("POST", f"/webhooks/{id}/replay", {"since": first})


def test_webhooks_of_one_guild_are_not_seen_by_another(make_app: MakeApp) -> None:
    first, second = (Desk(make_app(**LOOPBACK, GUILD__ID=guild)) for guild in ("1", "2"))
    id = first.hook(URL)
    assert second.call("GET", "/webhooks")["webhooks"] == []
    assert refused(second, f"/webhooks/{id}", None, "DELETE")["code"] == "webhook_not_found"
    assert first.state(id)["id"] == id


@pytest.mark.parametrize("network", ["10.0.0.0/99", "example.com", ""])
def test_a_network_that_is_none_stops_the_start(make_app: MakeApp, network: str) -> None:
    with pytest.raises(ConfigError, match="plugins.webhooks: allow_private"):
        make_app(PLUGINS__WEBHOOKS__ALLOW_PRIVATE=json.dumps([network]))


def test_metadata_is_refused_whatever_is_allowed(make_app: MakeApp) -> None:
    desk = Desk(make_app(PLUGINS__WEBHOOKS__ALLOW_PRIVATE='["0.0.0.0/0", "::/0"]'))
    desk.hook("http://10.1.2.3/")
    for address in ("169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]"):
        problem = refused(desk, "/webhooks", {"url": f"http://{address}/"})
        assert problem["code"] == "invalid_value" and "hint" not in problem


def test_a_private_network_is_refused_with_what_allows_it(make_app: MakeApp) -> None:
    desk = Desk(make_app())
    assert "allow_private" in refused(desk, "/webhooks", {"url": "http://10.1.2.3/"})["hint"]
    assert "hint" not in refused(desk, "/webhooks", {"url": "http://169.254.169.254/"})


def test_what_encrypts_is_imported_with_the_first_webhook(tmp_path: Any) -> None:
    code = (
        "import sys\n"
        "from shardapi import create_app\nfrom shardapi.config import load\n"
        f"app = create_app(load(environ={{}}, data_dir={str(tmp_path / 'data')!r}))\n"
        "box = app.extensions['webhooks'].outbox\n"
        "print('cryptography' in sys.modules)\n"
        "box.vault\n"
        "print('cryptography' in sys.modules)\n"
        "app.shard.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_metrics_tell_how_webhooks_fare(desk: Desk) -> None:
    desk.hook(URL)
    text = desk.client.get("/api/v1/metrics/prometheus").text
    assert 'shardapi_webhooks{state="delivering"} 1.0' in text
    assert 'shardapi_webhooks_attempts_total{outcome="delivered"} 0.0' in text


# -- commands


def run(desk: Desk, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command on the desk's data folder."""
    env = {f"SHARDAPI_{name}": value for name, value in LOOPBACK.items()}
    call = [sys.executable, "-m", "shardapi", "webhooks", *words, "--data-dir", str(desk.shard.store.folder)]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, env=env, check=False)


def test_the_command_lists_webhooks(desk: Desk) -> None:
    assert "There are no webhooks" in run(desk, "list").stdout
    id = desk.hook(URL, "user.*")
    assert run(desk, "list").stdout == f"{id}  delivering  {URL}  user.*\n"
    assert (
        json.loads(run(desk, "list", "--json").stdout)["webhooks"]
        == desk.call("GET", "/webhooks")["webhooks"]
    )


def test_the_command_tests_a_webhook(desk: Desk) -> None:
    with Receiver() as receiver:
        id = desk.hook(receiver.url)
        done = run(desk, "test", id, "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["delivered"], told["status"]) == (0, True, 204)
        assert receiver.types == ["webhook.test"]
        receiver.answers = lambda delivery: 500
        done = run(desk, "test", id)
        assert (done.returncode, "answered 500" in done.stdout) == (1, True)
    done = run(desk, "test", id)
    assert (done.returncode, "did not answer: connection_refused" in done.stdout) == (1, True)
    done = run(desk, "test", "wh_nothing")
    assert (done.returncode, "There is no webhook wh_nothing." in done.stderr) == (1, True)


def test_the_command_lists_a_webhook_that_another_process_waits_for_as_held(desk: Desk) -> None:
    import gevent.threadpool
    from outboxes import until

    from shardapi.outbox.schedule import Schedule

    desk.box.schedule = Schedule(waits=(600.0,))
    desk.begin()
    id = desk.hook(URL, "user.*")  # nobody is there
    desk.join(1)
    state = until(lambda: (now := desk.state(id))["state"] == "held" and now)
    desk.box.flush()
    pool = gevent.threadpool.ThreadPool(1)
    said = pool.apply(run, (desk, "list")).stdout
    listed = json.loads(pool.apply(run, (desk, "list", "--json")).stdout)["webhooks"]
    pool.kill()
    desk.end()
    assert f"held (next try {state['nextAttemptAt']})" in said
    assert listed == [state]


def test_the_command_has_events_sent_again_by_the_server_that_runs(desk: Desk) -> None:
    from outboxes import until, users

    with Receiver() as receiver:
        desk.begin()
        id = desk.hook(receiver.url, "user.*")
        ids = desk.join(1, 2)
        until(lambda: len(receiver.got) == 2)
        desk.shard.writer.watch()
        import gevent.threadpool

        pool = gevent.threadpool.ThreadPool(1)
        done = pool.apply(run, (desk, "replay", id, "--since", ids[0], "--json"))
        assert json.loads(done.stdout) == {"id": id, "since": ids[0], "parked": 0}
        until(lambda: len(receiver.got) == 3)
        assert users(receiver) == ["1", "2", "2"]
        desk.end()
        pool.kill()

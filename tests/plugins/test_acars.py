"""POST /acars: who hears an alert, who may send one, how often; sent once, or not at all."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from apps import API, client_of, join, problem, said
from flask.testing import FlaskClient
from gateways import Join, served

from shardapi import ShardApp, limits
from shardapi.changes import FeatureChanges
from shardapi.commands import SetFeatures
from shardapi.store import one, rows
from shardapi.testing import Server

ACARS = f"{API}/acars"
BRIEFING = {"text": "Briefing in 5"}
KEPT = {"Idempotency-Key": "first"}
UNLIMITED = {"LIMITS__ACARS": "1000/minute"}


@pytest.fixture
def app(make_app: Callable[..., ShardApp]) -> ShardApp:
    return make_app()


@pytest.fixture
def open_app(make_app: Callable[..., ShardApp]) -> ShardApp:
    """An app whose alerts are not limited."""
    return make_app(**UNLIMITED)


def told(app: ShardApp) -> list[dict[str, Any]]:
    """The alerts in the log."""
    events = app.shard.events.page(0, 2**62)
    return [event.envelope for event in events if event.type == "acars.sent"]


# -- at a gateway


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("shard"), **UNLIMITED) as server:
        yield server


def test_every_connection_of_every_operator_gets_it_once(shard: Server, join: Join, user: str) -> None:
    operators = [join(user), join(user), join(f"{user}-b", "Bob")]
    body = {"text": " Briefing\nin 5 ", "senderName": " Ops ", "durationMs": 7000, "alertType": "critical"}
    answer = shard.post("/acars", body).json()
    expected = {"routed": 3, "delivered": True, "clients": 3, "durationMs": 7000, "alertType": "critical"}
    assert answer == {
        "ok": True,
        "guildId": answer["guildId"],
        "action": "acars.send",
        "changed": True,
        "version": shard.get("/status").json()["version"],
        "id": answer["id"],
        **expected,
    }
    shown = {"text": "Briefing\nin 5", "senderName": "Ops", "durationMs": 7000, "alertType": "critical"}
    for operator in operators:
        heard = operator.expect("acars")
        assert heard["data"] == {"id": answer["id"], **shown, "at": heard["data"]["at"]}
    again = shard.post("/acars", {"text": "Second"}).json()["id"]
    assert [operator.expect("acars")["data"]["id"] for operator in operators] == [again] * 3


def test_a_replay_reaches_nobody_again(shard: Server, join: Join, user: str) -> None:
    operator = join(user)
    first = shard.post("/acars", BRIEFING, headers={"Idempotency-Key": user})
    again = shard.post("/acars", BRIEFING, headers={"Idempotency-Key": user})
    assert again.content == first.content and again.headers["Idempotent-Replayed"] == "true"
    last = shard.post("/acars", {"text": "Last"}).json()["id"]
    assert operator.expect("acars")["data"]["id"] == first.json()["id"]
    assert operator.expect("acars")["data"]["id"] == last


def test_the_count_is_of_the_connections_that_took_it(shard: Server, join: Join, user: str) -> None:
    stays, goes = join(user), join(f"{user}-b")
    goes.socket.close()
    shard.wait(lambda: len(shard.get("/roster").json()["operators"]) == 1, "the other to leave")
    assert shard.post("/acars", BRIEFING).json()["routed"] == 1
    assert stays.expect("acars")["data"]["text"] == BRIEFING["text"]


def test_a_service_listener_is_no_operator(shard: Server, join: Join, user: str) -> None:
    secret = shard.command("keys", "create", "relay", "--service")["secret"]
    listener, operator = join(user, shown=secret), join(user)
    assert shard.post("/acars", BRIEFING).json()["routed"] == 1
    operator.expect("acars")
    listener.send(type="ping")
    listener.expect("pong")
    assert "acars" not in [message["type"] for message in listener.seen]


# -- in process


def test_with_nobody_connected_it_is_sent_to_nobody(app: ShardApp, client: FlaskClient) -> None:
    answer = said(client.post(ACARS, json=BRIEFING))
    assert (answer["routed"], answer["delivered"], answer["clients"]) == (0, False, 0)
    assert (answer["durationMs"], answer["alertType"]) == (8500, "non-emergency")
    assert [event["data"]["routed"] for event in told(app)] == [0]


def test_it_is_an_event(app: ShardApp, client: FlaskClient) -> None:
    join(app, "1")
    answer = said(client.post(ACARS, json={**BRIEFING, "senderName": "Ops"}))
    (event,), (key,) = told(app), app.shard.keys.all()
    assert event["data"] == {
        "id": answer["id"],
        "text": "Briefing in 5",
        "durationMs": 8500,
        "alertType": "non-emergency",
        "senderId": key.id,
        "senderName": "Ops",
        "source": "api",
        "routed": 1,
        "at": event["at"],
        "keyId": key.id,
    }


def test_one_that_is_ending_is_not_reached(app: ShardApp, client: FlaskClient) -> None:
    here, ending = join(app, "1"), join(app, "2")
    ending.closed = "slow"
    answer = said(client.post(ACARS, json=BRIEFING, headers=KEPT))
    assert (answer["routed"], answer["clients"], answer["delivered"]) == (1, 2, True)
    assert told(app)[0]["data"]["routed"] == 1
    assert client.post(ACARS, json=BRIEFING, headers=KEPT).get_json() == answer
    assert len([message for message in here.seen if message["type"] == "acars"]) == 1


def test_who_comes_while_it_is_written_is_counted(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = app.shard.central.submit

    def one_comes(*given: Any, **options: Any) -> Any:
        done = submit(*given, **options)
        join(app, "1")
        return done

    monkeypatch.setattr(app.shard.central, "submit", one_comes)
    first = client.post(ACARS, json=BRIEFING, headers=KEPT)
    assert said(first)["routed"] == 1 and told(app)[0]["data"]["routed"] == 1
    assert client.post(ACARS, json=BRIEFING, headers=KEPT).data == first.data


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ""),
        ({"text": ""}, "text"),
        ({"text": " \n "}, "text"),
        ({"text": "x" * 281}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "a\x1bb"}, "text"),
        ({"text": "a\x85b"}, "text"),
        ({"text": None}, "text"),
        ({"text": 5}, "text"),
        ({**BRIEFING, "senderName": "x" * 65}, "senderName"),
        ({**BRIEFING, "senderName": "a\nb"}, "senderName"),
        ({**BRIEFING, "senderName": 5}, "senderName"),
        ({**BRIEFING, "durationMs": 6999}, "durationMs"),
        ({**BRIEFING, "durationMs": 10_001}, "durationMs"),
        ({**BRIEFING, "durationMs": 8500.5}, "durationMs"),
        ({**BRIEFING, "durationMs": "8500"}, "durationMs"),
        ({**BRIEFING, "durationMs": True}, "durationMs"),
        ({**BRIEFING, "alertType": "Emergency"}, "alertType"),
        ({**BRIEFING, "alertType": ""}, "alertType"),
        ({**BRIEFING, "alertType": "loud"}, "alertType"),
    ],
)
def test_a_bad_value_is_refused_and_spends_nothing(
    app: ShardApp, client: FlaskClient, body: dict[str, Any], path: str
) -> None:
    listener = join(app, "1")
    refused = problem(client.post(ACARS, json=body), "invalid_value")
    assert path in refused["errors"][0]["path"]
    assert listener.seen == [] and told(app) == []
    said(client.post(ACARS, json=BRIEFING))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"text":"\xff"}', b'{"text":"\\ud800"}'])
def test_what_is_no_json_object_is_refused(client: FlaskClient, data: bytes) -> None:
    answer = client.post(ACARS, data=data)
    assert answer.status_code == 400
    problem(answer, answer.get_json()["code"])


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"text": "x"}, ("x", "Owner API")),
        ({"text": f" {'x' * 280}\n"}, ("x" * 280, "Owner API")),
        (
            {"text": "\N{POLICE CARS REVOLVING LIGHT}" * 280},
            ("\N{POLICE CARS REVOLVING LIGHT}" * 280, "Owner API"),
        ),
        ({"text": "a\r\n\tb"}, ("a\r\n\tb", "Owner API")),
        ({"text": "x", "senderName": " "}, ("x", "Owner API")),
        ({"text": "x", "senderName": f" {'n' * 64} "}, ("x", "n" * 64)),
        ({"text": "x", "extra": 1}, ("x", "Owner API")),
    ],
)
def test_what_is_within_bounds_is_shown(
    open_app: ShardApp, body: dict[str, Any], shown: tuple[str, str]
) -> None:
    listener = join(open_app, "1")
    said(client_of(open_app).post(ACARS, json=body))
    heard = listener.last("acars")["data"]
    assert (heard["text"], heard["senderName"]) == shown


def test_the_scope_is_write_acars(app: ShardApp) -> None:
    problem(client_of(app, "write:clients").post(ACARS, json=BRIEFING), "missing_scope")
    said(client_of(app, "write:acars").post(ACARS, json=BRIEFING))


# -- whether it may be sent at all


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
def test_a_shard_that_is_not_premium_sends_none(make_app: Callable[..., ShardApp], query: str) -> None:
    app = make_app(CENTRAL__PREMIUM="false")
    client, listener = client_of(app), join(app, "1")
    assert problem(client.post(ACARS + query, json=BRIEFING, headers=KEPT), "premium_required")["hint"]
    assert listener.seen == [] and told(app) == []


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
def test_none_is_sent_while_alerts_are_switched_off(app: ShardApp, client: FlaskClient, query: str) -> None:
    listener = join(app, "1")
    switch(app, False)
    listener.seen.clear()
    assert problem(client.post(ACARS + query, json=BRIEFING, headers=KEPT), "feature_off")["hint"]
    assert listener.seen == [] and told(app) == []
    switch(app, True)
    assert said(client.post(ACARS, json=BRIEFING, headers=KEPT))["routed"] == 1


def switch(app: ShardApp, on: bool) -> None:
    app.shard.central.submit([SetFeatures(changes=FeatureChanges(acars_enabled=on))])


# -- the limit


def test_each_key_may_send_one_a_minute(app: ShardApp, client: FlaskClient) -> None:
    listener = join(app, "1")
    sent = client.post(ACARS, json=BRIEFING)
    assert said(sent) and sent.headers["RateLimit-Policy"] == '"default";q=120;w=60, "acars";q=1;w=60'
    assert '"default";r=119;' in sent.headers["RateLimit"] and '"acars";r=0;' in sent.headers["RateLimit"]
    assert sent.headers["X-RateLimit-Remaining"] == "119"
    refused = client.post(ACARS, json=BRIEFING)
    problem(refused, "rate_limited")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Policy"] == '"acars";q=1;w=60'
    assert refused.headers["RateLimit"].startswith('"acars";r=0;')
    assert (refused.headers["X-RateLimit-Limit"], refused.headers["X-RateLimit-Remaining"]) == ("1", "0")
    said(client_of(app).post(ACARS, json=BRIEFING))
    assert len([message for message in listener.seen if message["type"] == "acars"]) == 2


def test_a_dry_run_sends_and_spends_nothing(app: ShardApp, client: FlaskClient) -> None:
    listener = join(app, "1")
    for _ in range(2):
        answer = said(client.post(f"{ACARS}?dryRun=true", json=BRIEFING, headers=KEPT))
        assert (answer["dryRun"], answer["routed"], answer["id"]) == (True, 1, "")
    assert listener.seen == [] and told(app) == []
    said(client.post(ACARS, json=BRIEFING, headers=KEPT))
    said(client.post(f"{ACARS}?dryRun=true", json=BRIEFING))


def test_a_replay_spends_nothing_and_comes_before_the_limit(app: ShardApp, client: FlaskClient) -> None:
    first = client.post(ACARS, json=BRIEFING, headers=KEPT)
    for _ in range(2):
        again = client.post(ACARS, json=BRIEFING, headers=KEPT)
        assert again.data == first.data and again.headers["Idempotent-Replayed"] == "true"
    refused = client.post(ACARS, json={"text": "Other"}, headers=KEPT)
    problem(refused, "idempotency_mismatch")
    assert len(told(app)) == 1


def test_of_two_at_once_one_is_sent(app: ShardApp, client: FlaskClient) -> None:
    other = app.test_client()
    other.environ_base.update(client.environ_base)
    both = [gevent.spawn(one.post, ACARS, json=BRIEFING) for one in (client, other)]
    assert sorted(one.get(timeout=10).status_code for one in both) == [200, 429]
    assert len(told(app)) == 1


def test_a_refusal_says_that_nothing_was_spent(app: ShardApp, client: FlaskClient) -> None:
    switch(app, False)
    refused = client.post(ACARS, json=BRIEFING)
    problem(refused, "feature_off")
    assert '"acars";r=1;' in refused.headers["RateLimit"]


def test_what_the_store_cannot_keep_is_not_sent_and_spends_nothing(
    app: ShardApp, client: FlaskClient
) -> None:
    listener, store = join(app, "1"), app.shard.store
    store.execute(lambda: one("PRAGMA query_only = 1"))
    problem(client.post(ACARS, json=BRIEFING, headers=KEPT), "store_unavailable")
    assert "acars" not in [message["type"] for message in listener.seen]
    store.execute(lambda: one("PRAGMA query_only = 0"))
    assert said(client.post(ACARS, json=BRIEFING, headers=KEPT))["routed"] == 1


def test_null_stands_for_what_is_not_given(client: FlaskClient) -> None:
    nothing = {"senderName": None, "durationMs": None, "alertType": None}
    sent = said(client.post(f"{ACARS}?dryRun=true", json={**BRIEFING, **nothing}))
    assert (sent["durationMs"], sent["alertType"]) == (8500, "non-emergency")


def test_another_version_of_the_config_spends_nothing(client: FlaskClient) -> None:
    problem(client.post(ACARS, json=BRIEFING, headers={"If-Match": '"7"'}), "precondition_failed")
    said(client.post(ACARS, json=BRIEFING))


def test_the_minute_begins_with_the_alert_that_was_sent(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: clock[0])
    problem(client.post(ACARS, json=BRIEFING, headers={"If-Match": '"7"'}), "precondition_failed")
    clock[0] += 59
    said(client.post(ACARS, json=BRIEFING))
    clock[0] += 59
    problem(client.post(ACARS, json=BRIEFING), "rate_limited")
    clock[0] += 1.5
    said(client.post(ACARS, json=BRIEFING))


def test_the_limit_is_a_setting(make_app: Callable[..., ShardApp]) -> None:
    client = client_of(make_app(LIMITS__ACARS="2/hour"))
    for _ in range(2):
        said(client.post(ACARS, json=BRIEFING))
    problem(client.post(ACARS, json=BRIEFING), "rate_limited")


def test_it_is_in_the_audit_without_its_text(app: ShardApp, client: FlaskClient) -> None:
    said(client.post(ACARS, json=BRIEFING, headers={"X-Audit-Log-Reason": "briefing"}))
    app.shard.audit.flush()
    found = app.shard.store.read(lambda: rows("SELECT * FROM audit"))
    assert len(found) == 1 and "briefing" in found[0] and BRIEFING["text"] not in json.dumps(found)

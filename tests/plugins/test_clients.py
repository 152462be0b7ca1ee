"""POST /clients/disconnect: who is sent home, what they are told, how long they stay away; done once, or not at all."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from apps import API, client_of, problem, said
from flask.testing import FlaskClient
from gateways import Connect, Join, Tail, connected, receive, refused, served, token, told_to_go
from websockets.exceptions import InvalidStatus

from shardapi import ShardApp, clock
from shardapi.presence import Identity, Message
from shardapi.store import one, rows
from shardapi.testing import Server

DISCONNECT = f"{API}/clients/disconnect"
KEPT = {"Idempotency-Key": "first"}


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("shard")) as server:
        yield server


def test_an_operator_is_sent_home_with_a_reason(
    shard: Server, join: Join, user: str, tail: Tail, net: dict[str, Any]
) -> None:
    shard.post("/assignments", {"userId": user, "netUid": net["netUid"]})
    first, second = join(user), join(user)
    first.send(type="ptt.start", netUid=net["netUid"])
    second.expect("ptt.start")
    answer = shard.post("/clients/disconnect", {"userId": user, "reason": " Off the net, please "}).json()
    assert user not in connected(shard)
    version = shard.get("/status").json()["version"]
    assert answer == {
        "ok": True,
        "guildId": answer["guildId"],
        "action": "client.disconnect",
        "changed": True,
        "version": version,
        "userId": user,
        "disconnected": 2,
        "blockedUntil": "",
    }
    assert told_to_go(first.socket) == told_to_go(second.socket) == "Off the net, please"
    (key,) = [one for one in shard.command("keys", "list") if one["kind"] == "owner"]
    assert tail.expect("ptt.stop")["reason"] == "disconnect"
    assert tail.expect("user.left")["reason"] == "disconnect"
    assert tail.expect("client.disconnected") == {"userId": user, "keyId": key["id"], "disconnected": 2}
    join(user)


def test_without_a_reason_the_client_is_told_disconnect(shard: Server, join: Join, user: str) -> None:
    operator = join(user)
    shard.post("/clients/disconnect", {"userId": user})
    assert told_to_go(operator.socket) == "disconnect"


def test_a_blocked_user_is_kept_out_also_after_a_restart(
    shard: Server, join: Join, connect: Connect, user: str
) -> None:
    operator, waiting = join(user), connect(token(user))
    receive(waiting)
    answer = shard.post("/clients/disconnect", {"userId": user, "reason": "Enough", "blockMinutes": 5}).json()
    assert answer["disconnected"] == 1 and answer["blockedUntil"] > clock.iso(clock.now() + 290_000)
    assert told_to_go(operator.socket) == "Enough"
    assert told_to_go(waiting) == "disconnect"
    for _ in range(2):
        with pytest.raises(InvalidStatus) as refusal:
            connect(token(user))
        assert refused(refusal) == (403, "blocked")
        assert 200 < int(refusal.value.response.headers["Retry-After"]) <= 300
        shard.restart()
    join(user + "-other")


# -- in process


class Phone:
    """A connection that keeps what it is told."""

    transport = "ws"

    def __init__(self) -> None:
        self.told: list[str] = []

    def send(self, message: Message) -> bool:
        return True

    def close(self, reason: str, text: str = "") -> None:
        self.told.append(text or reason)


@pytest.fixture
def phone(app: ShardApp) -> Phone:
    """The connection of user 1."""
    phone = Phone()
    app.shard.presence.join(phone, Identity("1", "Ann"))
    return phone


def test_nobody_connected_is_not_found(client: FlaskClient, phone: Phone) -> None:
    assert problem(client.post(DISCONNECT, json={"userId": "2"}), "not_connected")["hint"]
    assert phone.told == []


def test_nobody_is_blocked_who_is_not_connected(app: ShardApp, client: FlaskClient) -> None:
    problem(client.post(DISCONNECT, json={"userId": "2", "blockMinutes": 5}), "not_connected")
    assert not app.shard.operators.blocked_until("2")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ""),
        ({"userId": 1}, "userId"),
        ({"userId": ""}, "userId"),
        ({"userId": "1", "reason": "r" * 201}, "reason"),
        ({"userId": "1", "reason": 5}, "reason"),
        ({"userId": "1", "blockMinutes": -1}, "blockMinutes"),
        ({"userId": "1", "blockMinutes": 1441}, "blockMinutes"),
        ({"userId": "1", "blockMinutes": 0.5}, "blockMinutes"),
        ({"userId": "1", "blockMinutes": "5"}, "blockMinutes"),
    ],
)
def test_a_bad_value_is_refused(client: FlaskClient, phone: Phone, body: dict[str, Any], path: str) -> None:
    refused = problem(client.post(DISCONNECT, json=body), "invalid_value")
    assert path in refused["errors"][0]["path"]
    assert phone.told == []


def test_the_scope_is_write_clients(app: ShardApp, phone: Phone) -> None:
    problem(client_of(app, "write:nets").post(DISCONNECT, json={"userId": "1"}), "missing_scope")
    said(client_of(app, "write:clients").post(DISCONNECT, json={"userId": "1"}))
    assert phone.told == ["disconnect"]


def test_a_dry_run_disconnects_nobody(app: ShardApp, client: FlaskClient, phone: Phone) -> None:
    body = {"userId": "1", "blockMinutes": 5}
    answer = said(client.post(f"{DISCONNECT}?dryRun=true", json=body, headers=KEPT))
    assert (answer["disconnected"], answer["changed"], answer["dryRun"]) == (1, True, True)
    assert phone.told == [] and not app.shard.operators.blocked_until("1")
    assert said(client.post(DISCONNECT, json=body, headers=KEPT)).get("dryRun") is None
    assert phone.told == ["disconnect"]


def test_another_version_disconnects_nobody(client: FlaskClient, phone: Phone) -> None:
    for query in ("", "?dryRun=true"):
        answer = client.post(DISCONNECT + query, json={"userId": "1"}, headers={"If-Match": '"7"'})
        problem(answer, "precondition_failed")
    assert phone.told == []
    said(client.post(DISCONNECT, json={"userId": "1"}, headers={"If-Match": '"0"'}))
    assert phone.told == ["disconnect"]


def test_a_repeat_is_answered_and_disconnects_nobody(
    app: ShardApp, client: FlaskClient, phone: Phone
) -> None:
    first = client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT)
    app.shard.presence.join(phone, Identity("1", "Ann"))
    again = client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT)
    assert again.headers["Idempotent-Replayed"] == "true" and again.data == first.data
    assert phone.told == ["disconnect"]


def test_what_broke_off_is_not_done_again(
    app: ShardApp, client: FlaskClient, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(app.shard.presence, "disconnect", lambda *_: 1 / 0)
        problem(client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT), "internal")
    again = client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert phone.told == []


def test_nobody_goes_while_the_store_cannot_write(app: ShardApp, client: FlaskClient, phone: Phone) -> None:
    store = app.shard.store
    store.execute(lambda: one("PRAGMA query_only = 1"))
    problem(client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT), "store_unavailable")
    assert phone.told == []
    store.execute(lambda: one("PRAGMA query_only = 0"))
    said(client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT))
    assert phone.told == ["disconnect"]


def test_the_count_is_of_those_who_were_there_when_it_was_done(
    app: ShardApp, client: FlaskClient, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence, submit = app.shard.presence, app.shard.central.submit

    def one_more_comes(*given: Any, **options: Any) -> Any:
        done = submit(*given, **options)
        presence.join(Phone(), Identity("1", "Ann"))
        return done

    monkeypatch.setattr(app.shard.central, "submit", one_more_comes)
    first = client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT)
    assert said(first)["disconnected"] == 2
    assert client.post(DISCONNECT, json={"userId": "1"}, headers=KEPT).data == first.data
    (told,) = (one for one in app.shard.events.page(0, 2**62) if one.type == "client.disconnected")
    assert told.envelope["data"]["disconnected"] == 2


def test_it_is_in_the_audit_with_its_reason(app: ShardApp, client: FlaskClient, phone: Phone) -> None:
    said(client.post(DISCONNECT, json={"userId": "1"}, headers={"X-Audit-Log-Reason": "noise"}))
    found = app.shard.store.read(lambda: rows("SELECT method, path, status, reason FROM audit"))
    assert found == [("POST", DISCONNECT, 200, "noise")]


def test_a_block_ends_by_itself_and_leaves_no_row_behind(app: ShardApp) -> None:
    operators, now = app.shard.operators, clock.now()
    for user, until in (("1", now - 1), ("2", now + 60_000)):
        app.shard.writer.write(partial(operators.block, user, until))
    operators.reload()
    assert (operators.blocked_until("1"), operators.blocked_until("2")) == (0, now + 60_000)
    assert app.shard.store.read(lambda: one("SELECT count(*) FROM blocked_operator"))[0] == 1

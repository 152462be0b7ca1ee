"""Operators at a real shard: who is let in, what they hear, how they talk, how they leave."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from gateways import GUILD, SECRET, Connect, Join, Tail, connected, receive, refused, served, token
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shardapi.auth import mint_secret
from shardapi.errors import ApiError
from shardapi.testing import Operator, Server
from shardapi.tokens import Tokens
from shardapi_gateway.handshake import check_origin


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shard of most tests here."""
    settings = {
        "LIMITS__AUTH_FAILURES": "1000000/minute",
        "PLUGINS__GATEWAY__ORIGINS": '["https://panel.example.com"]',
    }
    with served(tmp_path_factory.mktemp("shard"), **settings) as server:
        yield server


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard that drops a silent peer soon and takes one failed token an hour."""
    settings = {"LIMITS__AUTH_FAILURES": "1/hour", "PLUGINS__GATEWAY__HEARTBEAT_SECONDS": "0.5"}
    with served(tmp_path_factory.mktemp("impatient"), **settings) as server:
        yield server


# -- the upgrade


def test_a_plain_get_is_told_to_upgrade(shard: Server) -> None:
    answer = shard.get("/ws", key="")
    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_required")
    assert answer.headers["Upgrade"] == "websocket"


GOOD = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
HANDSHAKES: dict[str, tuple[str, dict[str, str], int]] = {
    "good": ("GET /ws HTTP/1.1", {}, 101),
    "other case": ("GET /ws HTTP/1.1", {"Upgrade": "WebSocket", "Connection": "upgrade"}, 101),
    "no key": ("GET /ws HTTP/1.1", {"Sec-WebSocket-Key": ""}, 400),
    "short key": ("GET /ws HTTP/1.1", {"Sec-WebSocket-Key": "YWJj"}, 400),
    "key that is not base64": ("GET /ws HTTP/1.1", {"Sec-WebSocket-Key": "*" * 24}, 400),
    "other version": ("GET /ws HTTP/1.1", {"Sec-WebSocket-Version": "12"}, 426),
    "no version": ("GET /ws HTTP/1.1", {"Sec-WebSocket-Version": ""}, 426),
    "other protocol": ("GET /ws HTTP/1.1", {"Upgrade": "h2c"}, 426),
    "no connection field": ("GET /ws HTTP/1.1", {"Connection": "keep-alive"}, 426),
    "a body": ("GET /ws HTTP/1.1", {"Content-Length": "3"}, 400),
    "bad subprotocol": ("GET /ws HTTP/1.1", {"Sec-WebSocket-Protocol": "a b"}, 400),
    "HTTP/1.0": ("GET /ws HTTP/1.0", {}, 426),
    "HEAD": ("HEAD /ws HTTP/1.1", {}, 426),
    "POST": ("POST /ws HTTP/1.1", {}, 405),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_the_handshake_is_checked(name: str, shard: Server, user: str) -> None:
    line, changes, status = HANDSHAKES[name]
    with upgraded(shard, user, line, changes) as (_, answer):
        pass
    assert answer.startswith(line.split()[-1].encode() + b" %d " % status)
    if status == 101:
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    if status == 426:
        assert b"Sec-WebSocket-Version: 13\r\n" in answer


@contextmanager
def upgraded(
    shard: Server, user: str, line: str = "GET /ws HTTP/1.1", changes: dict[str, str] | None = None
) -> Iterator[tuple[socket.socket, bytes]]:
    """A bare socket on which an upgrade was asked for, and what was answered."""
    fields = {**GOOD, "Authorization": f"Bearer {token(user)}", **(changes or {})}
    head = "\r\n".join([line, *(f"{field}: {value}" for field, value in fields.items() if value)])
    address = urlsplit(shard.url)
    with socket.socket() as sock:
        sock.settimeout(5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # little is read for those who do not
        sock.connect((address.hostname, address.port))
        sock.sendall(head.encode() + b"\r\n\r\n")
        read = b""
        while b"\r\n\r\n" not in read:
            data = sock.recv(65536)
            assert data, read
            read += data
        yield sock, read


def test_a_token_is_taken_as_header_subprotocol_or_query(connect: Connect, user: str) -> None:
    shown = token(user)
    by_header = connect(shown)
    by_subprotocol = connect(subprotocols=["bearer", shown])
    by_query = connect(query=f"?token={shown}")
    assert {receive(one)["type"] for one in (by_header, by_subprotocol, by_query)} == {"hello"}
    assert (by_header.subprotocol, by_subprotocol.subprotocol, by_query.subprotocol) == (None, "bearer", None)


def test_an_upgrade_carries_the_request_id(connect: Connect, user: str) -> None:
    answer = connect(token(user)).response
    assert answer is not None and answer.headers["X-Request-Id"]


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "none": lambda: "",
    "garbage": lambda: "garbage",
    "expired": lambda: token("1", days=-1),
    "another guild's": lambda: token("1", guild="9"),
    "another secret's": lambda: Tokens(["another"]).sign("operator", {"userId": "1", "guildId": GUILD}),
    "another purpose's": lambda: Tokens([SECRET]).sign("embed", {"userId": "1", "guildId": GUILD}),
    "an owner key": lambda: mint_secret("owner"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_bad_token_opens_nothing(name: str, connect: Connect) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        connect(BAD_TOKENS[name]())
    assert refused(refusal) == (401, "unauthorized")
    assert refusal.value.response.headers["WWW-Authenticate"] == "Bearer"


def test_failed_tokens_are_limited_and_valid_ones_are_not(
    impatient: Server, connect: Connect, user: str
) -> None:
    for expected in ((401, "unauthorized"), (429, "rate_limited")):
        with pytest.raises(InvalidStatus) as refusal:
            connect("garbage", server=impatient)
        assert refused(refusal) == expected
    assert receive(connect(token(user), server=impatient))["type"] == "hello"


def test_a_foreign_origin_is_refused(shard: Server, connect: Connect, user: str) -> None:
    shown = token(user)
    for origin in ("https://evil.example.com", "null"):
        with pytest.raises(InvalidStatus) as refusal:
            connect(shown, origin=origin)
        assert refused(refusal) == (403, "origin_refused")
    for origin in (shard.url, "https://panel.example.com"):
        assert receive(connect(shown, origin=origin))["type"] == "hello"


@pytest.mark.parametrize(
    ("origin", "host", "public_url", "admitted"),
    [
        ("https://shard.example.com", "shard.example.com", "", True),
        ("https://SHARD.example.com", "shard.example.com:443", "", True),
        ("https://shard.example.com:8443", "shard.example.com", "", False),
        ("https://shard.example.com.evil.com", "shard.example.com", "", False),
        ("https://shard.example.com", "127.0.0.1:25588", "https://shard.example.com/", True),
        ("https://shard.example.com", "127.0.0.1:25588", "https://shard.example.com:443", True),
        ("http://127.0.0.1:25588", "127.0.0.1:25588", "https://shard.example.com", False),
        ("https://panel.example.com/", "shard.example.com", "", True),
        ("http://panel.example.com", "shard.example.com", "", False),
        ("null", "", "", False),
        ("", "", "", False),
        ("https://[", "shard.example.com", "", False),
    ],
)
def test_an_origin_is_ours_by_its_host(origin: str, host: str, public_url: str, admitted: bool) -> None:
    environ = {"HTTP_ORIGIN": origin, "HTTP_HOST": host}
    try:
        check_origin(environ, public_url, ["https://panel.example.com"])
    except ApiError:
        assert not admitted
    else:
        assert admitted


def test_a_user_has_eight_sockets_at_most(shard: Server, connect: Connect, user: str) -> None:
    shown = token(user)
    sockets = [connect(shown) for _ in range(8)]
    with pytest.raises(InvalidStatus) as refusal:
        connect(shown)
    assert refused(refusal) == (429, "too_many_sockets")
    assert refusal.value.response.headers["Retry-After"]
    assert receive(connect(token(user + "-other")))["type"] == "hello"
    sockets[0].close()
    shard.wait(lambda: _opens(connect, shown), "a freed place")


def _opens(connect: Connect, shown: str) -> bool:
    try:
        connect(shown)
    except InvalidStatus:
        return False
    return True


def test_a_shard_that_does_not_serve_yet_says_so(client: FlaskClient) -> None:
    answer = client.get("/ws")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "starting")
    assert answer.headers["Retry-After"]


# -- hello and join


def test_an_operator_is_greeted_and_taken_in(shard: Server, connect: Connect, net: Any, user: str) -> None:
    shard.post("/assignments", {"userId": user, "netUid": net["netUid"]})
    socket = connect(token(user, "Ännä", ["7", "8"]))
    assert receive(socket) == {"type": "hello", "protocol": 1, "guildId": GUILD, "heartbeatMs": 8000}
    socket.send(json.dumps({"type": "join", "guildId": GUILD, "mode": "control"}))
    joined = receive(socket)
    assert joined["user"] == {"id": user, "displayName": "Ännä", "roles": ["7", "8"]}
    assert (joined["type"], joined["transport"]) == ("joined", "ws")
    config = joined["config"]
    assert config["version"] == shard.get("/status").json()["version"]
    assert config["operationOpen"] is True
    assert config["features"]["acarsEnabled"] is True
    assert config["publicNet"]["enabled"] is False
    uid = net["netUid"]
    mine = {"id": net["netId"], "uid": uid, "netUid": uid, "name": "Strike", "assigned": True}
    assert mine in config["nets"]
    assert config["assignments"] == [net["netId"]]


def test_a_joined_operator_is_on_the_roster(shard: Server, join: Join, user: str) -> None:
    join(user, "Ann")
    (mine,) = [one for one in shard.get("/roster").json()["operators"] if one["userId"] == user]
    assert (mine["displayName"], mine["transport"], mine["service"]) == ("Ann", "ws", False)


def test_joining_again_says_nothing(join: Join, user: str) -> None:
    operator = join(user)
    operator.send(type="join", guildId=GUILD)
    operator.send(type="ping")
    assert operator.receive()["type"] == "pong"


def test_a_join_of_another_guild_is_refused_and_may_be_mended(connect: Connect, user: str) -> None:
    socket = connect(token(user))
    receive(socket)
    socket.send(json.dumps({"type": "join", "guildId": "9"}))
    assert receive(socket)["code"] == "foreign_guild"
    socket.send(json.dumps({"type": "join", "guildId": GUILD}))
    assert receive(socket)["type"] == "joined"


def test_nobody_talks_before_joining(connect: Connect, user: str) -> None:
    socket = connect(token(user))
    receive(socket)
    for kind in ("ptt.start", "ptt.stop"):
        socket.send(json.dumps({"type": kind, "netId": 1}))
        assert receive(socket)["code"] == "not_joined"


# -- messages


def test_a_ping_is_answered_and_what_is_unknown_ignored(join: Join, user: str) -> None:
    operator = join(user)
    operator.send(type="dance")
    operator.send(type="pong")
    operator.send(type="audio.codec", codec="opus", more=1)
    operator.send(type="ping", at=[{}])
    assert operator.receive() == {"type": "pong"}


MALFORMED: list[str | bytes] = [
    "",
    "nonsense",
    "[]",
    "{}",
    '{"type": 1}',
    '{"type": "ptt.start"}',
    '{"type": "ptt.start", "netId": "1"}',
    '{"type": "ptt.start", "netId": true}',
    '{"type": "ptt.stop", "netUid": 1}',
    '{"type": "join"}',
    '{"type": "join", "guildId": "1", "mode": "dance"}',
    '{"type": "audio.codec"}',
    '{"type": "dance", "a": ' + "[" * 16000,
    '{"type": "ping", "a": ' + "[" * 7000 + "]" * 7000 + "}",
    b'{"type": "ping"}',
]


@pytest.mark.parametrize("frame", MALFORMED)
def test_a_malformed_frame_gets_an_error(frame: str | bytes, join: Join, user: str) -> None:
    operator = join(user)
    operator.socket.send(frame)
    error = operator.receive()
    assert (error["type"], error["code"]) == ("error", "malformed_frame")
    assert error["message"]
    operator.send(type="ping")
    assert operator.receive() == {"type": "pong"}


def test_three_malformed_frames_close(join: Join, tail: Tail, user: str) -> None:
    operator = join(user)
    for _ in range(3):
        operator.socket.send("nonsense")
        operator.expect("error", code="malformed_frame")
    with pytest.raises(ConnectionClosed) as end:
        operator.receive()
    assert end.value.rcvd is not None and end.value.rcvd.code == 1008
    assert tail.expect("user.left")["reason"] == "disconnect"


def test_a_frame_over_sixteen_kib_closes(join: Join, user: str) -> None:
    operator = join(user)
    operator.socket.send(" " * 16369 + '{"type":"ping"}')
    assert operator.receive() == {"type": "pong"}
    operator.socket.send(" " * 16370 + '{"type":"ping"}')
    with pytest.raises(ConnectionClosed) as end:
        operator.receive()
    assert end.value.rcvd is not None and end.value.rcvd.code == 1009


def test_more_than_twenty_frames_a_second_are_refused_and_the_connection_goes_on(
    join: Join, user: str
) -> None:
    operator = join(user)
    for _ in range(30):
        operator.send(type="ping")
    answers = [operator.receive() for _ in range(30)]
    assert {"type": "pong"} in answers
    assert [one["code"] for one in answers[-10:]] == ["rate_limited"] * 10
    time.sleep(1)  # the limit's own window
    operator.send(type="ping")
    assert operator.receive() == {"type": "pong"}


# -- what an operator sees


def test_an_operator_sees_a_new_net_arrive(shard: Server, join: Join, user: str) -> None:
    operator = join(user)
    made = shard.net("Recon")
    config = operator.expect("config", version=made["version"])
    (arrived,) = [one for one in config["nets"] if one["uid"] == made["netUid"]]
    assert (arrived["name"], arrived["assigned"]) == ("Recon", False)


def test_an_operator_sees_assignments_come_and_go(shard: Server, join: Join, net: Any, user: str) -> None:
    operator = join(user)
    for action, expected in (("assign", [net["netId"]]), ("unassign", [])):
        body = {"userId": user, "netUid": net["netUid"], "action": action}
        answer = shard.post("/assignments", body).json()
        config = operator.expect("config", version=answer["version"])
        assert config["assignments"] == expected
        assert [one["assigned"] for one in config["nets"] if one["uid"] == net["netUid"]] == [bool(expected)]


def test_an_operator_sees_the_operation_open_and_close(shard: Server, join: Join, user: str) -> None:
    shard.post("/operation", {"open": False})
    operator = join(user)
    for is_open in (True, False):
        shard.post("/operation", {"open": is_open})
        assert operator.expect("config")["operationOpen"] is is_open


def test_those_who_have_not_joined_see_nothing(shard: Server, connect: Connect, user: str) -> None:
    socket = connect(token(user))
    receive(socket)
    shard.net("Secret")
    socket.send(json.dumps({"type": "ping"}))
    assert receive(socket) == {"type": "pong"}


# -- talking


@pytest.fixture
def pair(shard: Server, join: Join, net: Any, user: str) -> tuple[Operator, Operator]:
    """Two operators on `net`; the first is `user`."""
    for one in (user, user + "-other"):
        shard.post("/assignments", {"userId": one, "netUid": net["netUid"]})
    return join(user, "Ann"), join(user + "-other", "Bob")


@pytest.mark.parametrize("member", ["netId", "netUid"])
def test_a_transmission_is_heard_by_those_on_the_net(
    member: str, pair: tuple[Operator, Operator], net: Any, user: str, tail: Tail
) -> None:
    data = {"userId": user, "displayName": "Ann", "netId": net["netId"]}
    pair[0].send(type="ptt.start", **{member: net[member]})
    assert [one.expect("ptt.start")["data"] for one in pair] == [data, data]
    pair[0].send(type="ptt.stop", **{member: net[member]})
    assert [one.expect("ptt.stop")["data"] for one in pair] == [{**data, "reason": "released"}] * 2
    logged = {**data, "netUid": net["netUid"]}
    assert tail.expect("ptt.start") == logged
    stop = tail.expect("ptt.stop")
    assert stop == {**logged, "reason": "released", "durationMs": stop["durationMs"]}


def test_others_do_not_hear_it(shard: Server, pair: tuple[Operator, Operator], join: Join, net: Any) -> None:
    stranger = join("stranger")
    pair[0].send(type="ptt.start", netUid=net["netUid"])
    pair[1].expect("ptt.start")
    stranger.send(type="ping")
    assert stranger.receive() == {"type": "pong"}


def test_keying_up_twice_is_one_transmission(pair: tuple[Operator, Operator], net: Any) -> None:
    for kind in ("ptt.start", "ptt.start", "ptt.stop", "ptt.stop", "ping"):
        pair[0].send(type=kind, netUid=net["netUid"])
    assert [pair[0].receive()["type"] for _ in range(3)] == ["ptt.start", "ptt.stop", "pong"]


def test_key_up_is_refused_while_the_operation_is_closed(
    shard: Server, pair: tuple[Operator, Operator], net: Any
) -> None:
    shard.post("/operation", {"open": False})
    pair[0].send(type="ptt.start", netUid=net["netUid"])
    assert pair[0].expect("error")["code"] == "operation_closed"


def test_closing_the_operation_ends_a_transmission(
    shard: Server, pair: tuple[Operator, Operator], net: Any, tail: Tail
) -> None:
    pair[0].send(type="ptt.start", netUid=net["netUid"])
    pair[1].expect("ptt.start")
    shard.post("/operation", {"open": False})
    assert [one.receive()["type"] for one in (pair[1], pair[1])] == ["ptt.stop", "config"]
    assert tail.expect("ptt.stop")["reason"] == "operation_closed"


def test_removing_the_net_ends_a_transmission(
    shard: Server, pair: tuple[Operator, Operator], net: Any, tail: Tail
) -> None:
    pair[0].send(type="ptt.start", netUid=net["netUid"])
    pair[1].expect("ptt.start")
    shard.delete(f"/nets/{net['netUid']}")
    assert pair[1].expect("ptt.stop")["data"]["reason"] == "net_removed"
    assert net["netUid"] not in [one["uid"] for one in pair[1].expect("config")["nets"]]
    assert tail.expect("ptt.stop")["reason"] == "net_removed"


def test_taking_the_talker_off_the_net_ends_the_transmission(
    shard: Server, pair: tuple[Operator, Operator], net: Any, user: str
) -> None:
    pair[0].send(type="ptt.start", netUid=net["netUid"])
    pair[1].expect("ptt.start")
    shard.post("/assignments", {"userId": user, "netUid": net["netUid"], "action": "unassign"})
    for one in pair:
        assert one.expect("ptt.stop")["data"]["reason"] == "unassigned"


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "a net one is not on": ({}, "not_on_net"),
    "a net that is gone": ({"netId": 49}, "net_not_found"),
    "an unknown uid": ({"netUid": "net_" + "a" * 24}, "net_not_found"),
    "uid and slot of two nets": ({"netId": 49, "netUid": ""}, "net_mismatch"),
    "global push-to-talk by slot and a net by uid": ({"netId": 255, "netUid": ""}, "net_mismatch"),
    "the Public Net by uid and another slot": ({"netId": 3, "netUid": "net_public"}, "net_mismatch"),
    "global push-to-talk switched off": ({"netId": 255}, "feature_off"),
    "global push-to-talk by uid": ({"netUid": "net_global"}, "feature_off"),
    "the hidden Public Net": ({"netId": 250}, "net_not_found"),
    "a slot far out": ({"netId": 1 << 70}, "net_not_found"),
    "a slot below": ({"netId": -1}, "net_not_found"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_key_up_is_refused_for(name: str, join: Join, net: Any, user: str) -> None:
    named, code = REFUSALS[name]
    if "netUid" in named or not named:
        named = {**named, "netUid": named.get("netUid") or net["netUid"]}
    operator = join(user)
    operator.send(type="ptt.start", **named)
    error = operator.receive()
    assert (error["type"], error["code"]) == ("error", code)
    assert error["message"]


def test_more_than_ten_key_ups_in_five_seconds_are_refused(pair: tuple[Operator, Operator], net: Any) -> None:
    for _ in range(11):
        pair[0].send(type="ptt.start", netUid=net["netUid"])
    assert [pair[0].receive()["type"] for _ in range(2)] == ["ptt.start", "error"]
    pair[0].send(type="ptt.stop", netUid=net["netUid"])
    pair[0].expect("ptt.stop")


def test_a_key_down_is_heard_over_any_limit(pair: tuple[Operator, Operator], net: Any) -> None:
    pair[0].send(type="ptt.start", netUid=net["netUid"])
    for _ in range(25):
        pair[0].send(type="ping")
    pair[0].send(type="ptt.stop", netUid=net["netUid"])
    pair[0].expect("error", code="rate_limited")
    pair[0].expect("ptt.stop")


# -- leaving


def test_a_user_with_two_connections_joins_once_and_leaves_once(join: Join, tail: Tail, user: str) -> None:
    first, second = join(user), join(user)
    first.close()
    second.close()
    join(user)
    assert tail.types(3) == ["user.joined", "user.left", "user.joined"]


def test_both_connections_of_a_user_hear_everything(shard: Server, join: Join, user: str) -> None:
    first, second = join(user), join(user)
    made = shard.net("Recon")
    for one in (first, second):
        one.expect("config", version=made["version"])


def test_a_transmission_ends_with_the_connection_that_began_it(
    pair: tuple[Operator, Operator], join: Join, net: Any, tail: Tail, user: str
) -> None:
    again = join(user)
    again.send(type="ptt.start", netUid=net["netUid"])
    pair[1].expect("ptt.start")
    pair[0].send(type="ptt.stop", netUid=net["netUid"])
    pair[0].send(type="ping")
    pair[0].expect("pong")
    again.close()
    assert pair[1].expect("ptt.stop")["data"]["reason"] == "disconnect"
    assert tail.expect("ptt.stop")["reason"] == "disconnect"


@pytest.mark.parametrize("cut", [False, True], ids=["with a close", "without a word"])
def test_who_goes_has_closed(cut: bool, join: Join, tail: Tail, user: str) -> None:
    operator = join(user)
    if cut:
        operator.socket.socket.shutdown(socket.SHUT_RDWR)
    else:
        operator.close()
    left = tail.expect("user.left")
    assert (left["reason"], left["transport"]) == ("closed", "ws")


def test_who_answers_no_ping_has_timed_out(impatient: Server, user: str) -> None:
    tail = Tail(impatient, user)
    with upgraded(impatient, user) as (sock, _):
        sock.sendall(masked({"type": "join", "guildId": GUILD}))
        assert tail.expect("user.left")["reason"] == "timeout"
    tail.close()


def test_who_does_not_read_is_dropped_and_others_hear_all(
    shard: Server, join: Join, net: Any, tail: Tail, user: str
) -> None:
    other = join(user + "-other")
    with upgraded(shard, user) as (sock, _):
        sock.sendall(masked({"type": "join", "guildId": GUILD}))
        tail.expect("user.joined")
        for number in range(1000):
            name = f"{number:04}" + "x" * 60
            version = shard.post("/nets/rename", {"netUid": net["netUid"], "name": name}).json()["version"]
            other.expect("config", version=version)
            if number % 20 == 0:
                if user not in connected(shard):
                    break
                with suppress(OSError):  # it may be dropped just now
                    sock.sendall(PONG)  # it is there, it only does not read
        assert tail.expect("user.left")["reason"] == "slow"


PONG = bytes([0x8A, 0x80, 0, 0, 0, 0])


def masked(message: dict[str, Any]) -> bytes:
    """A short message as a client's frame, masked with zeros."""
    text = json.dumps(message).encode()
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def test_a_restart_tells_everyone(shard: Server, connect: Connect, join: Join, user: str) -> None:
    joined, waiting = join(user), connect(token(user))
    receive(waiting)
    shard.restart()
    for client in (joined.socket, waiting):
        assert receive(client) == {"type": "disconnect", "reason": "restart"}
        with pytest.raises(ConnectionClosed) as end:
            client.recv(5)
        assert end.value.rcvd is not None and end.value.rcvd.code == 4001
    assert connected(shard) == []

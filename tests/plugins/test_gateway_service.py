"""Service listeners: a key of their own opens the gateway and nothing else; they hear, and do not count."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gateways import Connect, Join, Tail, connected, receive, refused, served, token, told_to_go
from websockets.exceptions import InvalidStatus

from shardapi.testing import Server


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("shard"), LIMITS__AUTH_FAILURES="1000000/minute") as server:
        yield server


@pytest.fixture(scope="module")
def recorder(shard: Server) -> dict[str, Any]:
    """A service key, as `keys create` answers it; each test leaves it as it was."""
    made: dict[str, Any] = shard.command("keys", "create", "Recorder", "--service")
    return made


def test_a_service_key_has_its_own_prefix_and_no_scopes(shard: Server, recorder: dict[str, Any]) -> None:
    assert recorder["secret"].startswith("scsk_")
    assert (recorder["kind"], recorder["scopes"]) == ("service", [])
    assert recorder["id"] in [one["id"] for one in shard.command("keys", "list")]


def test_a_service_key_opens_no_api(shard: Server, recorder: dict[str, Any]) -> None:
    answer = shard.get("/status", key=recorder["secret"])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("changed", [lambda secret: secret[:-1] + "_", lambda secret: "scsk_" + "0" * 36])
def test_a_wrong_service_key_opens_nothing(
    connect: Connect, recorder: dict[str, Any], changed: Callable[[str], str]
) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        connect(changed(recorder["secret"]))
    assert refused(refusal) == (401, "unauthorized")


def test_a_listener_has_a_stable_id_that_fits_a_frame_of_voice(
    join: Join, recorder: dict[str, Any], shard: Server
) -> None:
    ids = set()
    for _ in range(2):
        listener = join("", shown=recorder["secret"])
        ids.add(listener.seen[-1]["user"]["id"])
        listener.close()
        shard.wait(lambda: recorder["id"] not in connected(shard), "the listener to be gone")
    assert ids == {recorder["id"]}
    assert recorder["id"].isascii() and len(recorder["id"]) <= 20


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"displayName": "  Äther\x00 "}, "Äther"),
        ({"displayName": ""}, "Recorder"),
        ({"displayName": None}, "Recorder"),
        ({"displayName": ".."}, "Recorder"),
        ({}, "Recorder"),
    ],
)
def test_a_listener_is_called_as_it_says_or_as_its_key(
    asked: dict[str, Any], shown: str, shard: Server, connect: Connect, recorder: dict[str, Any]
) -> None:
    socket = connect(recorder["secret"])
    guild_id = receive(socket)["guildId"]
    message = {"type": "join", "guildId": guild_id, "mode": "voice", "serviceListen": True, **asked}
    socket.send(json.dumps(message))
    assert receive(socket)["user"] == {"id": recorder["id"], "displayName": shown, "roles": []}
    (mine,) = [one for one in shard.get("/roster").json()["operators"] if one["userId"] == recorder["id"]]
    assert (mine["displayName"], mine["service"]) == (shown, True)


def test_the_name_in_a_join_counts_for_listeners_only(connect: Connect, user: str) -> None:
    socket = connect(token(user, "Ann"))
    guild_id = receive(socket)["guildId"]
    socket.send(
        json.dumps({"type": "join", "guildId": guild_id, "displayName": "Bob", "serviceListen": True})
    )
    assert receive(socket)["user"]["displayName"] == "Ann"


def test_a_listener_hears_the_nets_it_is_put_on(
    shard: Server, join: Join, net: dict[str, Any], user: str, recorder: dict[str, Any]
) -> None:
    other = shard.net("Other")
    for one in (net, other):
        shard.post("/assignments", {"userId": user, "netUid": one["netUid"]})
    talker, listener = join(user), join("", shown=recorder["secret"])
    added = shard.post("/assignments", {"userId": recorder["id"], "netId": net["netId"]}).json()
    assert listener.expect("config", version=added["version"])["assignments"] == [net["netId"]]
    for one in (other, net):
        talker.send(type="ptt.start", netUid=one["netUid"])
        talker.send(type="ptt.stop", netUid=one["netUid"])
    assert [listener.receive()["data"]["netId"] for _ in range(2)] == [net["netId"]] * 2
    shard.delete(f"/nets/{other['netUid']}")


def test_a_listener_cannot_talk(
    shard: Server, join: Join, net: dict[str, Any], recorder: dict[str, Any]
) -> None:
    shard.post("/assignments", {"userId": recorder["id"], "netUid": net["netUid"]})
    listener = join("", shown=recorder["secret"])
    for named in ({"netUid": net["netUid"]}, {"netId": 255}, {"netId": 49}):
        listener.send(type="ptt.start", **named)
        assert listener.expect("error")["code"] in ("listen_only", "net_not_found")
    assert not [one for one in shard.get("/status").json()["nets"] if one["tx"]]


def test_a_listener_counts_nowhere(
    shard: Server, join: Join, net: dict[str, Any], recorder: dict[str, Any], user: str
) -> None:
    for one in (user, recorder["id"]):
        shard.post("/assignments", {"userId": one, "netUid": net["netUid"]})
    join(user)
    join("", shown=recorder["secret"])
    status = shard.get("/status").json()
    (mine,) = [one for one in status["nets"] if one["uid"] == net["netUid"]]
    assert (mine["occupancy"], mine["members"]) == (1, 1)
    assert status["connected"] == status["connectedOperators"] == 1
    assert sorted(connected(shard)) == sorted([user, recorder["id"]])


def test_the_log_tells_listeners_from_operators(
    shard: Server, join: Join, recorder: dict[str, Any], user: str
) -> None:
    tail, other = Tail(shard, recorder["id"]), Tail(shard, user)
    join("", shown=recorder["secret"]).close()
    join(user).close()
    assert [tail.next()["data"].get("service") for _ in range(2)] == [True, True]
    assert [other.next()["data"].get("service") for _ in range(2)] == [None, None]
    for one in (tail, other):
        one.close()


def test_a_revoked_key_closes_its_sockets(
    shard: Server, join: Join, connect: Connect, user: str, size: str
) -> None:
    key = shard.command("keys", "create", "Short", "--service")
    tail, operator = Tail(shard, key["id"]), join(user)
    listener, waiting = join("", shown=key["secret"]), connect(key["secret"])
    shard.command("keys", "revoke", key["id"])
    began = time.monotonic()
    assert told_to_go(listener.socket) == told_to_go(waiting) == "revoked"
    assert time.monotonic() - began < {"ci": 10, "soak": 1}[size]
    assert tail.expect("user.left")["reason"] == "revoked"
    tail.close()
    with pytest.raises(InvalidStatus) as refusal:
        connect(key["secret"])
    assert refused(refusal) == (401, "unauthorized")
    operator.send(type="ping")
    operator.expect("pong")


def test_an_expired_key_closes_its_sockets(shard: Server, join: Join, size: str) -> None:
    life, late = {"ci": (6.0, 20), "soak": (1.5, 1)}[size]  # the first beside other tests
    days = life / 86400
    made = shard.command("keys", "create", "Short", "--service", "--expires-days", f"{days:.9f}")
    ends = time.monotonic() + life
    listener = join("", shown=made["secret"])
    assert told_to_go(listener.socket) == "revoked"
    assert time.monotonic() < ends + late

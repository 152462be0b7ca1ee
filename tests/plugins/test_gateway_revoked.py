"""`operators revoke` and `operators list`: from any process on the store, whether or not the server runs."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from gateways import GUILD, Connect, Join, Tail, connected, receive, refused, served, token, told_to_go
from websockets.exceptions import InvalidStatus

from shardapi.testing import Operator, Server


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("shard"), LIMITS__AUTH_FAILURES="1000000/minute") as server:
        yield server


def made(shard: Server, user: str) -> str:
    """A token of the command line's."""
    shown: str = shard.command("operators", "token", user, "--name", "Ann")["token"]
    return shown


def test_a_revoked_operator_is_sent_home_and_kept_out(
    shard: Server, join: Join, connect: Connect, user: str, tail: Tail, size: str
) -> None:
    shown = token(user)
    joined, waiting, other = join("", shown=shown), connect(shown), join(user + "-other")
    answer = shard.command("operators", "revoke", user)
    began = time.monotonic()
    assert told_to_go(joined.socket) == told_to_go(waiting) == "revoked"
    assert time.monotonic() - began < {"ci": 10, "soak": 1}[size]
    assert answer["userId"] == user and answer["revokedAt"].endswith("Z")
    assert tail.expect("user.left")["reason"] == "revoked"
    with pytest.raises(InvalidStatus) as refusal:
        connect(shown)
    assert refused(refusal) == (401, "unauthorized")
    other.send(type="ping")
    other.expect("pong")


def test_a_token_made_after_the_revocation_is_good_until_the_next(
    shard: Server, connect: Connect, user: str
) -> None:
    for _ in range(2):  # within one second, or two
        shown = made(shard, user)
        assert receive(connect(shown))["type"] == "hello"
        shard.command("operators", "revoke", user)
        shard.wait(partial(is_refused, connect, shown), "the token to be revoked")


def is_refused(connect: Connect, shown: str) -> bool:
    try:
        connect(shown)
    except InvalidStatus as refusal:
        return refusal.response.status_code == 401
    return False


def test_everyone_can_be_revoked_at_once(shard: Server, join: Join, connect: Connect, user: str) -> None:
    key = shard.command("keys", "create", "Recorder", "--service")
    listener = join("", shown=key["secret"])
    joined = [join(f"{user}-{number}") for number in range(3)]
    shard.command("operators", "revoke", "all")
    assert {told_to_go(one.socket) for one in joined} == {"revoked"}
    assert is_refused(connect, token("nobody-yet", age=60))
    listener.send(type="ping")
    listener.expect("pong")
    join("", shown=made(shard, user))
    assert sorted(connected(shard)) == sorted([user, key["id"]])
    over = int(time.time()) + 1
    shard.wait(lambda: time.time() >= over, "the second of the revocation to be over")


def test_a_revocation_outlives_a_restart(shard: Server, connect: Connect, user: str) -> None:
    shown = token(user, age=5)
    shard.command("operators", "revoke", user)
    shard.restart()
    assert is_refused(connect, shown)


# -- who is connected


def listed(shard: Server) -> dict[str, dict[str, Any]]:
    """What `operators list` tells, by user."""
    return {one["userId"]: one for one in shard.command("operators", "list")}


def test_the_list_has_who_is_connected_and_talks(
    shard: Server, join: Join, net: dict[str, Any], user: str
) -> None:
    key = shard.command("keys", "create", "Recorder", "--service")
    shard.post("/assignments", {"userId": user, "netUid": net["netUid"]})
    operator, _, _ = join(user), join(user), join("", shown=key["secret"])
    operator.send(type="ptt.start", netUid=net["netUid"])
    operator.expect("ptt.start")
    found = shard.wait(lambda: (all_ := listed(shard)).get(user, {}).get("transmitting") and all_)
    assert found[user] == {
        "userId": user,
        "displayName": "Ann",
        "transport": "ws",
        "since": found[user]["since"],
        "service": False,
        "transmitting": [net["netUid"]],
    }
    assert found[key["id"]]["service"] is True
    operator.send(type="ptt.stop", netUid=net["netUid"])
    shard.wait(lambda: not listed(shard)[user]["transmitting"], "the transmission to be over")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nobody_is_connected_while_no_server_runs(end: str, shard: Server, user: str) -> None:
    operator = Operator(shard.url, token(user), GUILD).join()
    shard.wait(lambda: user in listed(shard), "the join to be on disk")
    getattr(shard, end)()
    assert listed(shard) == {}
    shard.start()
    assert connected(shard) == []
    operator.socket.close_socket()

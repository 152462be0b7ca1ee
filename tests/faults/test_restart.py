"""After an end without a farewell: who was there has left, who spoke has stopped, before anything else is told."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from shardapi.testing import Operator, Server

from . import store
from .pairs import Tally, of_log
from .store import Event

LIVES = {"ci": 3, "soak": 40}
CROWD = 6
ALIVE_EVERY_MS = 5000


@pytest.fixture
def server(start_shard: Callable[..., Server]) -> Server:
    """A shard with an open operation."""
    server = start_shard(env={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"})
    server.post("/operation", {"open": True})
    return server


def on_net(server: Server, *users: str) -> dict[str, Any]:
    """A new net with these users on it."""
    net = server.net()
    for user in users:
        server.post("/assignments", {"userId": user, "netUid": net["netUid"]})
    return net


def logged(server: Server, *types: str) -> list[Event]:
    """What the log says of these types."""
    return [event for event in store.events(server.data_dir) if event.type in types]


def alive_at(server: Server) -> int:
    """When the shard last noted that it lives."""
    return int(store.value(server.data_dir, "SELECT alive_at FROM guild"))


def test_crash_with_operators_is_closed_first_at_the_time_last_known_alive(server: Server) -> None:
    net = on_net(server, "1", "2")
    server.post("/assignments/temporary", {"userId": "9", "netUid": net["netUid"]})
    ann, bob = server.operator("1", "Ann"), server.operator("2", "Bob")
    server.operator("3", "Cyd").close()
    ann.send(type="ptt.start", netUid=net["netUid"])
    bob.expect("ptt.start")
    server.wait(lambda: logged(server, "ptt.start") and logged(server, "user.left"), "the log to tell it")
    began = logged(server, "ptt.start")[0]
    server.wait(lambda: alive_at(server) > began.at + 1000, "the shard to note that it lives")
    server.kill()
    ann.socket.close()
    bob.socket.close()
    alive, newest = alive_at(server), store.newest(server.data_dir)
    assert alive <= began.at + ALIVE_EVERY_MS + 10_000
    store.change(server.data_dir, "UPDATE assignment SET until = ? WHERE until", alive)

    server.start()
    dan = server.operator("4", "Dan")
    server.wait(lambda: logged(server, "user.joined")[-1].data["userId"] == "4", "Dan's arrival to be told")
    after = store.events(server.data_dir, newest)
    kinds = ["ptt.stop", "user.left", "user.left", "assignments.changed", "user.joined"]
    assert [event.type for event in after] == kinds
    stop, *lefts = after[:3]
    who = {"userId": "1", "displayName": "Ann", "netId": net["netId"], "netUid": net["netUid"]}
    assert stop.data == {**who, "reason": "restart", "durationMs": alive - began.at}
    gone = [{"userId": "1", "displayName": "Ann"}, {"userId": "2", "displayName": "Bob"}]
    assert [left.data for left in lefts] == [{**one, "transport": "ws", "reason": "restart"} for one in gone]
    assert {event.at for event in after[:3]} == {alive}
    assert [one["userId"] for one in server.get("/roster").json()["operators"]] == ["4"]
    dan.close()


def test_stop_on_request_tells_everyone_goodbye_and_leaves_nothing_to_close(server: Server) -> None:
    net = on_net(server, "1")
    ann = server.operator("1", "Ann")
    ann.send(type="ptt.start", netUid=net["netUid"])
    ann.expect("ptt.start")
    assert server.stop() == 0
    assert ann.expect("disconnect")["reason"] == "restart"
    with pytest.raises(ConnectionClosed) as closed:
        ann.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4001
    farewell = [(event.type, event.data["reason"]) for event in logged(server, "ptt.stop", "user.left")]
    assert farewell == [("ptt.stop", "restart"), ("user.left", "restart")]
    newest = store.newest(server.data_dir)
    server.start()
    server.operator("1", "Ann").close()
    server.wait(lambda: store.newest(server.data_dir) >= newest + 2, "Ann's visit to be told")
    assert [event.type for event in store.events(server.data_dir, newest)] == ["user.joined", "user.left"]


def test_pairs_are_complete_however_often_it_is_killed(
    server: Server, size: str, figure: Callable[[str, float, str], None]
) -> None:
    users = [str(one) for one in range(CROWD)]
    net = on_net(server, *users)
    tokens = {user: server.command("operators", "token", user, "--name", f"Op {user}") for user in users}
    chance = random.Random(7)
    for _ in range(LIVES[size]):
        crowd = [
            Operator(server.url, said["token"], said["guildId"]).join()
            for said in chance.sample(list(tokens.values()), CROWD - 1)
        ]
        for _ in range(30):
            one = chance.choice(crowd)
            with suppress(ConnectionClosed):
                one.send(type=chance.choice(("ptt.start", "ptt.stop")), netUid=net["netUid"])
            if chance.random() < 0.1:
                one.close()
            time.sleep(0.002)
        server.kill()
        for one in crowd:
            one.socket.close()
        server.start()
    server.wait(lambda: not tally(server).unpaired_joins, "what was left open to be closed")
    counted = tally(server)
    unmatched = counted.unpaired_joins + counted.unpaired_transmissions
    figure("restart.unmatched-joins-and-transmissions", unmatched, "== 0")
    figure("restart.ends-before-their-beginning", counted.negative, "== 0")
    assert store.whole(server.data_dir)


def tally(server: Server) -> Tally:
    """What the log tells of joins and transmissions."""
    return Tally(of_log(store.events(server.data_dir)))

"""Webhooks through kills, outages and full disks: nothing is lost, order is kept, and no endpoint slows another."""

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
from outboxes import IMPATIENT, LOOPBACK, Desk, delivering, until, users
from receivers import Delivery, Receiver

from shardapi import ShardApp
from shardapi.outbox import target
from shardapi.testing import Server

from . import store
from .disk import Disk
from .test_kill import kill_everything, kill_worker

ENV = {f"SHARDAPI_{name}": value for name, value in LOOPBACK.items()}
KILLS = {"ci": 4, "soak": 100}
TIMES = {"ci": 10, "soak": 2}  # the first beside other tests
LANES = {True: 1, False: 8}

Figure = Callable[[str, float, str], None]
MakeApp = Callable[..., ShardApp]


def register(server: Server, url: str, *events: str, **members: Any) -> str:
    """The id of a new webhook."""
    answer = server.post("/webhooks", {"url": url, "events": events, **members})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["webhook"]["id"])


def state(server: Server, id: str) -> dict[str, Any]:
    """A webhook as it is listed."""
    return next(one for one in server.get("/webhooks").json()["webhooks"] if one["id"] == id)


class Writer:
    """Assigns people by the hundred, for as long as the block runs; each is an event."""

    def __init__(self, server: Server) -> None:
        self.server, self.ended = server, threading.Event()
        self.net = server.net()["netUid"]
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        for turn in range(10**9):
            if self.ended.wait(0.1):
                return
            people = [{"userId": f"{turn}-{one}", "netUid": self.net} for one in range(25)]
            with suppress(OSError):
                self.server.post("/assignments/bulk", {"assignments": people})

    def __enter__(self) -> "Writer":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


def reload(server: Server) -> None:
    """HUP the master: another worker takes over from the one that serves."""
    before = server.worker_pid
    os.kill(server.pid, signal.SIGHUP)
    server.wait(lambda: server.worker_pid not in (0, before) and server.get("/health").ok, "another worker")


def numbers(receiver: Receiver) -> set[int]:
    """The numbers of the events that came."""
    return {int(one.id.rpartition("-")[2]) for one in list(receiver.got)}


def check(
    receiver: Receiver, expected: list[int], in_flight: int, cuts: int, ordered: bool
) -> tuple[int, int]:
    """How many events were lost, and how many deliveries were made twice beyond what was in flight."""
    came = [int(one.id.rpartition("-")[2]) for one in receiver.got]
    bodies: dict[str, set[bytes]] = {}
    for one in receiver.got:
        bodies.setdefault(one.id, set()).add(one.body)
    assert {len(found) for found in bodies.values()} == {1}  # the same on every attempt
    if ordered:
        assert came == sorted(came)
    doubled = sum(count - 1 for count in Counter(came).values())
    return len(set(expected) - set(came)), max(0, doubled - in_flight * cuts)


@pytest.mark.parametrize("ordered", [True, False])
def test_killed_in_mid_delivery_nothing_is_lost_and_only_what_was_in_flight_comes_twice(
    start_shard: Callable[..., Server], size: str, figure: Figure, ordered: bool
) -> None:
    def slowly(delivery: Delivery) -> int:
        time.sleep(0.002)
        return 204

    server, chance, kills = start_shard(env=ENV), random.Random(4), KILLS[size]
    with Receiver(slowly) as receiver, Writer(server):
        before = store.newest(server.data_dir)
        register(server, receiver.url, "assignments.*", ordered=ordered)
        for turn in range(kills):
            count = len(receiver.got)
            receiver.wait(lambda got, count=count: len(got) > count + 5, 30)
            time.sleep(chance.uniform(0, 0.2))
            if turn % 3 == 2:
                reload(server)  # which is no kill, but cuts too
            else:
                (kill_worker if turn % 3 else kill_everything)(server)
        count = len(receiver.got)
        receiver.wait(lambda got: len(got) > count, 30)
    expected = [
        event.number for event in store.events(server.data_dir, before) if event.type == "assignments.changed"
    ]
    lost, doubled = 0, 0
    with Receiver(slowly, receiver.port, receiver.got) as rest:
        while set(expected) - numbers(rest):  # for as long as anything comes
            count = len(rest.got)
            server.wait(lambda count=count: len(rest.got) > count, "what was not delivered yet", 60)
            time.sleep(0.2)
        # The receiver was cut off once too.
        lost, doubled = check(rest, expected, LANES[ordered], kills + 1, ordered)
    name = "ordered" if ordered else "unordered"
    figure(f"webhooks.{name}.lost", lost, "<= 0")
    figure(f"webhooks.{name}.doubled-beyond-flight", doubled, "<= 0")


@pytest.mark.root
def test_while_the_store_is_full_deliveries_go_on_and_what_must_be_kept_is_kept_later(
    start_shard: Callable[..., Server], tmp_path: Path
) -> None:
    with Disk(tmp_path / "disk", "3m") as disk, ExitStack() as stack:
        server = start_shard(disk.path / "data", env=ENV)
        gate = threading.Event()

        def waits(delivery: Delivery) -> int:
            gate.wait(20)
            return 204

        slow, gone = stack.enter_context(Receiver(waits)), stack.enter_context(Receiver(lambda _: 204))
        kept, ended = (register(server, one.url, "operation.*") for one in (slow, gone))
        net = server.net()["netUid"]
        for turn in range(20):
            server.post("/operation", {"open": turn % 2 == 0})
        gone.wait(lambda got: len(got) == 20)
        disk.fill()
        server.wait(lambda: server.post("/nets", {"name": "Last"}).status_code == 503, "the disk to be full")
        gone.answers = lambda delivery: 410
        server.post(f"/webhooks/{ended}/test")  # refused: it cannot be noted before it is made
        gate.set()
        slow.wait(lambda got: len(got) == 20, 20)
        assert state(server, kept)["state"] == "delivering"
        server.kill()
        disk.free()
        server.start()
        answer = server.post("/operation", {"open": True})
        assert answer.status_code == 200, answer.text
        slow.wait(lambda got: len({one.id for one in got}) == 21)
        assert len(slow.got) <= 21 + LANES[False]  # what was in flight as it was killed may come twice
        server.wait(lambda: state(server, ended)["state"] == "disabled", "it to be disabled")
        assert [
            event.data["webhookId"]
            for event in store.events(server.data_dir)
            if event.type == "webhook.disabled"
        ] == [ended]
        assert net


@pytest.fixture
def desk(make_app: MakeApp) -> Iterator[Desk]:
    """An outbox that delivers in this process."""
    with delivering(make_app(**LOOPBACK)) as made:
        yield made


def test_a_receiver_that_is_down_for_the_whole_schedule_gets_everything_in_order(desk: Desk) -> None:
    with Receiver() as before:
        port = before.port
        id = desk.hook(before.url, "user.*")
    for batch in range(20):
        desk.join(*range(batch * 100, batch * 100 + 100))
        gevent.sleep(0.02)
    until(lambda: desk.state(id)["failures"] >= 50)
    with Receiver(port=port) as receiver:
        until(lambda: len(receiver.got) >= 2000, seconds=30)
        assert users(receiver) == [str(user) for user in range(2000)]
    until(lambda: desk.state(id)["failures"] == 0)
    assert desk.state(id)["parked"] == 0


def test_a_store_that_cannot_write_delays_a_park_and_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shardapi.store import unavailable

    with Receiver(lambda delivery: 400 if delivery.event["data"]["userId"] == "1" else 204) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(0, 1, 2)
        until(lambda: len(receiver.got) >= 2)
        write = desk.shard.writer.write

        def fails(*args: Any, **options: Any) -> Any:
            raise unavailable("the disk is full")

        monkeypatch.setattr(desk.shard.writer, "write", fails)
        until(lambda: users(receiver).count("1") == 5)
        gevent.sleep(0.2)
        assert users(receiver)[-1] == "1"  # the queue does not go on before the event is kept
        monkeypatch.setattr(desk.shard.writer, "write", write)
        until(lambda: users(receiver)[-1] == "2")
        until(lambda: desk.state(id)["parked"] == 1)


# -- names


def test_a_dead_name_server_holds_up_only_those_who_need_it_and_all_is_sent_when_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive, asked, real = threading.Event(), list[str](), target._getaddrinfo

    def look_up(host: str, port: int, **options: Any) -> Any:
        asked.append(host)
        if not alive.wait(0.5):
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real("127.0.0.1", port, **options)

    monkeypatch.setattr(target, "_getaddrinfo", look_up)
    desk.box.schedule = IMPATIENT
    with Receiver() as receiver, Receiver() as other:
        named = [
            desk.hook(f"http://hooks{number}.example:{receiver.port}/", "user.*") for number in range(10)
        ]
        desk.hook(other.url, "user.*")
        desk.join(*range(100))
        began = time.monotonic()
        until(lambda: len(other.got) == 100)
        assert time.monotonic() - began < 20
        until(lambda: desk.state(named[0])["lastError"] == "unresolved")
        assert receiver.got == []
        alive.set()
        until(lambda: len(receiver.got) == 1000, seconds=60)
        assert Counter(users(receiver)) == {str(user): 10 for user in range(100)}


def test_a_name_that_begins_to_mean_a_private_address_is_not_connected_to(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver, delivering(make_app(LIMITS__DEFAULT="1000000/minute")) as desk:
        answers = iter(["93.184.216.34"])
        monkeypatch.setattr(
            target,
            "_getaddrinfo",
            lambda host, port, **options: [(2, 1, 6, "", (next(answers, "127.0.0.1"), port))],
        )
        id = desk.hook(f"http://rebound.example:{receiver.port}/", "user.*")
        desk.join(1)
        until(lambda: desk.state(id)["failures"] >= 3)
        assert desk.state(id)["lastError"] == "address_refused"
        assert receiver.got == []


# -- one endpoint never slows another


class Sink:
    """A server that misbehaves in one way with each connection."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._behave, self._held = behave, list[socket.socket]()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._held.append(connection)
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(65536)
            self._behave(connection)

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        for connection in self._held:
            connection.close()


def swallow(connection: socket.socket) -> None:
    """A black hole: takes everything and answers nothing."""
    while connection.recv(65536):
        pass


def drip(connection: socket.socket) -> None:
    """A byte now and then."""
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000:
        connection.send(bytes([byte]))
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    """An answer without an end."""
    connection.sendall(b"HTTP/1.1 500 Sorry\r\nContent-Length: 9999999999\r\n\r\n")
    while True:
        connection.sendall(bytes(65536))


def test_a_black_hole_and_a_drip_among_fifty_leave_the_others_alone(
    start_shard: Callable[..., Server], size: str, figure: Figure
) -> None:
    server = start_shard(env=ENV)
    rounds, late = {"ci": 3, "soak": 10}[size], {False: list[float](), True: list[float]()}
    with Receiver() as receiver, Sink(swallow) as hole, Sink(drip) as dripping, Sink(flood) as flooding:
        for _ in range(47):
            register(server, receiver.url, "operation.*")
        receiver.answers = lambda delivery: late[bad].append(time.time() - at(delivery)) or 204
        is_open = False
        for _ in range(rounds):
            for bad in (False, True):
                ids = [register(server, one.url, "operation.*") for one in (hole, dripping, flooding) if bad]
                for _ in range(10):
                    is_open, count = not is_open, len(receiver.got)
                    server.post("/operation", {"open": is_open})
                    receiver.wait(lambda got, count=count: len(got) == count + 47)
                for id in ids:
                    server.delete(f"/webhooks/{id}")
    share = {"ci": 0.5, "soak": 0.99}[size]  # the first beside other tests
    usual, beside = (sorted(late[bad])[int(len(late[bad]) * share)] for bad in (False, True))
    figure("webhooks.p99-beside-bad-ones", beside / usual, f"<= {TIMES[size]}")


def at(delivery: Delivery) -> float:
    """When the event was, by the wall clock."""
    from shardapi.clock import ms

    return ms(delivery.event["at"]) / 1000

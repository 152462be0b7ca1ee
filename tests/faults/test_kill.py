"""SIGKILL, again and again, under writers who were promised that what was acknowledged is kept, once."""

import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests

from shardapi.testing import Server

from . import store
from .reader import Reader

KILLS = {"ci": 10, "soak": 100}
BUSY = ("idempotency_running", "store_unavailable", "store_uncertain")


class Bot:
    """A writer: repeats each write under one Idempotency-Key until it is acknowledged; `done` keeps the answers."""

    def __init__(self, server: Server, number: int) -> None:
        self.server, self.number = server, number
        self.done: list[dict[str, Any]] = []
        self.repeats = self.replays = 0
        self.broken: list[str] = []
        self._session = requests.Session()

    def write(self, path: str, body: Any) -> dict[str, Any]:
        """One write, acknowledged."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        while True:
            try:
                answer = self.server.post(path, body, headers=headers, session=self._session, timeout=10)
            except requests.RequestException:
                self.repeats += 1
                time.sleep(0.02)
                continue
            said: dict[str, Any] = answer.json()
            if answer.status_code == 200:
                self.replays += "Idempotent-Replayed" in answer.headers
                self.done.append(said)
                return said
            if said["code"] not in BUSY:
                self.broken.append(f"{path} {body}: {answer.status_code} {said}")
                return {}
            self.repeats += 1
            time.sleep(0.02)

    def work(self, ended: threading.Event) -> None:
        """Write until told to end."""
        with self._session:
            for turn in range(10**9):
                if ended.is_set() or self.broken:
                    return
                self.turn(turn)

    def turn(self, turn: int) -> None:
        """One round of writes."""
        raise NotImplementedError


class NetBot(Bot):
    """Makes nets, names them, puts people on them and takes most of them away."""

    def turn(self, turn: int) -> None:
        made = self.write("/nets", {"name": f"net {self.number}.{turn}"})
        net = {"netUid": made.get("netUid")}
        self.write("/nets/rename", {**net, "name": f"named {self.number}.{turn}"})
        self.write("/assignments", {**net, "userId": f"{self.number}.{turn}"})
        if turn % 4 or turn > 40:
            self.write("/nets/remove", net)


class AssignmentBot(Bot):
    """Puts ever new people on one net, some of them for a while, some in bulk."""

    net = ""

    def turn(self, turn: int) -> None:
        user = {"userId": f"user-{self.number}-{turn}", "netUid": self.net}
        self.write("/assignments", user)
        if turn % 2:
            self.write("/assignments", {**user, "action": "unassign"})
        self.write("/assignments/temporary", {**user, "minutes": 60})
        bulk = [{"userId": f"bulk-{self.number}-{turn}-{one}", "netUid": self.net} for one in range(3)]
        self.write("/assignments/bulk", {"assignments": bulk})


class OperationBot(Bot):
    """Opens and closes the operation."""

    def turn(self, turn: int) -> None:
        self.write("/operation", {"open": turn % 2 == 0})


@contextmanager
def working(bots: list[Bot]) -> Iterator[None]:
    """Let the bots write meanwhile, and finish what they began."""
    ended = threading.Event()
    threads = [threading.Thread(target=bot.work, args=(ended,)) for bot in bots]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)


def kill_worker(server: Server) -> None:
    """SIGKILL the worker alone; its master starts another."""
    before = server.worker_pid
    os.kill(before, signal.SIGKILL)
    server.wait(lambda: worker(server) not in (0, before) and server.get("/health").ok, "another worker")


def worker(server: Server) -> int:
    """The worker's pid, 0 while there is none."""
    try:
        return server.worker_pid
    except IndexError:
        return 0


def kill_everything(server: Server) -> None:
    """SIGKILL master and worker, and start anew on the same data and port."""
    server.kill()
    server.start()


def test_killed_under_writes_nothing_is_lost_doubled_or_untold(
    start_shard: Callable[..., Server], size: str, figure: Callable[[str, float, str], None]
) -> None:
    server = start_shard(env={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"})
    setup = server.post("/nets", {"name": "everybody"}).json()
    reader = Reader(server, server.key("read:events"), server_start(server))
    bots: list[Bot] = [
        NetBot(server, 1),
        NetBot(server, 2),
        AssignmentBot(server, 3),
        OperationBot(server, 4),
    ]
    AssignmentBot.net = setup["netUid"]
    chance = random.Random(20)
    try:
        with working(bots):
            for turn in range(KILLS[size]):
                time.sleep(chance.uniform(0.02, 0.5))  # into another moment of the load each time
                (kill_worker if turn % 3 else kill_everything)(server)
        assert not [line for bot in bots for line in bot.broken]
        newest = store.value(server.data_dir, "SELECT max(number) FROM event")
        server.wait(lambda: reader.numbers[-1:] == [newest], "the reader to have seen everything")
    finally:
        reader.close()

    done = [setup, *(one for bot in bots for one in bot.done)]
    figure("kill.acknowledged-writes", len(done), f">= {20 * KILLS[size]}")
    figure("kill.repeats", sum(bot.repeats for bot in bots), f">= {KILLS[size]}")
    lost, doubled = compare(done, reader.events)
    figure("kill.lost-writes", lost, "== 0")
    figure("kill.doubled-writes", doubled, "== 0")
    versions = [one["version"] for one in done if one["changed"]]
    assert len(set(versions)) == len(versions)
    assert server.get("/status").json()["version"] == max(versions) == len(versions)

    on_disk = store.rows(server.data_dir, "SELECT number, type FROM event ORDER BY number")
    seen = [(number, event["type"]) for number, event in zip(reader.numbers, reader.events, strict=True)]
    figure("kill.stream-cuts", reader.connects - 1, f">= {KILLS[size]}")
    figure(
        "kill.stream-missed-or-doubled",
        sum((Counter(on_disk) - Counter(seen)).values()) + sum((Counter(seen) - Counter(on_disk)).values()),
        "== 0",
    )
    assert seen == on_disk

    check_state(server, done)
    server.stop()
    figure("kill.store-whole", store.whole(server.data_dir), "== 1")


def server_start(server: Server) -> str:
    """The id before the first event."""
    epoch = store.value(server.data_dir, "SELECT value FROM meta WHERE name = 'epoch'")
    return f"{epoch}-0"


def compare(done: list[dict[str, Any]], events: list[dict[str, Any]]) -> tuple[int, int]:
    """How many events acknowledged changes lack, and how many there are that no acknowledged change asked for."""
    expected = Counter(told for one in done if one["changed"] for told in events_of(one))
    seen = Counter(identity(event) for event in events)
    return (expected - seen).total(), (seen - expected).total()


def events_of(answer: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """What the log must say of an acknowledged change."""
    match answer["action"]:
        case "operation.set":
            yield "operation.opened" if answer["open"] else "operation.closed", answer["open"]
        case "assignments.bulk":
            for one in answer["results"]:
                assert one["ok"] and one["changed"]
                yield "assignments.changed", "api", one["action"], one["userId"], one["netUid"]
        case "assign" | "unassign" as action:
            source = "temporary" if "expiresAt" in answer else "api"
            yield "assignments.changed", source, action, answer["userId"], answer["netUid"]
        case action:
            yield "config.changed", action, answer["netUid"], answer["version"]


def identity(event: dict[str, Any]) -> tuple[Any, ...]:
    """An event as `events_of` names it."""
    data = event["data"]
    match event["type"]:
        case "assignments.changed" as type_:
            return type_, data["source"], data["action"], data["userId"], data["netUid"]
        case "config.changed" as type_:
            return type_, data["action"], data["uid"], data["version"]
        case type_:
            return type_, data["open"]


def check_state(server: Server, done: list[dict[str, Any]]) -> None:
    """The state is what the acknowledged changes, in the order of their versions, lead to."""
    nets: dict[str, str] = {}
    people: dict[str, set[str]] = {}
    is_open = False
    for one in sorted((one for one in done if one["changed"]), key=lambda one: int(one["version"])):
        match one["action"]:
            case "net.create" | "net.rename":
                nets[one["netUid"]] = one["name"]
            case "net.remove":
                del nets[one["netUid"]]
                people.pop(one["netUid"], None)
            case "operation.set":
                is_open = one["open"]
            case "unassign":
                people[one["netUid"]].discard(one["userId"])
            case _:
                for put in one.get("results", [one]):
                    people.setdefault(put["netUid"], set()).add(put["userId"])
    status, found = server.get("/status").json(), dict[str, set[str]]()
    assert {net["uid"]: net["name"] for net in status["nets"]} == nets
    assert status["operationOpen"] == is_open
    for entry in server.get("/assignments").json()["entries"]:
        found.setdefault(entry["netUid"], set()).add(entry["userId"])
    assert found == {net: users for net, users in people.items() if users}

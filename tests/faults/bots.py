"""Writers who were promised that what was acknowledged is kept, once; and how to prove it afterwards."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import requests

from shardapi.testing import Server

from . import store
from .reader import Reader

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


class Load:
    """Bots at work while the block runs, and a reader of all they do; `check` proves that all of it is kept, once."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.first = server.net("everybody")
        AssignmentBot.net = self.first["netUid"]
        epoch = store.value(server.data_dir, "SELECT value FROM meta WHERE name = 'epoch'")
        self.reader = Reader(server, server.key(), f"{epoch}-0")
        self.bots = [NetBot(server, 1), NetBot(server, 2), AssignmentBot(server, 3), OperationBot(server, 4)]
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=bot.work, args=(self._ended,)) for bot in self.bots]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
        try:
            if error[0] is None:
                newest = store.newest(self.server.data_dir)
                self.server.wait(lambda: self.reader.numbers[-1:] == [newest], "the reader to have seen all")
        finally:
            self.reader.close()

    @property
    def acknowledged(self) -> int:
        """How many writes have been."""
        return sum(len(bot.done) for bot in self.bots)

    @property
    def done(self) -> list[dict[str, Any]]:
        """The answers to all that was acknowledged."""
        return [self.first, *(one for bot in self.bots for one in bot.done)]

    @property
    def version(self) -> int:
        """The newest version that anybody was told of."""
        return max(int(one["version"]) for one in self.done)

    def check(self, name: str, figure: Callable[[str, float, str], None], faults: int) -> None:
        """Hold what the bots were told to what the stream, the log and the state say after so many faults."""
        assert not [line for bot in self.bots for line in bot.broken]
        done = self.done
        figure(f"{name}.acknowledged-writes", len(done), f">= {20 * faults}")
        figure(f"{name}.repeats", sum(bot.repeats for bot in self.bots), f">= {faults}")
        lost, doubled = compare(done, self.reader.events)
        figure(f"{name}.lost-writes", lost, "== 0")
        figure(f"{name}.doubled-writes", doubled, "== 0")
        versions = sorted(one["version"] for one in done if one["changed"])
        assert versions == list(range(1, len(versions) + 1))
        assert self.server.get("/status").json()["version"] == len(versions)

        on_disk = [(event.number, event.type) for event in store.events(self.server.data_dir)]
        types = [event["type"] for event in self.reader.events]
        seen = list(zip(self.reader.numbers, types, strict=True))
        untold = (Counter(on_disk) - Counter(seen)) + (Counter(seen) - Counter(on_disk))
        figure(f"{name}.events-missed-or-told-twice", untold.total(), "== 0")
        assert seen == on_disk
        check_state(self.server, done)
        self.server.stop()
        figure(f"{name}.store-whole", store.whole(self.server.data_dir), "== 1")


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


State = tuple[dict[str, str], dict[str, set[str]], bool]


def check_state(server: Server, done: list[dict[str, Any]]) -> None:
    """The state is what the acknowledged changes, in the order of their versions, lead to."""
    nets, people, is_open = state_after(done)
    status, found = server.get("/status").json(), dict[str, set[str]]()
    assert {net["uid"]: net["name"] for net in status["nets"]} == nets
    assert status["operationOpen"] == is_open
    for entry in server.get("/assignments").json()["entries"]:
        found.setdefault(entry["netUid"], set()).add(entry["userId"])
    assert found == people


def state_after(done: list[dict[str, Any]], version: int = 2**63) -> State:
    """What changes up to a version lead to: names of nets, who is on them, and whether the operation is open."""
    nets: dict[str, str] = {}
    people: dict[str, set[str]] = {}
    is_open = False
    changes = (one for one in done if one["changed"] and one["version"] <= version)
    for one in sorted(changes, key=lambda one: int(one["version"])):
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
    return nets, {net: users for net, users in people.items() if users}, is_open

"""A disk that is full, write-protected or broken: writes are refused, everybody else goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shardapi.testing import Operator, Server

from . import store
from .bots import Load
from .clock import LIBRARY, Clock
from .disk import Disk, failing
from .reader import Reader

LIMITS = {"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}
AGAIN = {"Idempotency-Key": "refused /nets"}  # a write that was refused before
FAULTS = {"ci": 3, "soak": 30}

pytestmark = pytest.mark.root


class Crew:
    """A shard with an open operation, two operators on a net, and a token for a third."""

    def __init__(self, server: Server) -> None:
        self.server = server
        server.post("/operation", {"open": True})
        self.net = {"netUid": server.net()["netUid"]}
        for user in ("1", "2"):
            server.post("/assignments", {"userId": user, **self.net})
        self.tokens = [server.command("operators", "token", user, "--name", f"Op {user}") for user in "123"]

    def enter(self, which: int) -> Operator:
        """Have one of them join."""
        said = self.tokens[which]
        return Operator(self.server.url, said["token"], said["guildId"]).join()

    def talk(self, speaker: Operator, listener: Operator) -> None:
        """A short transmission that both see."""
        for kind in ("ptt.start", "ptt.stop"):
            speaker.send(type=kind, **self.net)
            for one in (speaker, listener):
                assert one.expect(kind)["data"]["displayName"] == "Op 1"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of a few hundred KB."""
    with Disk(tmp_path / "disk", "1600k") as disk:
        yield disk


def refused(server: Server, net: dict[str, str]) -> None:
    """Every kind of write is 503 and says when to come back; the same one without effect is answered."""
    for path, body in (
        ("/nets", {"name": "More"}),
        ("/nets/rename", {**net, "name": "Other"}),
        ("/nets/remove", net),
        ("/assignments", {"userId": "9", **net}),
        ("/assignments/temporary", {"userId": "9", **net}),
        ("/assignments/bulk", {"assignments": [{"userId": "9", **net}]}),
        ("/operation", {"open": False}),
    ):
        answer = server.post(path, body, headers={"Idempotency-Key": f"refused {path}"})
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), path
        assert int(answer.headers["Retry-After"]) > 0
        dry = server.post(f"{path}?dryRun=true", body)
        assert (dry.status_code, dry.json()["changed"]) == (200, True), path


def state(server: Server) -> list[Any]:
    """What readers are told that a refused write must not change."""
    paths = ("/status", "/roster", "/assignments", "/features", "/public-net")
    answers = [server.get(path) for path in (*paths, "/audit", "/openapi.json", "/ready", "/health")]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers[: len(paths)]]


def test_full_disk_refuses_writes_and_nothing_else(start_shard: Callable[..., Server], disk: Disk) -> None:
    server = start_shard(disk.path / "data", env=LIMITS)
    crew = Crew(server)
    one, two = crew.enter(0), crew.enter(1)
    reader = Reader(server, server.key())
    worker = server.worker_pid
    server.wait(lambda: len(logged(server, "user.joined")) == 2, "the log to tell of both")
    try:
        disk.fill()
        server.wait(lambda: server.post("/nets", {"name": "Last"}).status_code == 503, "the disk to be full")
        before, newest = state(server), store.newest(server.data_dir)
        refused(server, crew.net)
        assert state(server) == before

        crew.talk(one, two)
        three = crew.enter(2)
        assert server.get("/status").json()["connected"] == 3
        three.close()
        server.wait(lambda: server.get("/status").json()["connected"] == 2, "the third to leave")
        late = Reader(server, server.key(), reader.last)
        assert store.newest(server.data_dir) == newest

        disk.free()
        made = server.wait(lambda: retried(server, AGAIN), "the store to take it")
        server.wait(lambda: logged(server, "user.left"), "what was held to be logged")
        server.post("/operation", {"open": False})
        last = store.newest(server.data_dir)
        server.wait(lambda: reader.numbers[-1:] == late.numbers[-1:] == [last], "the readers to have it all")
    finally:
        reader.close()
    late.close()
    assert server.worker_pid == worker
    after = [(event.type, event.data.get("userId")) for event in store.events(server.data_dir, newest)]
    presence = [("ptt.start", "1"), ("ptt.stop", "1"), ("user.joined", "3"), ("user.left", "3")]
    assert [event for event in after if event in presence] == presence
    assert sorted(set(after) - set(presence)) == [("config.changed", None), ("operation.closed", None)]
    assert len(after) == len(presence) + 2
    assert late.events == reader.events[-len(after) :]
    assert [net["name"] for net in server.get("/status").json()["nets"]].count("More") == 1
    assert server.post("/nets", {"name": "More"}, headers=AGAIN).json() == made
    server.wait(lambda: audited(server, 503) >= 7, "the refusals to be in the audit")
    one.close()
    two.close()


@pytest.mark.debian(LIBRARY)
def test_temporary_assignment_is_over_at_its_end_though_that_cannot_be_written(
    start_shard: Callable[..., Server], disk: Disk, tmp_path: Path
) -> None:
    clock = Clock(tmp_path / "clock")
    server = start_shard(disk.path / "data", env={**LIMITS, **clock.env})
    crew = Crew(server)
    server.post("/assignments/temporary", {"userId": "3", **crew.net, "minutes": 10})
    one, three = crew.enter(0), crew.enter(2)
    three.send(type="ptt.start", **crew.net)
    one.expect("ptt.start", userId="3")
    server.wait(lambda: logged(server, "ptt.start"), "the log to tell it")
    disk.fill()
    server.wait(lambda: server.post("/nets", {"name": "Last"}).status_code == 503, "the disk to be full")
    newest = store.newest(server.data_dir)
    clock.set(660)
    assert one.expect("ptt.stop", userId="3")["data"]["reason"] == "unassigned"
    three.expect("config", assignments=[])
    three.send(type="ptt.start", **crew.net)
    assert three.expect("error")["code"] == "not_on_net"
    entries = server.get("/assignments").json()["entries"]
    assert {entry["userId"] for entry in entries} == {"1", "2"}
    disk.free()
    server.wait(lambda: store.newest(server.data_dir) >= newest + 2, "what was held to be logged")
    told = [(event.type, event.data["userId"]) for event in store.events(server.data_dir, newest)]
    assert told == [("ptt.stop", "3"), ("assignments.changed", "3")]
    one.close()
    three.close()


def retried(server: Server, headers: dict[str, str]) -> Any:
    """The refused write once more; its answer when it is taken."""
    answer = server.post("/nets", {"name": "More"}, headers=headers)
    return answer.json() if answer.ok else None


def logged(server: Server, type_: str) -> list[store.Event]:
    """What the log says of this type."""
    return [event for event in store.events(server.data_dir) if event.type == type_]


def audited(server: Server, status: int) -> int:
    """How many calls the audit has with this status."""
    entries = server.get("/audit?limit=1000").json()["entries"]
    return sum(entry["status"] == status for entry in entries)


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_start_on_a_store_that_cannot_be_written_serves_and_recovers_without_a_restart(
    start_shard: Callable[..., Server], disk: Disk, trouble: str, end: str
) -> None:
    server = start_shard(disk.path / "data", env=LIMITS)
    crew = Crew(server)
    one = crew.enter(0)
    one.send(type="ptt.start", **crew.net)
    server.wait(lambda: logged(server, "ptt.start"), "the log to tell it")
    getattr(server, end)()
    one.socket.close()
    epoch = store.value(server.data_dir, "SELECT value FROM meta WHERE name = 'epoch'")
    newest = store.newest(server.data_dir)
    (disk.fill if trouble == "full" else disk.protect)()

    server.start()
    worker = server.worker_pid
    one, two = crew.enter(0), crew.enter(1)
    crew.talk(one, two)
    server.wait(lambda: server.post("/nets", {"name": "Last"}).status_code == 503, "writes to be refused")
    before = state(server)
    refused(server, crew.net)
    assert state(server) == before
    assert {key["state"] for key in server.command("keys", "list")} == {"live"}
    reader = Reader(server, server.key(), f"{epoch}-{newest}")
    try:
        (disk.free if trouble == "full" else disk.release)()
        made = server.wait(lambda: retried(server, AGAIN), "the store to take it")
        assert made["version"] == before[0]["version"] + 1
        server.wait(lambda: reader.of("ptt.stop"), "what was held to be logged")
        server.post("/operation", {"open": False})
        server.wait(lambda: reader.of("operation.closed"), "the reader to have it all")
    finally:
        reader.close()
    assert server.worker_pid == worker
    told = [event["type"] for event in reader.events if event["type"].startswith(("user.", "ptt."))]
    closed = ["ptt.stop", "user.left"] if end == "kill" else []
    assert told == [*closed, "user.joined", "user.joined", "ptt.start", "ptt.stop"]
    one.close()
    two.close()
    server.stop()
    assert store.whole(server.data_dir)


@pytest.mark.debian("strace")
def test_broken_disk_is_uncertain_and_a_repeat_with_the_same_key_settles_it(
    start_shard: Callable[..., Server],
) -> None:
    server = start_shard(env=LIMITS)
    server.key()
    worker = server.worker_pid
    headers = {"Idempotency-Key": "shaky"}
    with failing(worker, "fdatasync,fsync", "EIO"):
        answer = server.post("/nets", {"name": "Shaky"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_uncertain")
        assert int(answer.headers["Retry-After"]) > 0
        assert "Idempotency-Key" in answer.json()["hint"]
        server.wait(lambda: server.worker_pid not in (0, worker), "another worker")
    made = server.wait(lambda: settled(server, headers), "the new worker to answer")
    assert settled(server, headers) == made
    assert [net["uid"] for net in server.get("/status").json()["nets"]] == [made["netUid"]]
    assert [event.data["uid"] for event in store.events(server.data_dir)] == [made["netUid"]]


def settled(server: Server, headers: dict[str, str]) -> Any:
    """The uncertain write once more; its answer when there is one."""
    answer = server.post("/nets", {"name": "Shaky"}, headers=headers)
    assert answer.status_code in (200, 503)
    return answer.json() if answer.ok else None


@pytest.mark.debian("strace")
def test_disk_that_breaks_under_writes_loses_and_doubles_nothing(
    start_shard: Callable[..., Server], size: str, figure: Callable[[str, float, str], None]
) -> None:
    server = start_shard(env=LIMITS)
    with Load(server) as load:
        for turn in range(FAULTS[size]):
            worker, written = server.worker_pid, load.acknowledged
            server.wait(lambda written=written: load.acknowledged > written + 20, "the bots to get on")
            with failing(worker, "fdatasync,fsync,pwrite64", "EIO", f"{turn * 7 % 23 + 1}+"):
                server.wait(lambda worker=worker: server.worker_pid not in (0, worker), "another worker", 30)
    load.check("eio", figure, FAULTS[size])

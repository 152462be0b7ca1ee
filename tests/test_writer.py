"""The writer: group commit in order, failures that touch nobody else, and other processes on the same store."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import peewee
import pytest
from msgspec import Raw

from shardapi import ShardApp, writer
from shardapi.commands import CreateNet, RemoveNet, RenameNet, SetOperation
from shardapi.errors import CONFLICT, ApiError
from shardapi.eventlog import Logged
from shardapi.events import Event, OperationChanged
from shardapi.models import Audit, load_guild
from shardapi.shard import Shard
from shardapi.store import one, rows

CREATE = "CREATE TABLE thing (name TEXT PRIMARY KEY)"


def add(name: str) -> str:
    """Insert a row of the test's own table."""
    one("INSERT INTO thing VALUES (?)", (name,))
    return name


def event(open_: bool = True) -> Event:
    return Event("operation.opened", OperationChanged(open=open_))


@pytest.fixture
def shard(app: ShardApp) -> Shard:
    """A shard whose store has a table for tests."""
    app.shard.store.execute(lambda: one(CREATE))
    return app.shard


def names(shard: Shard) -> list[str]:
    return [name for (name,) in shard.store.read(lambda: rows("SELECT name FROM thing ORDER BY rowid"))]


def told(shard: Shard) -> list[Logged]:
    """Every event that is published from now on."""
    seen: list[Logged] = []
    shard.events.on_commit.append(seen.extend)
    return seen


def spawned(run: Callable[..., Any], *arguments: Any) -> "gevent.Greenlet[..., Any]":
    return gevent.spawn(run, *arguments)


def outcomes(*runs: Callable[[], Any]) -> list[Any]:
    """What came of calls made at the same time: results, or the errors they raised."""

    def run(one: Callable[[], Any]) -> Any:
        try:
            return one()
        except Exception as error:
            return error

    greenlets = [gevent.spawn(run, one) for one in runs]
    return [greenlet.get(timeout=10) for greenlet in greenlets]


@contextmanager
def held_up(shard: Shard) -> Iterator[None]:
    """While the store's writing thread is busy."""
    release = threading.Event()
    gevent.spawn(shard.store.execute, lambda: release.wait(10))
    gevent.sleep(0.005)
    try:
        yield
    finally:
        release.set()


# -- group commit


def test_what_comes_while_a_commit_runs_is_one_transaction(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits, transaction = [], shard.writer._transaction

    def counted(draft: Any, jobs: list[Any]) -> Any:
        commits.append(len(jobs))
        return transaction(draft, jobs)

    monkeypatch.setattr(shard.writer, "_transaction", counted)
    with held_up(shard):
        greenlets = [spawned(shard.writer.write, lambda n=number: add(str(n))) for number in range(50)]
        gevent.sleep(0.005)
    gevent.joinall(greenlets, raise_error=True, timeout=10)
    assert sum(commits) == 50 and len(commits) <= 2
    assert names(shard) == [str(number) for number in range(50)]


def test_the_order_of_commits_is_the_order_of_ids_and_of_what_is_told(shard: Shard) -> None:
    seen = told(shard)
    for _ in range(5):
        greenlets = [
            spawned(shard.central.submit, [CreateNet(uid=f"net_{len(seen)}_{number}", name="N")])
            for number in range(4)
        ]
        shard.writer.post([event()])
        gevent.joinall(greenlets, raise_error=True, timeout=10)
    with gevent.Timeout(5):
        while len(seen) < 25:
            gevent.sleep(0.001)
    assert [one.number for one in seen] == [one.number for one in shard.events.page(0, 2**62)]
    assert [one.number for one in seen] == sorted({one.number for one in seen})
    versions = [one.envelope["data"]["version"] for one in seen if one.type == "config.changed"]
    assert versions == list(range(1, 21)) and shard.guild.version == 20


def test_a_decision_rests_on_the_commands_before_it_in_the_same_batch(shard: Shard) -> None:
    create, rename = CreateNet(uid="net_a", name="A"), RenameNet(uid="net_a", name="B")
    with held_up(shard):
        greenlets = [spawned(shard.central.submit, [command]) for command in (create, rename, create)]
        gevent.sleep(0.005)
    gevent.joinall(greenlets, timeout=10)
    assert [greenlet.successful() for greenlet in greenlets] == [True, True, False]
    assert shard.guild.nets["net_a"].name == "B" and shard.guild.version == 2


def test_a_write_is_answered_when_it_is_on_disk_and_known(shard: Shard) -> None:
    seen: list[tuple[int, int]] = []
    shard.writer.on_change.append(lambda before, after: seen.append((before.version, after.version)))
    outcome = shard.central.submit([SetOperation(open=True)])
    on_disk = shard.store.read(lambda: load_guild(shard.guild_id))
    assert outcome.guild == shard.guild == on_disk and seen == [(0, 1)]


def test_a_function_returns_its_result_or_what_was_made_of_it(shard: Shard) -> None:
    assert shard.writer.write(lambda: add("a")) == "a"
    seen = told(shard)
    made = shard.writer.write(
        lambda: add("b"), record=lambda name: add(name + "!"), tell=lambda name: [event(name == "b")]
    )
    assert made == "b!" and names(shard) == ["a", "b", "b!"]
    assert [one.envelope["data"] for one in seen] == [{"open": True}]


# -- failures


class BrokenDisk(peewee.OperationalError):
    """An I/O error as SQLite's driver raises it."""

    sqlite_errorcode = 10


def interrupt(_: Any) -> None:
    raise KeyboardInterrupt


def fails() -> None:
    add("half")
    raise LookupError("mine")


def test_a_write_that_fails_leaves_nothing_and_touches_nobody_else(shard: Shard) -> None:
    seen = told(shard)
    first, broken, command, last = outcomes(
        lambda: shard.writer.write(lambda: add("a"), tell=lambda _: [event()]),
        lambda: shard.writer.write(fails, tell=lambda _: [event()]),
        lambda: shard.central.submit([SetOperation(open=True)]),
        lambda: shard.writer.write(lambda: add("b")),
    )
    assert (first, last) == ("a", "b") and isinstance(broken, LookupError) and command.changed
    assert names(shard) == ["a", "b"] and len(seen) == 2


@pytest.mark.parametrize(
    "broken",
    [
        lambda shard: shard.writer.write(lambda: add("half"), tell=lambda _: 1 / 0),
        lambda shard: shard.writer.write(lambda: add("half"), record=lambda _: 1 / 0),
        lambda shard: shard.writer.write(lambda: add("half"), tell=lambda _: [Event("x.y", object())]),
        lambda shard: shard.central.submit([SetOperation(open=True)], record=lambda _: 1 / 0),
        lambda shard: shard.writer.write(lambda: one("INSERT INTO nothing VALUES (1)")),
        lambda shard: shard.writer.write(lambda: (add("half"), add("half"))),
        lambda shard: shard.writer.write(lambda: Audit.insert(guild=None).execute()),
        lambda shard: shard.writer.write(lambda: (add("half"), sys.exit(3))),
        lambda shard: shard.writer.write(lambda: add("half"), tell=lambda _: sys.exit(3)),
        lambda shard: shard.central.submit([SetOperation(open=True)], record=interrupt),
    ],
    ids=[
        "tell",
        "record",
        "event",
        "answer",
        "sql",
        "constraint",
        "model",
        "exit",
        "tell exits",
        "interrupt",
    ],
)
def test_whatever_fails_in_a_write_fails_alone(shard: Shard, broken: Callable[[Shard], Any]) -> None:
    seen = told(shard)
    with held_up(shard):
        greenlets = [
            spawned(shard.writer.write, lambda: add("a")),
            spawned(outcomes, lambda: broken(shard)),
            spawned(shard.central.submit, [CreateNet(uid="net_a", name="A")]),
            spawned(shard.writer.append, [event()]),
        ]
        gevent.sleep(0.005)
    gevent.joinall(greenlets, raise_error=True, timeout=10)
    (error,) = greenlets[1].value
    assert isinstance(error, Exception) and not isinstance(error, ApiError)
    assert names(shard) == ["a"] and list(shard.guild.nets) == ["net_a"]
    assert not shard.guild.operation_open and len(seen) == 2
    shard.writer.write(lambda: add("later"))


def test_a_write_refused_while_it_is_recorded_is_refused_alone(shard: Shard) -> None:
    def refuses(_: Any) -> None:
        raise CONFLICT("Not like this.")

    with held_up(shard):
        greenlets = [
            spawned(shard.writer.write, lambda: add("a")),
            spawned(outcomes, lambda: shard.central.submit([SetOperation(open=True)], record=refuses)),
            spawned(outcomes, lambda: shard.writer.write(lambda: add("half"), tell=refuses)),
            spawned(shard.central.submit, [CreateNet(uid="net_a", name="A")]),
        ]
        gevent.sleep(0.005)
    gevent.joinall(greenlets, raise_error=True, timeout=10)
    assert [greenlets[place].value[0].kind for place in (1, 2)] == [CONFLICT, CONFLICT]
    assert names(shard) == ["a"] and list(shard.guild.nets) == ["net_a"]
    assert not shard.guild.operation_open and shard.writer.troubled == ""


def test_a_refused_command_touches_nobody_else(shard: Shard) -> None:
    made, refused, other = outcomes(
        lambda: shard.central.submit([CreateNet(uid="net_a", name="A")]),
        lambda: shard.central.submit([RemoveNet(uid="net_x")]),
        lambda: shard.central.submit([CreateNet(uid="net_b", name="B")]),
    )
    assert refused.kind.code == "net_not_found"
    assert (made.version, other.version, list(shard.guild.nets)) == (1, 2, ["net_a", "net_b"])


@contextmanager
def full(shard: Shard) -> Iterator[None]:
    """While the store refuses to write."""
    shard.store.execute(lambda: one("PRAGMA query_only = 1"))
    yield
    shard.store.execute(lambda: one("PRAGMA query_only = 0"))


def test_events_nobody_waits_for_are_held_until_the_store_can_write(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    seen = told(shard)
    with full(shard):
        for open_ in (True, False, True):
            shard.writer.post([event(open_)])
            gevent.sleep(0.01)
        with pytest.raises(ApiError) as caught:
            shard.central.submit([SetOperation(open=True)])
        assert caught.value.kind.code == "store_unavailable" and shard.writer.troubled
        assert seen == [] and not shard.guild.operation_open
    with gevent.Timeout(5):
        while len(seen) < 3:
            gevent.sleep(0.005)
    assert [one.envelope["data"]["open"] for one in seen] == [True, False, True]
    assert shard.writer.troubled == ""


def test_events_that_are_too_many_to_hold_are_told_as_dropped(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "HELD_EVENTS", 3)
    seen, dropped = told(shard), list[int]()
    shard.writer.on_dropped[:] = [dropped.append]
    with full(shard):
        for _ in range(5):
            shard.writer.post([event()])
            gevent.sleep(0.03)
    with gevent.Timeout(5):
        while not dropped:
            gevent.sleep(0.005)
    assert dropped == [2] and len(seen) == 3


def test_an_io_error_is_uncertain_and_ends_the_worker(shard: Shard) -> None:
    ended: list[bool] = []
    shard.writer.on_uncertain = lambda: ended.append(True)

    def breaks() -> None:
        raise BrokenDisk

    with pytest.raises(ApiError) as caught:
        shard.writer.write(breaks)
    assert caught.value.kind.code == "store_uncertain" and ended == [True]


# -- other processes


@pytest.fixture
def other(shard: Shard, make_app: Callable[..., ShardApp]) -> Shard:
    """The same guild, opened by another process; it came later."""
    return make_app().shard


def test_a_change_of_another_process_is_noticed_within_a_second(
    shard: Shard, other: Shard, size: str
) -> None:
    seen, versions = told(shard), list[tuple[int, int]]()
    shard.writer.on_change.append(lambda before, after: versions.append((before.version, after.version)))
    shard.writer.watch()
    gevent.sleep(0.01)
    other.central.submit([CreateNet(uid="net_a", name="A")])
    with gevent.Timeout({"ci": 10, "soak": 1}[size]):
        while not versions:
            gevent.sleep(0.01)
    assert shard.guild == other.guild and versions == [(0, 1)]
    assert [one.envelope["data"]["uid"] for one in seen] == ["net_a"]


def test_a_key_made_by_another_process_is_noticed_under_load_too(
    shard: Shard, other: Shard, size: str
) -> None:
    foreign: list[bool] = []
    shard.writer.on_foreign.append(lambda: foreign.append(True))
    other.keys.create("bot", ["read:status"])
    flag = False
    with gevent.Timeout({"ci": 10, "soak": 1}[size]):
        while not foreign:
            flag = not flag
            shard.central.submit([SetOperation(open=flag)])


def test_a_write_on_a_state_that_has_moved_is_decided_again(shard: Shard, other: Shard) -> None:
    other.central.submit([CreateNet(uid="net_a", name="A")])
    other.central.submit([SetOperation(open=True)])
    assert shard.guild.version == 0
    seen = told(shard)
    outcome = shard.central.submit([CreateNet(uid="net_b", name="B")])
    assert outcome.version == 3 and outcome.guild.nets["net_b"].slot == 2
    assert [one.type for one in seen] == ["config.changed", "operation.opened", "config.changed"]
    assert [one.number for one in seen] == [one.number for one in other.events.page(0, 2**62)]


def test_a_write_that_the_moved_state_forbids_is_refused(shard: Shard, other: Shard) -> None:
    shard.central.submit([CreateNet(uid="net_a", name="A")])
    other.central.submit([RemoveNet(uid="net_a")])
    with pytest.raises(ApiError) as caught:
        shard.central.submit([RenameNet(uid="net_a", name="B")])
    assert caught.value.kind.code == "net_not_found" and shard.guild.nets == {}


def test_a_precondition_holds_for_the_state_on_disk(shard: Shard, other: Shard) -> None:
    other.central.submit([SetOperation(open=True)])
    with pytest.raises(ApiError) as caught:
        shard.central.submit([CreateNet(uid="net_a", name="A")], if_match=lambda version: version == 0)
    assert caught.value.kind.code == "precondition_failed"


def test_two_processes_that_write_at_once_lose_nothing(shard: Shard, other: Shard) -> None:
    def write(who: Shard, name: str) -> None:
        for number in range(10):
            who.central.submit([CreateNet(uid=f"{name}_{number}", name="N")])

    greenlets = [spawned(write, shard, "net_a"), spawned(write, other, "net_b")]
    gevent.joinall(greenlets, raise_error=True, timeout=20)
    for who in (shard, other):
        who.writer.refresh()
    assert shard.guild == other.guild and shard.guild.version == 20
    assert sorted(net.slot for net in shard.guild.nets.values()) == list(range(1, 21))
    assert len(shard.events.page(0, 2**62)) == 20


def test_looking_abroad_beside_a_commit_does_not_bring_back_the_state_before_it(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(guild_id: str) -> Any:
        guild = load_guild(guild_id)
        time.sleep(0.05)
        return guild

    shard.central.submit([CreateNet(uid="net_a", name="A")])
    monkeypatch.setattr(writer, "load_guild", slowly)
    looking = spawned(shard.writer.refresh)
    gevent.sleep(0.01)
    shard.central.submit([SetOperation(open=True)])
    looking.get(timeout=5)
    assert shard.guild.operation_open and shard.guild.version == 2


@pytest.mark.parametrize(
    "bad",
    [
        Event("bad.event", object()),
        Event("bad.event", OperationChanged(open=True)),
        Event("bad\nevent", Raw(b"{}")),
        Event("operation.opened", {"open": True}),
        Event("bad", OperationChanged(open=True)),
        Event("bad.event\ndata: {}", OperationChanged(open=True)),
        Event(3, OperationChanged(open=True)),  # type: ignore[arg-type]
        Event("config.changed", OperationChanged(open=True)),
        Event("user.joined", OperationChanged(open=True)),
    ],
)
def test_an_event_that_says_nothing_to_a_reader_takes_no_other_with_it(app: ShardApp, bad: Event) -> None:
    writer, dropped = app.shard.writer, []
    writer.on_dropped.append(dropped.append)
    opened = OperationChanged(open=True)
    writer.post([Event("operation.opened", opened), bad, Event("operation.closed", opened)])
    writer.append([Event("operation.opened", opened)])
    logged = [event.type for event in app.shard.events.page(0, 2**62)]
    assert logged == ["operation.opened", "operation.closed", "operation.opened"]
    assert sum(dropped) == 1


def test_an_event_that_was_noted_by_a_plugin_that_is_off_now_is_logged(app: ShardApp) -> None:
    app.shard.writer.append([Event("gone.rung", Raw(b'{"rings":3}'))])
    (logged,) = app.shard.events.page(0, 2**62)
    assert logged.type == "gone.rung" and logged.envelope["data"] == {"rings": 3}


def test_a_reaction_to_a_commit_that_waits_for_another_is_told(app: ShardApp) -> None:
    writer, told = app.shard.writer, []

    def react(events: object) -> None:
        with pytest.raises(RuntimeError, match="cannot wait for another"):
            writer.write(lambda: None)
        told.append(events)

    app.shard.events.on_commit.append(react)
    writer.append([Event("operation.opened", OperationChanged(open=True))])
    assert told

"""The event log: ids and cursors, gaps, what is kept and for whom, and named followers."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import gevent
import pytest

from shardapi import ShardApp, clock, eventlog, weight
from shardapi.eventlog import EventLog, left_open
from shardapi.events import ConfigChanged, Event, OperationChanged, PttStart, UserJoined, UserLeft
from shardapi.store import rows

HOUR = 3_600_000
OPENED = Event("operation.opened", OperationChanged(open=True))


@pytest.fixture
def log(app: ShardApp) -> EventLog:
    """An empty log."""
    return app.shard.events


@pytest.fixture
def append(app: ShardApp) -> Callable[..., list[int]]:
    """Log so many events; returns their numbers."""

    def write(count: int, at: int = 0, net: str = "") -> list[int]:
        before = app.shard.events.newest
        events = [
            Event("operation.opened", OperationChanged(open=bool(i % 2)), net, at) for i in range(count)
        ]
        app.shard.writer.append(events)
        return [one.number for one in app.shard.events.page(before, 2**62)]

    return write


@pytest.fixture
def prune(app: ShardApp) -> Callable[[int, int], None]:
    """Forget what is older than so many hours, or more than so many events."""
    return lambda hours, count: app.shard.writer.write(app.shard.events.prune(hours, count))


def joined(user: str) -> Event:
    return Event("user.joined", UserJoined(user_id=user, display_name="A", transport="ws", nets=(1,)))


def left(user: str) -> Event:
    return Event("user.left", UserLeft(user_id=user, display_name="A", transport="ws", reason="closed"))


def keyed_up(user: str, at: int) -> Event:
    return Event(
        "ptt.start", PttStart(user_id=user, display_name="A", net_id=1, net_uid="net_a"), "net_a", at
    )


def gap(block: bytes) -> dict[str, str]:
    """What a gap block says, with the id it has in the stream."""
    head, _, data = block.partition(b"\ndata: ")
    assert head.endswith(b"\nevent: stream.gap") and block.endswith(b"}\n\n")
    told = json.loads(data)
    assert head.startswith(f"id: {told['id']}\n".encode()) and told["type"] == "stream.gap"
    return {**told["data"], "id": told["id"]}


# -- blocks


def test_an_event_is_one_block_with_the_whole_envelope_on_its_data_line(
    log: EventLog, append: Callable[..., list[int]]
) -> None:
    (number,) = append(1, at=1_800_000_000_123, net="net_a")
    (event,) = log.page(0, number)
    id_ = f"{log.epoch}-{number}"
    lines = event.block.decode().split("\n")
    assert lines[:2] == [f"id: {id_}", "event: operation.opened"] and lines[3:] == ["", ""]
    assert (
        json.loads(lines[2].removeprefix("data: "))
        == event.envelope
        == {
            "id": id_,
            "type": "operation.opened",
            "guildId": log.guild_id,
            "at": "2027-01-15T08:00:00.123Z",
            "data": {"open": False},
        }
    )
    assert (event.type, event.net) == ("operation.opened", "net_a")


def test_a_data_line_is_one_for_those_too_who_split_lines_as_python_does(
    app: ShardApp, log: EventLog
) -> None:
    name = "A\x85B\u2028C\u2029D ä\n漢😀"
    app.shard.writer.append([Event("config.changed", ConfigChanged(action="a", version=1, preset=name))])
    (event,) = log.page(0, log.newest)
    for block in (event.block, log.gap_block(name, log.newest)):
        assert len(block.decode().splitlines()) == 4
    assert event.envelope["data"]["preset"] == name and gap(log.gap_block(name, 1))["requested"] == name


def test_numbers_ascend_in_the_order_of_the_events(log: EventLog, append: Callable[..., list[int]]) -> None:
    numbers = append(3) + append(2)
    assert numbers == sorted(set(numbers)) and log.newest == numbers[-1] and log.oldest == numbers[0]


def test_a_log_read_again_is_where_it_was(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    append(5)
    prune(24, 2)
    again = EventLog(app.shard.store, log.guild_id)
    assert (again.epoch, again.oldest, again.newest) == (log.epoch, log.oldest, log.newest)
    prune(24, 1)
    app.shard.writer.append([OPENED])
    prune(24, 1)
    assert log.oldest == log.newest == EventLog(app.shard.store, log.guild_id).oldest


def test_an_empty_log_begins_after_what_was_forgotten(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    last = append(3, at=1)[-1]
    prune(1, 100)
    assert (log.newest, log.oldest) == (last, last + 1)
    again = EventLog(app.shard.store, log.guild_id)
    assert (again.newest, again.oldest) == (last, last + 1)
    assert append(1)[0] > last


def test_pages_are_bounded_by_both_ends_and_by_their_size(
    log: EventLog, append: Callable[..., list[int]]
) -> None:
    numbers = append(6)
    assert [one.number for one in log.page(numbers[1], numbers[4])] == numbers[2:5]
    assert [one.number for one in log.page(0, numbers[5], 2)] == numbers[:2]
    assert log.page(numbers[5], 2**62) == []


# -- cursors


def test_a_kept_id_goes_on_after_it(log: EventLog, append: Callable[..., list[int]]) -> None:
    for number in append(3):
        assert log.cursor(log.id_of(number)) == (number, b"")


def test_the_place_before_the_first_event_goes_on_with_the_first(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    numbers = append(4)
    assert log.cursor(log.id_of(numbers[0] - 1)) == (numbers[0] - 1, b"")
    prune(24, 2)
    assert log.cursor(log.id_of(numbers[1])) == (numbers[1], b"")


@pytest.mark.parametrize(
    "text",
    [
        "other-1",
        "-1",
        "1",
        "",
        "{epoch}-",
        "{epoch}--1",
        "{epoch}-x",
        "{epoch}-٣",
        "{epoch}-1 ",
        "{epoch}-" + "9" * 30,
    ],
)
def test_an_id_of_another_epoch_or_of_none_is_a_gap_up_to_the_newest(
    log: EventLog, append: Callable[..., list[int]], text: str
) -> None:
    newest = append(3)[-1]
    requested = text.replace("{epoch}", log.epoch)
    cursor, block = log.cursor(requested)
    assert cursor == newest
    assert gap(block) == {
        "requested": requested,
        "oldest": log.id_of(log.oldest),
        "id": log.id_of(newest),
    }


def test_an_id_not_yet_issued_is_a_gap_up_to_the_newest(
    log: EventLog, append: Callable[..., list[int]]
) -> None:
    newest = append(2)[-1]
    cursor, block = log.cursor(log.id_of(newest + 1))
    assert cursor == newest and gap(block)["id"] == log.id_of(newest)


def test_an_id_whose_successors_are_forgotten_is_a_gap_up_to_the_oldest(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    numbers = append(6)
    prune(24, 3)
    cursor, block = log.cursor(log.id_of(numbers[0]))
    assert cursor == log.oldest == numbers[3]
    told = gap(block)
    assert told == {"requested": log.id_of(numbers[0]), "oldest": log.id_of(cursor), "id": log.id_of(cursor)}


def test_a_gap_id_is_a_cursor_that_goes_on_without_another_gap(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    numbers = append(6)
    prune(24, 3)
    for requested in (log.id_of(numbers[0]), "other-5"):
        _, block = log.cursor(requested)
        assert log.cursor(gap(block)["id"])[1] == b""


def test_everything_forgotten_is_a_gap_up_to_the_newest(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    numbers = append(3, at=1)
    prune(1, 100)
    cursor, block = log.cursor(log.id_of(numbers[0]))
    assert cursor == numbers[-1] and gap(block)["id"] == log.id_of(numbers[-1])
    assert log.cursor(log.id_of(numbers[-1])) == (numbers[-1], b"")


def test_numbers_another_guild_used_are_no_gap(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]], make_app: Callable[..., ShardApp]
) -> None:
    first = append(1)[0]
    other = make_app(GUILD__ID="42")
    other.shard.writer.append([OPENED] * 5)
    app.shard.writer.refresh()
    later = append(1)[0]
    assert later > first + 1
    for number in range(first, later):
        assert log.cursor(log.id_of(number)) == (number, b"")
    assert [one.number for one in log.page(0, 2**62)] == [first, later]


# -- retention


def test_events_are_kept_by_count(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    numbers = append(10)
    prune(24, 4)
    assert [one.number for one in log.page(0, 2**62)] == numbers[-4:] and log.oldest == numbers[-4]
    prune(24, 4)
    assert log.oldest == numbers[-4]


def test_events_are_kept_by_age(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    now = clock.now()
    append(3, at=now - 25 * HOUR)
    kept = append(2, at=now - 23 * HOUR)
    prune(24, 1000)
    assert [one.number for one in log.page(0, 2**62)] == kept


def test_a_held_cursor_keeps_what_it_has_not_had(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    follower = log.follow("webhook", hold=True)
    numbers = append(6, at=clock.now() - 100 * HOUR)
    prune(1, 1)
    assert log.oldest == numbers[0]
    app.shard.writer.write(lambda: follower.done(numbers[2]))
    prune(1, 1)
    assert [one.number for one in log.page(0, 2**62)] == numbers[3:]


def test_a_held_cursor_keeps_five_days_and_no_more(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    follower = log.follow("webhook", hold=True)
    append(3, at=clock.now() - 121 * HOUR)
    kept = append(2, at=clock.now() - 119 * HOUR)
    prune(1, 1)
    assert [one.number for one in log.page(0, 2**62)] == kept
    assert follower.missed


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held cursors keep 2,000 bytes, which are weighed in stretches of ten numbers."""
    monkeypatch.setattr(eventlog, "HELD_BYTES", 2000)
    monkeypatch.setattr(weight, "STRETCH", 10)


@pytest.mark.usefixtures("small")
def test_a_held_cursor_keeps_no_more_than_so_many_bytes(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    follower = log.follow("webhook", hold=True)
    append(30, at=clock.now() - 100 * HOUR)
    for _ in range(3):  # each is weighed by itself
        append(30, at=clock.now() - 100 * HOUR)
        prune(1, 1)
    kept = log.page(0, 2**62)
    assert follower.missed
    assert kept[-1].number == 120
    assert 10 <= len(kept) <= 2000 // weight.ROW_BYTES


@pytest.mark.usefixtures("small")
def test_what_everyone_may_read_is_kept_whatever_it_weighs(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    log.follow("webhook", hold=True)
    numbers = append(90)
    prune(24, 80)
    assert [one.number for one in log.page(0, 2**62)] == numbers[-80:]


def test_an_event_logged_while_the_clock_was_behind_takes_no_fresh_one_with_it(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    kept = append(2) + append(1, at=1) + append(1)
    prune(24, 1000)
    assert [one.number for one in log.page(0, 2**62)] == kept


def test_a_cursor_that_holds_nothing_keeps_nothing(
    log: EventLog, append: Callable[..., list[int]], prune: Callable[[int, int], None]
) -> None:
    follower = log.follow("metrics")
    append(4, at=1)
    assert not follower.missed
    prune(1, 100)
    assert follower.missed
    assert log.store.execute(lambda: follower.missed), "asked inside a write"


# -- followers


def test_a_follower_begins_with_what_comes_after_it(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]]
) -> None:
    append(3)
    follower = log.follow("metrics")
    numbers = append(2)
    for batch in follower:
        assert [one.number for one in batch] == numbers
        app.shard.writer.write(lambda: follower.done(numbers[-1]))
        break
    numbers = append(1)
    assert [one.number for one in next(iter(follower))] == numbers


def test_a_follower_goes_on_where_it_was_done(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]]
) -> None:
    follower = log.follow("metrics")
    numbers = append(4)
    app.shard.writer.write(lambda: follower.done(numbers[1]))
    for again in (log.follow("metrics"), EventLog(app.shard.store, log.guild_id).follow("metrics")):
        assert [one.number for one in next(iter(again))] == numbers[2:]
    assert log.follow("another").number == numbers[-1]


def test_a_follower_waits_for_what_is_new(log: EventLog, append: Callable[..., list[int]]) -> None:
    waiting = gevent.spawn(next, iter(log.follow("metrics")))
    gevent.sleep(0.01)
    assert not waiting.ready()
    numbers = append(2)
    assert [one.number for one in waiting.get(timeout=5)] == numbers


def test_a_place_kept_in_a_write_that_fails_is_not_kept(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]]
) -> None:
    follower = log.follow("metrics")
    numbers = append(2)

    def fails() -> None:
        follower.done(numbers[1])
        raise LookupError

    with pytest.raises(LookupError):
        app.shard.writer.write(fails)
    for again in (follower, log.follow("metrics")):
        assert [one.number for one in next(iter(again))] == numbers


# -- what is open


def test_joins_and_transmissions_without_their_end_are_left_open_by_a_crash(app: ShardApp) -> None:
    shard, now = app.shard, clock.now()
    shard.writer.append([joined("1"), joined("2"), keyed_up("2", now - 5000), joined("3")])
    shard.writer.append([left("1"), left("3"), joined("3")])
    events = shard.store.read(lambda: left_open(shard.guild_id))
    assert [(one.type, one.data.user_id, one.data.reason) for one in events] == [
        ("ptt.stop", "2", "restart"),
        ("user.left", "2", "restart"),
        ("user.left", "3", "restart"),
    ]
    assert events[0].data.duration_ms == events[0].at - (now - 5000) >= 5000
    shard.writer.append(events)
    assert shard.store.read(lambda: left_open(shard.guild_id)) == []
    assert shard.store.read(lambda: rows("SELECT * FROM open_event")) == []


def test_a_join_without_its_end_is_not_forgotten(app: ShardApp, prune: Callable[[int, int], None]) -> None:
    shard = app.shard
    shard.writer.append([joined("1"), *[OPENED] * 5])
    prune(24, 2)
    assert [one.data.user_id for one in shard.store.read(lambda: left_open(shard.guild_id))] == ["1"]
    assert shard.events.oldest == shard.events.newest - 1
    assert shard.events.cursor(shard.events.id_of(1))[1]


def test_a_follower_whose_events_are_gone_rests(
    log: EventLog,
    append: Callable[..., list[int]],
    prune: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    follower = log.follow("metrics")
    append(3, at=1)
    prune(1, 100)
    reads: list[object] = []
    read = log.store.read

    def counted(fn: Callable[[], object]) -> object:
        reads.append(fn)
        return read(fn)

    monkeypatch.setattr(log.store, "read", counted)
    waiting = gevent.spawn(lambda: next(iter(follower)))
    with gevent.Timeout(0.3, False):
        waiting.join()
    assert len(reads) <= 2
    numbers = append(1)
    assert [one.number for one in waiting.get(timeout=5)] == numbers


def test_a_cursor_of_a_plugin_that_is_off_holds_nothing(
    app: ShardApp, log: EventLog, append: Callable[..., list[int]]
) -> None:
    log.follow("webhook", hold=True)
    append(3, at=clock.now() - 100 * HOUR)
    without = EventLog(app.shard.store, log.guild_id)
    app.shard.writer.write(without.prune(24, 100))
    assert without.page(0, 2**62) == []


def test_what_a_worker_before_this_one_opened_last_is_closed_once(
    app: ShardApp, make_app: Callable[..., ShardApp]
) -> None:
    old, new = app.shard, make_app(SERVER__PUBLIC_URL="http://shard.example").shard
    old.writer.append([joined("1"), keyed_up("1", 0)])  # and then it is killed
    new.start(SimpleNamespace(serving=lambda: None), [])
    with gevent.Timeout(5):
        while not new.serving:
            gevent.sleep(0.01)
    last = [one.type for one in new.events.page(0, 2**62)][-2:]
    assert last == ["ptt.stop", "user.left"]
    assert new.store.read(lambda: left_open(new.guild_id)) == []

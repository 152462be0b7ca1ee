"""The hub over a log in memory: in this process with socket pairs, and under a real gunicorn."""

import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest
from memory_log import MemoryLog, blocks
from served import Served, eventually, rest

from shardapi.hub import ALL, Filter, Hub
from shardapi.stream import Channel

HEAD = b"head\n"


def soon(probe: Callable[[], Any], seconds: float = 30) -> Any:
    """Let the hub run until the answer is true."""
    with gevent.Timeout(seconds):
        while not (answer := probe()):
            gevent.sleep(0.001)
    return answer


class Reader:
    """The other end of a stream."""

    def __init__(self, room: int = 0) -> None:
        self.sock, self.end = gevent.socket.socketpair()
        if room:
            self.end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)

    def read(self, size: int, seconds: float = 5) -> bytes:
        """Exactly so many bytes."""
        read = b""
        with gevent.Timeout(seconds):
            while len(read) < size:
                data = self.sock.recv(size - len(read))
                assert data, f"closed after {read!r}"
                read += data
        return read

    def rest(self, seconds: float = 5) -> bytes:
        """All until the end."""
        read = b""
        with gevent.Timeout(seconds):
            while data := self.sock.recv(65536):
                read += data
        return read

    def silent(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes."""
        with gevent.Timeout(seconds, False):
            return self.sock.recv(1) is None
        return True

    def close(self) -> None:
        self.sock.close()


class House:
    """A log and its hub, and the readers opened on it."""

    def __init__(self, log: MemoryLog, **settings: Any) -> None:
        self.log, self.hub = log, Hub(log, **settings)
        log.on_commit.append(self.hub.publish)
        self.readers: list[Reader] = []

    def reader(
        self, cursor: int | None = None, filter: Filter = ALL, key: str = "key", room: int = 0
    ) -> Reader:
        """A new stream."""
        reader = Reader(room)
        self.readers.append(reader)
        self.hub.subscribe(reader.end, key, cursor, filter, HEAD)
        return reader


@pytest.fixture
def house() -> Iterator[Callable[..., House]]:
    """Build a hub; all is closed afterwards."""
    houses: list[House] = []

    def build(log: MemoryLog | None = None, **settings: Any) -> House:
        houses.append(House(log or MemoryLog(), **{"tick": 0.002, **settings}))
        return houses[-1]

    yield build
    for built in houses:
        built.hub.close()
        for reader in built.readers:
            reader.close()


def test_a_live_stream_gets_its_head_then_each_event(house: Callable[..., House]) -> None:
    shard = house()
    shard.log.append("before")
    reader = shard.reader()
    assert reader.read(len(HEAD)) == HEAD
    events = shard.log.append("user.joined") + shard.log.append("ptt.start", "ptt.stop")
    assert reader.read(len(blocks(events))) == blocks(events)
    assert reader.silent()


def test_a_batch_is_made_once_for_all_streams_of_a_filter(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Filter] = []
    batch = Channel.batch
    monkeypatch.setattr(
        Channel, "batch", lambda self, events: made.append(self.filter) or batch(self, events)
    )
    shard = house()
    for number in range(20):
        shard.reader(filter=Filter(("user.*",) if number % 2 else ()))
    shard.log.append("user.joined")
    for reader in shard.readers:
        reader.read(len(HEAD) + len(blocks(shard.log.events)))
    assert sorted(made) == [Filter(), Filter(("user.*",))]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (Filter(), ["user.joined", "ptt.start", "ptt.stop", "config.changed"]),
        (Filter(types=("ptt.*",)), ["ptt.start", "ptt.stop"]),
        (Filter(types=("ptt.start", "user.*")), ["user.joined", "ptt.start"]),
        (Filter(nets=("net_b",)), ["user.joined", "ptt.stop", "config.changed"]),
        (Filter(types=("ptt.*",), nets=("net_a", "net_c")), ["ptt.start"]),
        (Filter(types=("nothing",)), []),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_filters(house: Callable[..., House], filter: Filter, expected: list[str], resumed: bool) -> None:
    shard = house(recent=0)
    live = None if resumed else shard.reader(filter=filter)
    for type_, net in (
        ("user.joined", ""),
        ("ptt.start", "net_a"),
        ("ptt.stop", "net_b"),
        ("config.changed", ""),
    ):
        shard.log.append(type_, net=net)
    reader = live or shard.reader(0, filter)
    wanted = blocks(event for event in shard.log.events if event.type in expected)
    assert reader.read(len(HEAD + wanted)) == HEAD + wanted
    assert reader.silent()


@pytest.mark.parametrize("recent", [0, 10, 1000])
def test_resuming_anywhere_leaves_no_gap_and_no_duplicate(house: Callable[..., House], recent: int) -> None:
    shard = house(MemoryLog(latency=0.001), recent=recent, ring_bytes=4000)
    shard.log.append(*["tick"] * 250)
    shard.reader()
    random_ = random.Random(recent)
    cursors = [0, shard.log.newest, *(random_.randrange(shard.log.newest) for _ in range(10))]
    readers = []
    for cursor in cursors:
        readers.append(shard.reader(cursor))
        shard.log.append(*["tick"] * random_.randrange(20))
        gevent.sleep(random_.choice((0, 0.002)))
    for cursor, reader in zip(cursors, readers, strict=True):
        wanted = HEAD + blocks(event for event in shard.log.events if event.number > cursor)
        assert reader.read(len(wanted)) == wanted
        assert reader.silent(0.01)


def test_readers_that_come_back_together_share_one_read(house: Callable[..., House]) -> None:
    log = MemoryLog(latency=0.005)
    log.append(*["tick"] * 100)
    shard = house(log)
    readers = [shard.reader(log.events[-20].number) for _ in range(50)]
    for reader in readers:
        reader.read(len(HEAD) + len(blocks(log.events[-19:])))
    assert log.pages == 1


def test_an_id_that_is_not_flushed_yet_is_not_sent_again(house: Callable[..., House]) -> None:
    shard = house(tick=0.05)
    first = shard.reader()
    shard.log.append("one")
    first.read(len(HEAD) + len(blocks(shard.log.events)))
    shard.log.append("two", "three")  # within the tick
    known = shard.reader(shard.log.newest)
    four = shard.log.append("four")
    wanted = HEAD + blocks(four)
    assert known.read(len(wanted)) == wanted
    assert known.silent()


def test_events_pruned_while_a_stream_reads_them_are_told_as_a_gap(house: Callable[..., House]) -> None:
    log = MemoryLog()
    log.append(*["tick"] * 2000, size=500)
    shard = house(log, recent=0)
    reader = shard.reader(0, room=4096)
    read = reader.read(len(HEAD) + 20_000)
    log.prune(log.events[1500].number)
    reader_ids = [int(found) for found in re.findall(rb"id: e-(\d+)\n", read)]
    with gevent.Timeout(5):
        while not read.endswith(log.events[-1].block):
            read += reader.sock.recv(65536)
    seen = re.findall(rb"id: e-(\d+)\nevent: ([a-z.]+)\n", read)
    at = [type_ for _, type_ in seen].index(b"stream.gap")
    assert int(seen[at][0]) == log.oldest
    assert [int(number) for number, _ in seen[at + 1 :]] == [event.number for event in log.events[1:]]
    assert reader_ids == [int(number) for number, _ in seen[: len(reader_ids)]]


def test_a_gap_in_mid_stream_comes_in_its_place_past_every_filter(house: Callable[..., House]) -> None:
    shard = house()
    shard.reader()
    one = shard.log.append("one")
    narrow, wide = shard.reader(one[-1].number, Filter(("none",))), shard.reader(one[-1].number)
    gap = shard.log.gap_block("e-1", one[-1].number)
    shard.hub.gap(gap)
    two = shard.log.append("two")
    assert wide.read(len(HEAD + gap + blocks(two))) == HEAD + gap + blocks(two)
    assert narrow.read(len(HEAD + gap)) == HEAD + gap
    late = shard.reader(one[-1].number)  # it may have missed the gap: better told twice
    assert late.read(len(HEAD + gap + blocks(two))) == HEAD + gap + blocks(two)
    assert shard.reader(two[-1].number).read(len(HEAD)) == HEAD
    assert narrow.silent()


def test_a_reader_that_stops_is_closed_and_the_others_never_feel_it(house: Callable[..., House]) -> None:
    shard = house(ring_bytes=20_000)
    stalled = [shard.reader(room=4096) for _ in range(20)]
    good = shard.reader()
    good.read(len(HEAD))
    for _ in range(100):
        events = shard.log.append(*["tick"] * 10, size=100)
        assert good.read(len(blocks(events)), seconds=30) == blocks(events)
    soon(lambda: len(shard.hub) == 1)
    assert shard.hub.closed == {"slow": 20}
    whole = HEAD + blocks(shard.log.events)
    for reader in stalled:
        assert whole.startswith(reader.rest())


def test_a_reader_that_pauses_goes_on_within_a_block(house: Callable[..., House]) -> None:
    shard = house()
    reader = shard.reader(room=4096)
    filtered = shard.reader(filter=Filter(("b",)), room=4096)
    for _ in range(40):
        shard.log.append("a", "b", "b", "a", size=777)
        gevent.sleep(0.003)
    for stream, wanted in (
        (reader, shard.log.events),
        (filtered, [event for event in shard.log.events if event.type == "b"]),
    ):
        assert stream.read(len(HEAD + blocks(wanted))) == HEAD + blocks(wanted)
    shard.log.append("b")
    for stream in (reader, filtered):
        assert stream.read(len(blocks(shard.log.events[-1:]))) == blocks(shard.log.events[-1:])
    assert not shard.hub.closed


def test_a_reader_that_stops_in_its_history_is_closed(house: Callable[..., House]) -> None:
    log = MemoryLog()
    log.append(*["tick"] * 1000, size=500)
    shard = house(log, recent=0, heartbeat=0.05)
    shard.reader(0, room=4096)
    soon(lambda: shard.hub.closed["slow"])


def test_a_burst_larger_than_the_ring_reaches_a_reader_that_reads(house: Callable[..., House]) -> None:
    shard = house(ring_bytes=200_000)
    reader = shard.reader(room=1 << 20)
    events = shard.log.append(*["tick"] * 5000, size=300)
    assert reader.read(len(HEAD + blocks(events))) == HEAD + blocks(events)


@pytest.mark.parametrize("abrupt", [False, True])
def test_a_reader_that_leaves_is_gone_at_once(house: Callable[..., House], abrupt: bool) -> None:
    shard = house()
    live, lagging = shard.reader(), shard.reader(room=4096)
    reads = shard.reader(0)
    shard.log.append(*["tick"] * 100, size=500)
    live.read(len(HEAD))
    for reader in (live, lagging, reads):
        reader.sock.sendall(b"what is sent is not read")
        if abrupt:
            reader.close()
        else:
            reader.sock.shutdown(socket.SHUT_WR)
    soon(lambda: len(shard.hub) == 0)
    assert shard.hub.closed == {"gone": 3}
    assert shard.hub.open_streams("key") == 0


def test_closing_a_key_closes_its_streams_only(house: Callable[..., House]) -> None:
    shard = house()
    one, two, other = shard.reader(key="a"), shard.reader(0, key="a"), shard.reader(key="b")
    assert (shard.hub.open_streams("a"), shard.hub.open_streams("b")) == (2, 1)
    shard.hub.close_key("a", "revoked")
    assert one.rest() == two.rest() == HEAD
    assert (shard.hub.open_streams("a"), shard.hub.open_streams("b")) == (0, 1)
    assert shard.hub.closed == {"revoked": 2}
    event = shard.log.append("tick")
    assert other.read(len(HEAD + blocks(event))) == HEAD + blocks(event)


def test_the_heartbeat_is_a_comment_line_also_where_nothing_passes(house: Callable[..., House]) -> None:
    shard = house(heartbeat=0.03)
    quiet = shard.reader(filter=Filter(("none",)))
    for _ in range(20):
        shard.log.append("tick")
        gevent.sleep(0.005)
    assert quiet.read(len(HEAD) + 4) == HEAD + b":\n:\n"


def test_the_log_failing_ends_the_stream(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = house(recent=0)
    shard.log.append(*["tick"] * 10)

    def fails(*_: object) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(shard.log, "page", fails)
    shard.hub._history._warming = gevent.spawn(lambda: None)
    assert shard.reader(0).rest() == HEAD
    assert shard.hub.closed == {"error": 1}


def test_after_the_end_a_stream_gets_its_head_and_ends(house: Callable[..., House]) -> None:
    shard = house()
    reader = shard.reader()
    shard.hub.close()
    assert reader.rest() == HEAD
    assert shard.reader().rest() == HEAD
    shard.log.append("tick")
    assert len(shard.hub) == 0


def test_frames_are_the_same_stream_without_a_socket(house: Callable[..., House]) -> None:
    shard = house()
    shard.log.append("one")
    frames = shard.hub.frames("key", 0, Filter(("one", "two")))
    assert shard.hub.open_streams("key") == 1
    assert next(frames) == blocks(shard.log.events)
    two = shard.log.append("two")
    assert next(frames) == blocks(two)
    frames.close()
    soon(lambda: shard.hub.open_streams("key") == 0)
    ended = shard.hub.frames("key", None)
    shard.hub.close_key("key", "revoked")
    assert list(ended) == []
    ended.close()


def test_an_error_in_the_loop_kills_the_hub_which_ends_the_worker(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[gevent.Greenlet] = []
    monkeypatch.setattr("shardapi.worker._end", ended.append)
    shard = house()
    reader = shard.reader()
    monkeypatch.setattr(shard.hub, "_drop", lambda *_: 1 / 0)
    reader.close()
    soon(lambda: ended)
    assert isinstance(ended[0].exception, ZeroDivisionError)
    monkeypatch.undo()
    capfd.readouterr()


class Client(threading.Thread):
    """Reads a served stream for a while, with cuts; every third one slowly."""

    def __init__(self, served: Served, seed: int, until: float) -> None:
        super().__init__()
        self.served, self.until, self.random = served, until, random.Random(seed)
        self.slow = seed % 3 == 0
        self.numbers: list[int] = []
        self.faults: list[str] = []
        self.cuts = 0

    def run(self) -> None:
        try:
            while self.goes_on():
                self.read_until(time.monotonic() + self.random.uniform(0.05, 0.5))
                self.cuts += 1
                time.sleep(self.random.choice((0, 0, 0.1, 0.4)))
        except Exception as error:
            self.faults.append(repr(error))

    def goes_on(self) -> bool:
        """Whether it is not over yet, or too little has come of it, as on a busy machine."""
        over = time.monotonic() - self.until
        return over < 0 or (over < 30 and (self.cuts <= 3 or len(self.numbers) <= 50))

    def read_until(self, until: float) -> None:
        """One connection, cut off wherever it is."""
        since = b"?since=%d" % self.numbers[-1] if self.numbers else b""
        with self.served.connect() as sock:
            if self.slow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            sock.sendall(b"GET /stream%s HTTP/1.1\r\nHost: x\r\n\r\n" % since)
            sock.settimeout(0.2)
            read = b""
            while time.monotonic() < until:
                try:
                    data = sock.recv(512 if self.slow else 65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                read += data
                if self.slow:
                    time.sleep(0.01)
        self.take(read.partition(b"\r\n\r\n: welcome\n")[2])

    def take(self, body: bytes) -> None:
        """What came, the last block cut as it may be."""
        for block in body.split(b"\n\n")[:-1]:
            found = re.fullmatch(rb"id: e-(\d+)\nevent: tick\ndata: \"(x*)\"", block.removeprefix(b":\n"))
            if not found:
                self.faults.append(f"torn: {block!r}")
                return
            self.numbers.append(int(found[1]))


def expected_after(number: int, count: int) -> list[int]:
    """The numbers a log in memory gives, from one of them on."""
    log = MemoryLog()
    while log.newest < number or not log.events:
        log.append("tick", published=False)
    first = len(log.events) - 1
    while len(log.events) < first + count:
        log.append("tick", published=False)
    return [event.number for event in log.events[first : first + count]]


def test_random_cuts_and_resumes_lose_double_and_tear_nothing(
    tmp_path: Path, size: str, figure: Callable[[str, float, str], None]
) -> None:
    clients, seconds = {"ci": (8, 3), "soak": (24, 60)}[size]
    with Served("hub_app:app", tmp_path / "log") as served:
        until = time.monotonic() + seconds
        readers = [Client(served, seed, until) for seed in range(clients)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        said = eventually(lambda: re.search(rb"\n0 (.+)", served.answer(b"GET / HTTP/1.0\r\n\r\n")))
    assert b"slow" in said[1], "no reader was slow enough to try what happens then"
    assert [fault for reader in readers for fault in reader.faults] == []
    for reader in readers:
        assert reader.cuts > 3
        assert len(reader.numbers) > 50
    wrong = [r for r in readers if r.numbers != expected_after(r.numbers[0], len(r.numbers))]
    figure(f"hub.readers-of-{clients}-who-lost-or-doubled", len(wrong), "== 0")
    assert "Traceback" not in served.said()


def test_a_worker_that_retires_closes_its_streams_without_a_word(tmp_path: Path) -> None:
    grace = ("--graceful-timeout", "40")
    with Served("hub_app:app", tmp_path / "log", *grace) as served, served.connect() as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(10) == b"HTTP/1.1 2"
        told = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert rest(sock).endswith(b"\n")
        assert time.monotonic() - told < 30  # of 40
        assert served.process.wait(60) == 0

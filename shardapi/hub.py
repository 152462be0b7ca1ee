"""The hub of event streams: sockets taken out of their requests, all written to by one greenlet."""

import _socket
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
import gevent.event
import gevent.monkey
import gevent.socket

from .eventlog import Logged
from .history import History, Log
from .ring import NOTICE, Ring
from .stream import ALL, Channel, Filter, Frames, Stream
from .worker import vital

if TYPE_CHECKING:
    from .requestlog import Line

FLUSH = 500  # events that go out at once at most
STEP = 65_536  # bytes for a lagging stream before it is another's turn
SLICE = 256  # sends between two looks at the rest of the worker's sockets
READ, OUT, GONE = 1, 0x4, 0x2000 | 0x10 | 0x8  # libev's; EPOLLOUT; EPOLLRDHUP, EPOLLHUP, EPOLLERR
HEARTBEAT = b":\n"  # a comment line, without the blank line that some readers take for an event

Item = TypeVar("Item")
log = logging.getLogger("shardapi.stream")


class Hub:
    """Sends what is published to every stream that wants it.

    A live stream had all that was flushed; nothing is kept for it. One whose socket is full lags: it has
    a place in the ring, goes on when the socket takes more, and is closed once its place is forgotten.
    One that resumes before the ring begins reads history first.
    """

    def __init__(
        self,
        log: Log,
        *,
        tick: float = 0.01,
        heartbeat: float = 15.0,
        ring_bytes: int = 1 << 20,
        recent: int = 1000,
    ) -> None:
        self.log, self.tick, self.heartbeat = log, tick, heartbeat
        self.closed: Counter[str] = Counter()  # how many streams ended, by reason
        self._ring = Ring(ring_bytes)
        self._history = History(log, self._ring, recent, self._resume)
        self._pending: list[Logged] = []
        self._wake = gevent.event.Event()
        self._streams: dict[int, Stream] = {}
        self._keys: defaultdict[str, set[Stream]] = defaultdict(set)
        self._channels: dict[Filter, Channel] = {}
        self._lagging: set[Stream] = set()
        self._early: list[Stream] = []
        self._task: gevent.Greenlet | None = None
        self._shut = False

    def __len__(self) -> int:
        return len(self._streams)

    def publish(self, events: Sequence[Logged]) -> None:
        """Take events that are on disk, in the order of the log."""
        if self._task is not None:  # before the first stream the log has them all
            self._pending += events
            self._wake.set()

    def gap(self, block: bytes) -> None:
        """Send a finished stream.gap to every stream, past every filter."""
        last = self._pending[-1].number if self._pending else self._ring.newest
        self.publish([Logged(last, NOTICE, "", block)])

    def subscribe(
        self,
        sock: Any,
        key_id: str,
        cursor: int | None,
        filter: Filter = ALL,
        head: bytes = b"",
        line: "Line | None" = None,
    ) -> None:
        """Take over a socket: `head`, then every event after the cursor (None: from now on).

        `line` is its request's in the log, to be written when it ends.
        """
        taken = _socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        taken.setblocking(False)
        if self._shut:
            with suppress(OSError):
                taken.send(head)  # a browser comes back after a stream that ended, not after a refusal
            taken.close()
            if line is not None:
                line.end("closed")
            return
        self._start()
        channel = self._channels.setdefault(filter, Channel(filter))
        channel.members += 1
        stream = Stream(taken, key_id, channel, line)
        stream.rest = memoryview(head) if head else None
        stream.cursor, stream.place = cursor, self._ring.end
        self._streams[stream.fd] = stream
        self._keys[key_id].add(stream)
        self._lagging.add(stream)
        self._epoll.register(stream.fd, GONE | OUT)
        self._advance(stream)

    def frames(
        self, key_id: str, cursor: int | None, filter: Filter = ALL, line: "Line | None" = None
    ) -> "Frames":
        """The same stream as an iterable, for a server that gives no socket away."""
        ours, theirs = gevent.socket.socketpair()
        self.subscribe(theirs, key_id, cursor, filter, line=line)
        return Frames(ours)

    def open_streams(self, key_id: str) -> int:
        """How many streams a key has open."""
        return len(self._keys.get(key_id, ()))

    def close_key(self, key_id: str, why: str) -> None:
        """Close every stream of a key."""
        for stream in list(self._keys.get(key_id, ())):
            self._drop(stream, why)

    def close(self) -> None:
        """Close every stream; one that comes later ends at once."""
        self._shut = True
        if self._task is None:
            return
        self._task.kill(block=False)
        self._watcher.close()
        for stream in sliced(list(self._streams.values())):
            self._drop(stream, "closed")
        self._epoll.close()

    def _start(self) -> None:
        if self._task is not None:
            return
        self._ring.begin(self.log.newest)
        # An epoll of our own sees thousands of idle sockets leave without a Python object for each.
        self._epoll = gevent.monkey.get_original("select", "epoll")()
        self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), READ)
        self._watcher.start(self._ready)
        self._task = gevent.spawn(self._run)
        vital(self._task)

    def _run(self) -> None:
        flushed, beat = 0.0, time.monotonic() + self.heartbeat
        while True:
            woken = self._wake.wait(max(0.0, beat - time.monotonic()))
            if time.monotonic() >= beat:
                self._beat()
                beat = time.monotonic() + self.heartbeat
            if not woken:
                continue
            if len(self._pending) < FLUSH:
                gevent.sleep(max(1e-6, flushed + self.tick - time.monotonic()))
            flushed = time.monotonic()
            events, self._pending = self._pending[:FLUSH], self._pending[FLUSH:]
            if not self._pending:
                self._wake.clear()
            self._flush(events)

    def _flush(self, events: list[Logged]) -> None:
        start = self._ring.end
        self._ring.extend(events)
        trimmed = self._ring.trim(start)
        # All batches and who gets them before the first pause: who joins in a pause has read the ring.
        live = [channel for channel in self._channels.values() if channel.live]
        work = [(channel.batch(events), list(channel.live)) for channel in live]
        for data, stream in sliced((data, stream) for data, streams in work if data for stream in streams):
            self._push(stream, data, start)
        early, self._early = self._early, []
        for stream in early:
            self._watch(stream, OUT)
        if trimmed:
            base = self._ring.base
            for stream in sliced([x for x in self._lagging if x.cursor is None and x.place < base]):
                self._drop(stream, "slow")

    def _push(self, stream: Stream, data: bytes, start: int) -> None:
        if stream.fd < 0:
            return
        sent = self._send(stream, data)
        if sent < len(data):
            self._lag(stream, *self._ring.cut(start, stream.channel.filter.admits, sent))

    def _beat(self) -> None:
        live = [stream for channel in self._channels.values() for stream in channel.live]
        for stream in sliced(live):
            if stream.fd >= 0 and self._send(stream, HEARTBEAT) == 1:
                self._lag(stream, self._ring.end, memoryview(HEARTBEAT)[1:])
        for stream in list(self._lagging):
            if stream.cursor is not None and stream.rest is not None:
                if stream.stalled:
                    self._drop(stream, "slow")  # a page of history is held outside the ring's bounds
                stream.stalled = True

    def _lag(self, stream: Stream, place: int, rest: memoryview | None) -> None:
        stream.place, stream.rest = place, rest
        stream.channel.live.discard(stream)
        if stream.fd >= 0:
            self._lagging.add(stream)
            self._watch(stream, OUT)

    def _send(self, stream: Stream, data: bytes | memoryview) -> int:
        try:
            return stream.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._drop(stream, "gone")
            return 0

    def _watch(self, stream: Stream, out: int) -> None:
        if stream.fd >= 0:
            self._epoll.modify(stream.fd, GONE | out)

    def _ready(self) -> None:
        try:
            for fd, seen in self._epoll.poll(0, 64):
                stream = self._streams[fd]
                if seen & GONE:
                    self._drop(stream, "gone")
                else:
                    self._advance(stream)
        except Exception as error:  # the loop would only print it, and call again at once
            self._watcher.stop()
            assert self._task is not None
            self._task.kill(error, block=False)

    def _advance(self, stream: Stream) -> None:
        """Send a lagging stream what it still has to get, as far as its socket takes it; never pauses."""
        while stream.rest is not None:
            if not (sent := self._send(stream, stream.rest)):
                return
            stream.rest, stream.stalled = stream.rest[sent:] or None, False
        room = STEP
        while room > 0 and self._in_ring(stream):
            admits = stream.channel.filter.admits
            data, place = self._ring.gather(stream.place, admits, STEP)
            if not data:
                self._lagging.discard(stream)
                stream.channel.live.add(stream)
                return self._watch(stream, 0)
            sent = self._send(stream, data)
            if sent < len(data):
                stream.place, stream.rest = self._ring.cut(stream.place, admits, sent)
                return
            stream.place = place
            room -= sent

    def _in_ring(self, stream: Stream) -> bool:
        """Whether the ring has what a stream is to get next; else it waits for it, or is dropped."""
        ring, cursor = self._ring, stream.cursor
        if cursor is not None:
            if cursor < ring.floor:
                self._watch(stream, 0)
                self._history.want(stream)
                return False
            if cursor > ring.newest and self._pending:  # an id it has from elsewhere, not flushed yet
                self._watch(stream, 0)
                self._early.append(stream)
                return False
            stream.place, stream.cursor = ring.after(cursor), None
        if stream.place < ring.base:
            self._drop(stream, "slow")
        return stream.fd >= 0

    def _resume(self, stream: Stream, data: bytes | None, cursor: int) -> None:
        if data is None:
            self._drop(stream, "error")
        elif stream.fd >= 0:
            stream.cursor, stream.rest, stream.stalled = cursor, memoryview(data) if data else None, False
            self._watch(stream, OUT)
            self._advance(stream)

    def _drop(self, stream: Stream, why: str) -> None:
        if stream.fd < 0:
            return
        self._epoll.unregister(stream.fd)
        del self._streams[stream.fd]
        stream.fd = -1
        self._lagging.discard(stream)
        channel, mates = stream.channel, self._keys[stream.key]
        channel.live.discard(stream)
        channel.members -= 1
        if not channel.members:
            del self._channels[channel.filter]
        mates.discard(stream)
        if not mates:
            del self._keys[stream.key]
        with suppress(OSError):
            stream.sock.shutdown(_socket.SHUT_RDWR)
        stream.sock.close()
        self.closed[why] += 1
        if stream.line is not None:
            stream.line.end(why)


def sliced(items: Iterable[Item]) -> Iterator[Item]:
    """Each of many items, with a look at the rest of the worker now and then."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % SLICE:
            gevent.sleep(1e-6)  # through the loop; sleep(0) would not poll sockets


__all__ = ["ALL", "Filter", "Frames", "Hub", "Log"]

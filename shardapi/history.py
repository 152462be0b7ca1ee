"""Reading the log for the streams that resume before the ring begins."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

import gevent

from .eventlog import Logged
from .ring import Ring
from .stream import Stream

PAGE = 100  # events in a read: fewer bytes than a socket's buffer takes, so that little is held in between
READERS = 4  # greenlets at most, however many streams come back at once

log = logging.getLogger("shardapi.stream")


class Log(Protocol):
    """What the hub needs of the event log."""

    @property
    def epoch(self) -> str:
        """The part of an id before the number."""

    @property
    def oldest(self) -> int:
        """The number of the oldest event kept."""

    @property
    def newest(self) -> int:
        """The number of the newest event on disk."""

    def page(self, after: int, upto: int, limit: int) -> list[Logged]:
        """Events in order, read without blocking the loop."""

    def cursor(self, text: str) -> tuple[int, bytes]:
        """An id as the number to go on after, and the gap block to send first, or b""."""


class History:
    """Reads one page at a time for each stream that waits for one, in turn.

    `done(stream, data, cursor)` is called with what is to be sent and the number it reaches up to;
    the data are None if the log could not be read.
    """

    def __init__(
        self, log: Log, ring: Ring, recent: int, done: Callable[[Stream, bytes | None, int], None]
    ) -> None:
        self.log, self.ring, self.recent, self.done = log, ring, recent, done
        self._waiting: deque[Stream] = deque()
        self._readers = 0
        self._warming: gevent.Greenlet | None = None

    def want(self, stream: Stream) -> None:
        """Put a stream in the queue for its next page."""
        self._waiting.append(stream)
        if self._readers < READERS:
            self._readers += 1
            gevent.spawn(self._read)

    def _read(self) -> None:
        try:
            while self._waiting:
                stream = self._waiting.popleft()
                data, cursor = self._page(stream, stream.cursor or 0)
                self.done(stream, data, cursor)
        finally:
            self._readers -= 1

    def _page(self, stream: Stream, cursor: int) -> tuple[bytes | None, int]:
        try:
            self._warm()
            data = b""
            while not data and cursor < self.ring.floor and stream.fd >= 0:
                upto = self.ring.newest
                events = self.log.page(cursor, upto, PAGE)
                after, gap = self.log.cursor(f"{self.log.epoch}-{cursor}")
                if gap:  # pruned while it was read
                    return gap, after
                data = stream.channel.batch(events)
                cursor = events[-1].number if len(events) == PAGE else upto
            return data, cursor
        except Exception:
            log.exception("the history of events could not be read")
            return None, cursor

    def _warm(self) -> None:
        # After a restart all readers come back together: the newest events are read once for all.
        if self._warming is None:
            self._warming = gevent.spawn(self._warm_up)
        self._warming.join()

    def _warm_up(self) -> None:
        floor = self.ring.floor
        after = max(floor - self.recent, self.log.oldest - 1, 0)
        events = self.log.page(after, floor, self.recent)
        if self.ring.floor == floor:
            self.ring.prepend(events, min(floor, max(after, self.log.oldest - 1)))

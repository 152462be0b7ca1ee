"""An event log in memory, with all that the hub needs of one."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

import gevent

from shardapi.eventlog import Logged


class MemoryLog:
    """Numbers leave gaps, as the real log's do; reading takes a moment in which other greenlets run."""

    def __init__(self, epoch: str = "e", latency: float = 0.0) -> None:
        self.epoch, self.latency = epoch, latency
        self.events: list[Logged] = []
        self.newest, self.oldest, self.pages = 0, 1, 0
        self.on_commit: list[Callable[[Sequence[Logged]], None]] = []

    def block(self, number: int, type_: str, data: object) -> bytes:
        """An event as it goes out."""
        return f"id: {self.epoch}-{number}\nevent: {type_}\ndata: {json.dumps(data)}\n\n".encode()

    def append(self, *types: str, net: str = "", size: int = 20, published: bool = True) -> list[Logged]:
        """Log an event of each type."""
        new = []
        for type_ in types:
            number = self.newest + 1 + len(self.events) % 3
            new.append(Logged(number, type_, net, self.block(number, type_, "x" * size)))
            self.events += new[-1:]
            self.newest = number
        if published:
            self.published(new)
        return new

    def published(self, events: Sequence[Logged]) -> None:
        """Tell who listens."""
        for react in self.on_commit:
            react(events)

    def prune(self, oldest: int) -> None:
        """Forget what is older."""
        self.events = [event for event in self.events if event.number >= oldest]
        self.oldest = self.events[0].number if self.events else self.newest + 1

    def page(self, after: int, upto: int, limit: int) -> list[Logged]:
        """Events in order."""
        self.pages += 1
        gevent.sleep(self.latency)
        first = bisect_right(self.events, after, key=lambda event: event.number)
        return [event for event in self.events[first : first + limit] if event.number <= upto]

    def gap_block(self, requested: str, cursor: int) -> bytes:
        """What tells of missing events."""
        return self.block(cursor, "stream.gap", {"requested": requested})

    def cursor(self, text: str) -> tuple[int, bytes]:
        """Where to go on after an id."""
        number = int(text.rpartition("-")[2])
        if number > self.newest:
            return self.newest, self.gap_block(text, self.newest)
        if number < self.oldest - 1:
            return self.oldest, self.gap_block(text, self.oldest)
        return number, b""


def blocks(events: Iterable[Logged]) -> bytes:
    """What a stream that wants them all gets."""
    return b"".join(event.block for event in events)

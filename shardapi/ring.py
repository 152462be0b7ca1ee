"""The newest events as they went out: one bounded backlog that every stream shares."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter

from .eventlog import Logged

NOTICE = ""  # the type of what is not in the log and passes every filter: a gap in mid-stream

Admits = Callable[[Logged], bool]


class Ring:
    """Events by their place: the n-th that was ever put in; the oldest are forgotten beyond `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.events: list[Logged] = []
        self.base = 0  # the place of the oldest event here
        self.floor = 0  # every event with a greater number, up to `newest`, is here
        self.newest = 0

    @property
    def end(self) -> int:
        """The place of the next event."""
        return self.base + len(self.events)

    def begin(self, number: int) -> None:
        """Start after an event of the log."""
        self.floor = self.newest = number

    def extend(self, events: Sequence[Logged]) -> None:
        """Put events in, in the order of their numbers."""
        self.events += events
        self.size += sum([len(event.block) for event in events])
        self.newest = events[-1].number

    def prepend(self, events: Sequence[Logged], floor: int) -> None:
        """Put in what was before, so that every event after `floor` is here."""
        self.events[:0] = events
        self.size += sum([len(event.block) for event in events])
        self.base -= len(events)
        self.floor = floor

    def trim(self, keep: int) -> bool:
        """Forget the oldest beyond the limit, but nothing from the place `keep` on; tell whether any went."""
        gone = 0
        while self.size > self.limit and self.base + gone < keep:
            self.size -= len(self.events[gone].block)
            gone += 1
        if gone:
            self.floor = self.events[gone - 1].number
            self.base += gone
            del self.events[:gone]
        return gone > 0

    def after(self, number: int) -> int:
        """The place of the first event after a number; a notice given at that number counts as after it."""
        index = bisect_right(self.events, number, key=attrgetter("number"))
        while index and self.events[index - 1].number == number and self.events[index - 1].type == NOTICE:
            index -= 1
        return self.base + index

    def gather(self, place: int, admits: Admits, most: int) -> tuple[bytes, int]:
        """What is to be sent from a place on, about `most` bytes, and the place after it."""
        blocks, size = [], 0
        while size < most and place < self.end:
            event = self.events[place - self.base]
            if admits(event):
                blocks.append(event.block)
                size += len(event.block)
            place += 1
        return b"".join(blocks), place

    def cut(self, place: int, admits: Admits, sent: int) -> tuple[int, memoryview | None]:
        """Where a send of what is from a place on was cut: the next place, and the rest of a torn block."""
        while sent:
            event = self.events[place - self.base]
            place += 1
            if admits(event):
                if sent < len(event.block):
                    return place, memoryview(event.block)[sent:]
                sent -= len(event.block)
        return place, None

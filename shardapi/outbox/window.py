"""The events that one endpoint is at: read from the log, in flight, and taken out of turn."""

from bisect import bisect_left
from collections.abc import Callable

from ..eventlog import EventLog, Logged
from .pages import Pages
from .places import MOST_AHEAD, Place


class Item:
    """One event on its way; `due` is when it is tried again (ms) where it is `aside`, kept in a table."""

    __slots__ = ("event", "aside", "due", "out", "refused", "broken", "status", "probe_at")

    def __init__(self, event: Logged, aside: bool = False, due: int = 0, refused: int = 0) -> None:
        self.event, self.aside, self.due, self.refused = event, aside, due, refused
        self.out = False
        self.broken = self.status = 0  # how many answers of 5xx, and the last of them
        self.probe_at = 0  # at so many the next event is tried; 0 if it was not set yet

    @property
    def number(self) -> int:
        """Its place in the log."""
        return self.event.number


class Window:
    """Hands out events in their order; `place` tells how far all is done."""

    def __init__(self, log: EventLog, pages: Pages, wants: Callable[[str], bool], place: Place) -> None:
        self.log, self.pages, self.wants = log, pages, wants
        self.generation = place.generation
        self._read_to = place.number
        self._ahead: list[Item] = []  # the next one last
        self._out: dict[int, Item] = {}
        self._done = set(place.ahead)

    @property
    def place(self) -> Place:
        """How far all is done, and what is done after that."""
        number = self._read_to
        if self._ahead:
            number = self._ahead[-1].number - 1
        if self._out:
            number = min(number, min(self._out) - 1)
        if not self._done:
            return Place(number, self.generation)
        self._done = {one for one in self._done if one > number}
        return Place(number, self.generation, tuple(self._done))

    @property
    def full(self) -> bool:
        """Whether too much is done out of turn: the oldest has to be done first."""
        return len(self._done) + len(self._out) >= MOST_AHEAD

    def fill(self, wanted: int, gap: Callable[[], None]) -> None:
        """Read on until so many are ahead, or the log has no more; `gap` is called where it has lost some."""
        while len(self._ahead) < wanted:
            if self.log.missing_after(self._read_to):
                gap()
                self._read_to = max(self._read_to, self.log.oldest - 1)
            page = self.pages.after(self._read_to)
            if page.upto <= self._read_to:
                return
            fresh = [
                Item(event)
                for event in page.events
                if event.number > self._read_to and self.wants(event.type) and event.number not in self._done
            ]
            self._read_to = page.upto
            self._ahead[:0] = reversed(fresh)

    def peek(self, index: int = 0) -> Item | None:
        """The next event, or the one after it."""
        return self._ahead[-1 - index] if len(self._ahead) > index else None

    def take(self, item: Item) -> None:
        """Hand out one of those ahead."""
        if self._ahead[-1] is item:
            self._ahead.pop()
        else:
            self._ahead.remove(item)
        self._out[item.number] = item

    def is_out(self, item: Item) -> bool:
        """Whether an event is handed out."""
        return self._out.get(item.number) is item

    def put_back(self, item: Item) -> None:
        """Take back what could not be delivered, to its place in the order."""
        del self._out[item.number]
        self._ahead.insert(bisect_left(self._ahead, -item.number, key=lambda one: -one.number), item)

    def finish(self, item: Item) -> Place:
        """Note that an event is done with."""
        del self._out[item.number]
        self._done.add(item.number)
        return self.place

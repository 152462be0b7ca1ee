"""What one endpoint has not taken and is tried again out of turn; it is kept in a table."""

from functools import partial
from typing import TYPE_CHECKING

from .. import clock
from .window import Item

if TYPE_CHECKING:
    from .outbox import Outbox

MOST = 100


class Aside:
    """The first events that are kept aside, as the store has them."""

    def __init__(self, box: "Outbox", id_: str) -> None:
        self.box, self.id = box, id_
        self._items: list[Item] = []
        self._stale = True
        self._changes = 0

    def look(self) -> None:
        """What is kept has changed in the store."""
        self._stale = True

    @property
    def full(self) -> bool:
        """Whether the endpoint has refused so many that the others have to wait."""
        return len(self._items) >= MOST

    def due(self) -> list[Item]:
        """What is to be tried now."""
        if self._stale:
            self._stale = False
            try:
                self._read()
            except Exception:
                self._stale = True
                raise
        if not self._items:
            return []
        now = clock.now()
        # A clock that was put back must not make anything wait for longer than the schedule does.
        longest = now + int(self.box.schedule.waits[-1] * 2000)
        return [item for item in self._items if not item.out and (item.due <= now or item.due > longest)]

    def _read(self) -> None:
        changes = -1
        while changes != self._changes:  # while it was read, another lane may have had an event taken
            changes = self._changes
            kept = self.box.log.store.read(lambda: self.box.table.aside(self.id, MOST))
        known = {item.number: item for item in self._items}
        self._items = [
            known.get(one.number) or Item(self.box.logged(one), True, one.due, one.tries) for one in kept
        ]

    def until(self) -> float | None:
        """Seconds until the next one is due; None if there is none."""
        waiting = [item.due for item in self._items if not item.out]
        return max(0.05, (min(waiting) - clock.now()) / 1000) if waiting else None

    def put(self, item: Item, status: int, error: str, seconds: float) -> None:
        """Keep an event, be it aside already or not, to be tried again after a while."""
        due, tries = clock.now() + int(seconds * 1000), item.refused
        self.box.persist(partial(self.box.table.park, self.id, item.event, tries, status, error, due))
        self._changes += 1
        if item.aside:
            item.due, item.out = due, False
        elif not any(one.number == item.number for one in self._items):  # it may have been read meanwhile
            self._items.append(Item(item.event, True, due, tries))

    def taken(self, item: Item) -> None:
        """An event was delivered after all."""
        self.box.persist(partial(self.box.table.unpark, self.id, item.number))
        self.drop(item)

    def drop(self, item: Item) -> None:
        """An event is not to be tried any more."""
        self._changes += 1
        if item in self._items:  # else what is kept was read meanwhile
            self._items.remove(item)
        if len(self._items) == MOST - 1:
            self._stale = True

"""The log read in pages, once for all endpoints that stand at about the same place."""

from collections import OrderedDict
from typing import NamedTuple

from gevent.lock import RLock

from ..eventlog import PAGE, EventLog, Logged

MOST_PAGES = 8


class Page(NamedTuple):
    """The events after one number up to another."""

    after: int
    upto: int
    events: list[Logged]


class Pages:
    """The last pages read; who comes while one is being read waits for it."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._pages: OrderedDict[int, Page] = OrderedDict()
        self._reading = RLock()

    def after(self, number: int) -> Page:
        """A page that has the event after this number, or an empty one if there is none yet."""
        with self._reading:
            for page in self._pages.values():
                if page.after <= number < page.upto:
                    self._pages.move_to_end(page.after)
                    return page
            newest = self.log.newest
            if newest <= number:
                return Page(number, number, [])
            events = self.log.page(number, newest)
            page = Page(number, events[-1].number if len(events) == PAGE else newest, events)
            self._pages[number] = page
            while len(self._pages) > MOST_PAGES:
                self._pages.popitem(last=False)
            return page

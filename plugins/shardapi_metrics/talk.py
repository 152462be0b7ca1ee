"""Who talked where and for how long, over the last day, in bounded memory."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
EXACT = 5_000
CELL_MS = 5 * MINUTE_MS
COARSER_MS = (15 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS)
MOST = 30_000


class Spell(NamedTuple):
    """One transmission, from when to when."""

    began: int
    ended: int
    user: str
    net: str
    ms: int


class Talk(NamedTuple):
    """What one user said on one net."""

    user: str
    net: str
    ms: int
    transmissions: int


class Cell:
    """The sums of what ended in one span of time, by user and net."""

    __slots__ = ("began", "ended", "said")

    def __init__(self, began: int, ended: int) -> None:
        self.began, self.ended = began, ended
        self.said: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, who: tuple[str, str], ms: int, transmissions: int) -> None:
        """Add to one user's talk on one net."""
        before, count = self.said.get(who, (0, 0))
        self.said[who] = before + ms, count + transmissions


class TalkTime:
    """The transmissions of the last day: the newest EXACT one by one, what was before them as sums.

    Sums are of five minutes. When they are more than MOST, the oldest are put together: of a quarter of an hour, an
    hour, six hours, as far as it takes. That is 10 MiB at most, and only if so many pairs of user and net talk that
    six hours are not enough is the oldest span forgotten. Of a span that only reaches into a window its share counts.
    """

    def __init__(self) -> None:
        self.recent: deque[Spell] = deque()
        self.cells: list[Cell] = []
        self.sums = 0

    def add(self, spell: Spell) -> None:
        """Take in a transmission that has ended."""
        self.recent.append(spell)
        if len(self.recent) > EXACT:
            self._fold(self.recent.popleft())
            while self.cells and self.cells[0].ended <= spell.ended - DAY_MS:
                self._forget_oldest()
            while self.sums > MOST:
                if not self._coarsen():
                    self._forget_oldest()

    def _fold(self, spell: Spell) -> None:
        cell = self._cell_of(spell.ended)
        before = len(cell.said)
        cell.add((spell.user, spell.net), spell.ms, 1)
        self.sums += len(cell.said) - before

    def _cell_of(self, at: int) -> Cell:
        """The span that a time is in; nearly always the last one."""
        place = len(self.cells)
        while place and self.cells[place - 1].began > at:
            place -= 1
        if place and at < self.cells[place - 1].ended:
            return self.cells[place - 1]
        began = at // CELL_MS * CELL_MS
        self.cells.insert(place, Cell(began, began + CELL_MS))
        return self.cells[place]

    def _forget_oldest(self) -> None:
        self.sums -= len(self.cells.pop(0).said)

    def _coarsen(self) -> bool:
        """Put the oldest two neighbours together that may be, in as short a span as may be; False if there are none."""
        for span in COARSER_MS:
            for place, (one, other) in enumerate(zip(self.cells, self.cells[1:], strict=False)):
                if one.began // span == (other.ended - 1) // span:
                    del self.cells[place + 1]
                    self._join(one, other)
                    return True
        return False

    def _join(self, one: Cell, other: Cell) -> None:
        before = len(one.said) + len(other.said)
        for who, (ms, transmissions) in other.said.items():
            one.add(who, ms, transmissions)
        one.ended = other.ended
        self.sums += len(one.said) - before

    def within(self, start: int, end: int) -> Iterator[Talk]:
        """What was said after one time and up to another."""
        for cell in self.cells:
            if cell.ended > start and cell.began <= end:
                share = min(1.0, (cell.ended - start) / (cell.ended - cell.began))
                for (user, net), (ms, transmissions) in cell.said.items():
                    yield Talk(user, net, round(ms * share), max(1, round(transmissions * share)))
        for began, ended, user, net, ms in self.recent:
            if ended > start and began <= end:
                yield Talk(user, net, ms - max(0, start - began) - max(0, ended - end), 1)

    def known(self) -> tuple[set[str], set[str]]:
        """Whoever talked, and wherever."""
        pairs = {who for cell in self.cells for who in cell.said} | {
            (one.user, one.net) for one in self.recent
        }
        return {user for user, _ in pairs}, {net for _, net in pairs}


def summed(talks: Iterable[Talk], by: str) -> dict[str, tuple[int, int]]:
    """(ms, transmissions) of each user or each net, who talked most first."""
    sums: dict[str, tuple[int, int]] = {}
    for talk in talks:
        name = talk.user if by == "user" else talk.net
        ms, transmissions = sums.get(name, (0, 0))
        sums[name] = ms + talk.ms, transmissions + talk.transmissions
    return dict(sorted(sums.items(), key=lambda one: (-one[1][0], one[0])))

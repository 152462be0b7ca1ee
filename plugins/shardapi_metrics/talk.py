"""Who talked where and for how long, over the last day, in bounded memory."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

DAY_MS = 86_400_000
MOST, UNTOUCHED = 10_000, 2_500
GRIDS_MS = (60_000, 300_000, 900_000, 3_600_000, DAY_MS)


class Spell(NamedTuple):
    """One transmission, or some of one user on one net put together: from when to when, and how much of it was talk."""

    began: int
    ended: int
    user: str
    net: str
    ms: int
    transmissions: int


class Talk(NamedTuple):
    """What one user said on one net."""

    user: str
    net: str
    ms: int
    transmissions: int


class TalkTime:
    """The transmissions of the last day, at most MOST entries.

    When there are more, those of one user on one net that ended in the same minute become one entry, then in the same
    5 minutes, quarter of an hour, hour, day, as far as it takes; the newest UNTOUCHED stay exact. Only if more than
    MOST / 2 pairs of user and net talked within a day are the oldest forgotten.
    """

    def __init__(self) -> None:
        self.spells: list[Spell] = []

    def add(self, spell: Spell) -> bool:
        """Take in a transmission that has ended; True if old ones were forgotten or put together for it."""
        self.spells.append(spell)
        if len(self.spells) <= MOST:
            return False
        self._condense(spell.ended - DAY_MS)
        return True

    def _condense(self, since: int) -> None:
        recent = self.spells[-UNTOUCHED:]
        old = [spell for spell in self.spells[:-UNTOUCHED] if spell.ended > since]
        for grid in GRIDS_MS:
            if len(old) <= MOST // 2:
                break
            old = _merged(old, grid)
        self.spells = old[-(MOST // 2) :] + recent

    def within(self, start: int, end: int) -> Iterator[Talk]:
        """What was said after one time and up to another; of what only reaches into it, its share."""
        for began, ended, user, net, ms, transmissions in self.spells:
            if ended <= start or began > end:
                continue
            if began < start or ended > end:
                share = (min(ended, end) - max(began, start)) / (ended - began)
                ms, transmissions = round(ms * share), max(1, round(transmissions * share))
            yield Talk(user, net, ms, transmissions)


def _merged(spells: Iterable[Spell], grid: int) -> list[Spell]:
    """Spells of one user on one net that end in the same cell of a grid as one each, in the order of their ends."""
    found: dict[tuple[str, str, int], Spell] = {}
    for spell in spells:
        place = (spell.user, spell.net, spell.ended // grid)
        other = found.get(place)
        if other is not None:
            spell = Spell(
                min(other.began, spell.began),
                max(other.ended, spell.ended),
                spell.user,
                spell.net,
                other.ms + spell.ms,
                other.transmissions + spell.transmissions,
            )
        found[place] = spell
    return sorted(found.values(), key=lambda spell: spell.ended)


def summed(talks: Iterable[Talk], by: str) -> dict[str, tuple[int, int]]:
    """(ms, transmissions) of each user or each net, who talked most first."""
    sums: dict[str, tuple[int, int]] = {}
    for talk in talks:
        name = talk.user if by == "user" else talk.net
        ms, transmissions = sums.get(name, (0, 0))
        sums[name] = ms + talk.ms, transmissions + talk.transmissions
    return dict(sorted(sums.items(), key=lambda one: (-one[1][0], one[0])))

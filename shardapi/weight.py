"""What the event log weighs, by stretches of it: measured off the hot path, each stretch once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .store import rows

if TYPE_CHECKING:
    from .eventlog import EventLog

STRETCH = 10_000  # numbers
ROW_BYTES = 100  # of an event besides its data


class Stretch(NamedTuple):
    """The events up to a number, after those of the stretch before."""

    upto: int
    size: int


class Weight:
    """The stretches of one log, the oldest first."""

    def __init__(self, log: "EventLog") -> None:
        self.log = log
        self._stretches: list[Stretch] = []

    def measure(self) -> None:
        """Weigh what was logged since, in a reader's thread."""
        self._stretches = [one for one in self._stretches if one.upto >= self.log.oldest]
        after = self._stretches[-1].upto if self._stretches else self.log.oldest - 1
        if self.log.newest > after:
            self._stretches += self.log.store.read(self._weigh(after, self.log.newest))

    def _weigh(self, after: int, upto: int) -> Callable[[], list[Stretch]]:
        def weigh() -> list[Stretch]:
            found = rows(
                "SELECT max(number), sum(length(CAST(data AS BLOB)) + ?) FROM event"
                " WHERE guild = ? AND number > ? AND number <= ? GROUP BY number / ? ORDER BY number",
                (ROW_BYTES, self.log.guild_id, after, upto, STRETCH),
            )
            return [Stretch(*one) for one in found]

        return weigh

    def cutoff(self, most: int) -> int:
        """The last number of what is too old for the newest events to weigh so much at most; 0 if all fits."""
        left = most
        for stretch in reversed(self._stretches):
            left -= stretch.size
            if left < 0:
                return stretch.upto
        return 0

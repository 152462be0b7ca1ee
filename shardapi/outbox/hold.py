"""How long an endpoint is waited for, and since when."""

import time

from .. import clock
from .models import Row
from .schedule import Schedule

HOLDING = frozenset((0, 408, 425, 429))
LONG = 5  # failed tries after which a hold is told as an event: some eight minutes


def holds(status: int) -> bool:
    """Whether an answer is about the receiver rather than about the event."""
    return status in HOLDING or 500 <= status < 600


def is_kept_as_held(row: Row) -> bool:
    """Whether an endpoint is held, as far as its row tells."""
    return bool(row.next_at) and holds(row.last_status)


class Hold:
    """A receiver that does not answer gets one try at a time; the row keeps when, for the process after this one."""

    def __init__(self, row: Row, schedule: Schedule) -> None:
        self.row, self.schedule = row, schedule
        self.held = self.told = False  # whether it is on, and whether it has lasted so long that it was told
        self._steps, self._since, self._until = 0, 0.0, 0.0  # the times are monotonic
        if row.next_at:
            self._resume()

    def _resume(self) -> None:
        """Go on with what the process before has left."""
        left = min((self.row.next_at - clock.now()) / 1000, self.schedule.longest_asked)
        self._since = time.monotonic()
        self._until = self._since + max(0.0, left)
        if is_kept_as_held(self.row):
            self.held, self._steps = True, min(self.row.failures, LONG)
            self.told = self._steps >= LONG

    def pause(self, in_flight: int) -> float | None:
        """Seconds to wait, 0 to go on, None until something changes."""
        left = self._until - time.monotonic()
        if left > 0:
            return left
        return None if self.held and in_flight else 0

    def counts(self, began: float) -> bool:
        """Whether an attempt that began then tells anything new: others were in flight as it was begun."""
        return began >= self._since

    def begin(self, retry_after: str) -> bool:
        """The receiver could not answer; True if that is so for the first time."""
        self._steps += 1
        asked = self.schedule.asked(retry_after)
        self.wait(self.schedule.wait(self._steps) if asked is None else asked)
        self._since = time.monotonic()
        first, self.held = not self.held, True
        return first

    @property
    def is_long(self) -> bool:
        """Whether it has just become long enough to be told."""
        return self._steps == LONG

    def wait(self, seconds: float) -> None:
        """Send nothing for so long."""
        self._until = time.monotonic() + seconds
        self.row.next_at = clock.now() + int(seconds * 1000)

    def is_over(self) -> bool:
        """Whether a wait for no answer has just ended; the row does not tell of it any more."""
        if self.held or not self.row.next_at or time.monotonic() < self._until:
            return False
        self.row.next_at = 0
        return True

    def now(self) -> None:
        """Do not wait for the next try."""
        self._until = 0.0

    def end(self) -> bool:
        """The receiver has answered; True if that is news."""
        self._steps, self._until, self.row.next_at = 0, 0.0, 0
        was, self.held = self.held, False
        return was

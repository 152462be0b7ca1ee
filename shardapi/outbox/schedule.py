"""When to try again, and when to give up."""

import random
from email.utils import parsedate_to_datetime

import msgspec

from .. import clock

DAY_MS = 86_400_000


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between the tries, and the bounds of patience; tests compress it."""

    waits: tuple[float, ...] = (5.0, 30.0, 120.0, 300.0, 600.0)
    jitter: float = 0.2
    tries: int = 5  # of an event that is refused, or answered with 5xx before the next is tried
    give_up_ms: int = 5 * DAY_MS
    give_up_tries: int = (
        3  # that fail after that: the clock may have been put forward, or the machine was off
    )
    shortest_asked: float = 1.0
    longest_asked: float = 3600.0
    deadline: float = 10.0

    def wait(self, failed: int) -> float:
        """Seconds until the next try after so many failed ones in a row."""
        wait = self.waits[min(failed, len(self.waits)) - 1]
        return wait * random.uniform(1 - self.jitter, 1 + self.jitter)

    def asked(self, retry_after: str) -> float | None:
        """The seconds that a Retry-After asks for, within bounds; None for what is neither seconds nor a date."""
        try:
            seconds = float(retry_after)
        except ValueError:
            seconds = _until(retry_after)
        return max(self.shortest_asked, min(seconds, self.longest_asked)) if seconds >= 0 else None

    def pause(self, seconds: str) -> float:
        """The seconds of a rate limit that has no room; 0 for what is no number, or too long to be believed."""
        try:
            found = float(seconds)
        except ValueError:
            return 0.0
        return found if 0 < found <= self.longest_asked else 0.0


def _until(date: str) -> float:
    """Seconds until a date as HTTP has it; -1 for what is none."""
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - clock.now() / 1000)
    except (ValueError, OverflowError):
        return -1.0

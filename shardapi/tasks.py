"""The tasks of plugins: each runs in a greenlet of its own, and again after a while if it fails."""

from collections.abc import Callable
from time import monotonic

from gevent import sleep

from .greenlets import Ended
from .problems import Problems, named

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
WELL = 60.0  # seconds after which a task counts as running again


class Task:
    """One plugin's function: one that returns is done, one that raises is begun anew after 1 s, 2 s, … 60 s."""

    def __init__(self, plugin: str, work: Callable[[], None], problems: Problems) -> None:
        self.plugin, self.work, self.problems = plugin, work, problems

    def run(self) -> None:
        """Run the function until it returns."""
        wait = FIRST_WAIT
        while True:
            began = monotonic()
            try:
                return self.work()
            except Ended:
                raise
            except BaseException as error:
                if monotonic() - began >= WELL:
                    wait = FIRST_WAIT
                self.problems.failed(self.plugin, "task", named(self.work), error)
            sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

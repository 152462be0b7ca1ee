"""Waking plugins after a commit: each subscriber in its own greenlet, told of the newest event and no more."""

from collections.abc import Callable, Sequence

import gevent.event

from .eventlog import Logged
from .greenlets import Ended
from .problems import Problems, named


class Subscriber:
    """One plugin's function; while it runs, further commits are folded into its next call."""

    def __init__(self, plugin: str, react: Callable[[int], None], problems: Problems) -> None:
        self.plugin, self.react, self.problems = plugin, react, problems
        self._newest = 0
        self._wake = gevent.event.Event()

    def notice(self, events: Sequence[Logged]) -> None:
        """Called by the log after a commit; never blocks."""
        self._newest = events[-1].number
        self._wake.set()

    def run(self) -> None:
        """Call the function for as long as it runs, whatever it raises."""
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                self.react(self._newest)
            except Ended:
                raise
            except BaseException as error:
                self.problems.failed(self.plugin, "subscriber", named(self.react), error)

"""When messages to many are sent: one by itself at once, those that come fast in rounds, joined for each connection."""

import time
from collections.abc import Callable

import gevent

from shardapi.presence import Message
from shardapi.worker import vital

SLICE = 256  # sends between two looks at the rest of the worker's sockets
LONGEST_PAUSE = 0.02


class Rounds:
    """The turns in which connections send what they hold.

    A send costs much and what is sent little. A round is followed by a pause as long as it took, so that its own cost
    bounds the wait: with few connections none to speak of, with many half of the time is left for others.
    """

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._task: gevent.Greenlet | None = None
        self._alone: Message | None = None
        self._left = 0

    def at_once(self, message: Message) -> bool:
        """Whether a connection may send this now: nothing else went out a moment ago, nor this to very many."""
        if self._task is None:
            self._alone, self._left = message, SLICE
            self._task = gevent.spawn(self._run, time.monotonic())
            vital(self._task)
        if message is not self._alone or not self._left:
            return False
        self._left -= 1
        return True

    def join(self, release: Callable[[], None]) -> None:
        """Have this called in the next round; `at_once` said no before."""
        self._waiting.append(release)

    def _run(self, began: float) -> None:
        while True:
            waiting, self._waiting = self._waiting, []
            for number, release in enumerate(waiting, 1):
                release()
                if number % SLICE == 0:
                    gevent.sleep(1e-6)  # sleep(0) would look at no socket
            gevent.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
            if not self._waiting:
                break
            began = time.monotonic()
        self._task = self._alone = None

"""Where lines of the log go: a descriptor that may be full, which must hold up nobody."""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent.monkey import get_original

MOST_WAITING = 20_000
AT_ONCE = 4096  # bytes that a pipe takes in one piece, beside what another process writes
GATHER_SECONDS = 0.05
PATIENCE_SECONDS = 0.5
LAST_SECONDS = 2.0

_sleep = get_original("time", "sleep")
_start_thread = get_original("_thread", "start_new_thread")
_new_lock = get_original("_thread", "allocate_lock")
_poll = get_original("select", "poll")


class Sink:
    """Lines are written at once, until `work_in_background`; from then on by a thread, in the order they came."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lost = 0  # lines, since it was last told
        self.lament: Callable[[int], bytes] = lambda lost: b""
        self._lines: deque[bytes] = deque()
        self._thread = self._asleep = self._stuck = False
        self._wake: Any = None

    def put(self, line: bytes) -> None:
        """Write a line, its end included, or let it go where too many wait."""
        if not self._thread:
            self._write_if_taken(line)
        elif len(self._lines) >= MOST_WAITING:
            self.lost += 1
        else:
            self._lines.append(line)
            if self._asleep:
                self._asleep = False
                with suppress(RuntimeError):  # another thread was first
                    self._wake.release()

    def work_in_background(self) -> None:
        """Write in a thread from now on; in the process that calls this, and in none that it forks."""
        self._wake = _new_lock()
        self._wake.acquire()
        self._thread = self._asleep = True
        _start_thread(self._run, ())

    def flush(self, seconds: float = LAST_SECONDS) -> None:
        """Wait until all is written, but no longer than this."""
        until = time.monotonic() + seconds
        while self._thread and (self._lines or not self._asleep) and time.monotonic() < until:
            _sleep(0.005)

    def _write_if_taken(self, line: bytes) -> None:
        poll = _poll()
        poll.register(self.fd, select.POLLOUT)
        if not poll.poll(0 if self._stuck else PATIENCE_SECONDS * 1000):
            self._stuck = True
            self.lost += 1
            return
        self._stuck = False
        with suppress(OSError):
            os.write(self.fd, self._of_the_lost() + line)

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            _sleep(GATHER_SECONDS)  # one turn of the interpreter's lock for many lines
            while self._lines:
                self._write(self._gathered())
                self._write(self._of_the_lost())
            self._asleep = True
            if self._lines:  # what came in between has not woken it
                self._asleep = False
                with suppress(RuntimeError):
                    self._wake.release()

    def _of_the_lost(self) -> bytes:
        lost, self.lost = self.lost, 0
        return self.lament(lost) if lost else b""

    def _gathered(self) -> bytes:
        data = self._lines.popleft()
        while self._lines and len(data) + len(self._lines[0]) <= AT_ONCE:
            data += self._lines.popleft()
        return data

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:
                _sleep(GATHER_SECONDS)
            except OSError:
                return

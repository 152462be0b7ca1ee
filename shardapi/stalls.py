"""What blocks the loop: noticed by a thread that looks at the loop's heartbeat, and named.

gevent has a monitor too: it traces every switch between greenlets, which takes 8 % of the CPU of a small request,
prints whole stacks for as long as it lasts, and says neither how long it was nor whose. This one costs nothing that
can be measured (tests/bench/monitor.py).
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import gevent
import gevent.hub
from gevent.monkey import get_original

from .problems import Problem, Problems, owner

log = logging.getLogger("shardapi.loop")

BEAT_SECONDS = 0.1
STALL_SECONDS = 0.25
MOST_LOOKS = 100
HUNG_SECONDS = 5.0  # what blocks for so long is named while it still does: it may never end

_sleep = get_original("time", "sleep")
_start_thread = get_original("_thread", "start_new_thread")
_lock = get_original("_thread", "allocate_lock")


class Culprit(NamedTuple):
    """Who runs while the loop stands: the plugin ("" for none), its function, and the place in its file."""

    plugin: str
    function: str
    file: str
    line: int


class Look(NamedTuple):
    """One look at the loop while it stood: how long it had, the first frame of the stack, and who ran."""

    blocked: float
    bottom: FrameType
    who: Culprit


class Stalls:
    """The stalls of one process's loop: how many, the longest, and who is to blame."""

    def __init__(self, problems: Problems, modules: Mapping[str, str]) -> None:
        self.problems, self.modules = problems, modules
        self.count, self.longest = 0, 0.0
        self._beat = self._used = 0.0
        self._seen: list[Look] = []
        self._ours: dict[str, Problem] = {}
        self._timer: Any = None
        self._thread_id = 0
        self._watched = False

    def start(self) -> None:
        """Begin to watch the loop of the running thread."""
        self._watched, self._thread_id = True, _ident()
        self._beat, self._used = time.monotonic(), time.process_time()
        self._timer = gevent.get_hub().loop.timer(BEAT_SECONDS, BEAT_SECONDS)
        self._timer.start(self._tick)
        _start_thread(self._watch, ())

    def stop(self) -> None:
        """Watch no more."""
        self._watched = False
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def hung(self, frame: FrameType) -> None:
        """Tell that the watchdog ends this process, because the loop has stood here for too long."""
        seconds = time.monotonic() - self._beat
        who = _sentence(culprit(frame, self.modules))
        log.critical(
            "%s has blocked the loop for %.0f s, so this worker ends and another begins", who, seconds
        )

    def held(self, seconds: float) -> None:
        """Tell that what the running greenlet had written held all other writes up for so long."""
        who = culprit(sys._getframe(), self.modules)
        if who.plugin:
            what = f"{who.function} held all writes up"
            self.problems.note(
                who.plugin, "write", what, f"{what} for {seconds:.1f} s ({who.file}:{who.line})"
            )

    # -- on the loop

    def _tick(self) -> None:
        now, used = time.monotonic(), time.process_time()
        late, busy = now - self._beat - BEAT_SECONDS, used - self._used
        self._beat, self._used = now, used
        if not self._seen and late < STALL_SECONDS:
            return
        seen, self._seen = self._seen, []
        if late >= STALL_SECONDS and (
            len(seen) > 1 or busy > late / 2
        ):  # else this process did not run at all
            gevent.spawn(self._note, late + BEAT_SECONDS, seen)

    def _note(self, seconds: float, seen: list[Look]) -> None:
        self.count += 1
        self.longest = max(self.longest, seconds)
        who = blamed(seen)
        if who is None:
            return
        if not who.plugin:
            if self._ours.setdefault(who.function, Problem(0)).due():
                log.warning("%s blocked the loop for %.1f s", _sentence(who), seconds)
            return
        what = f"{who.function} blocked the loop"
        self.problems.note(who.plugin, "loop", what, f"{what} for {seconds:.1f} s ({who.file}:{who.line})")

    # -- in the thread

    def _watch(self) -> None:
        told_after = HUNG_SECONDS
        while self._watched:
            _sleep(BEAT_SECONDS)
            blocked = time.monotonic() - self._beat
            if blocked < 1.5 * BEAT_SECONDS:
                told_after = HUNG_SECONDS
                continue
            frame = sys._current_frames().get(self._thread_id)
            if frame is None:
                return  # the process is coming to its end
            look = Look(blocked, _bottom(frame), culprit(frame, self.modules))
            if len(self._seen) < MOST_LOOKS:
                self._seen = [*self._seen, look]
            if blocked >= told_after:
                told_after *= 2
                log.error("%s has blocked the loop for %.0f s", _sentence(look.who), blocked)
            del frame, look


@contextmanager
def impatient(who: Sequence[str]) -> Iterator[None]:
    """Tell in the log while a plugin keeps the block from coming to its end: the last of `who`, as it is then."""
    over = _lock()
    over.acquire()
    _start_thread(_tell_who, (who, over))
    try:
        yield
    finally:
        over.release()


def _tell_who(who: Sequence[str], over: Any) -> None:
    waited = 0.0
    while not over.acquire(True, max(HUNG_SECONDS, waited)):
        waited += max(HUNG_SECONDS, waited)
        for plugin in who[-1:]:
            log.warning("plugin %s has kept the start waiting for up to %.0f s", plugin, waited)


def blamed(seen: Sequence[Look]) -> Culprit | None:
    """Who stood in the way; None where many had their turn, or none could be seen."""
    if not seen:
        return None
    first = seen[0]
    if first.blocked < STALL_SECONDS:  # else the interpreter was not let go before this look
        bottom, times = Counter(id(look.bottom) for look in seen).most_common(1)[0]
        if times * 2 <= len(seen):
            return None
        looks = [look for look in seen if id(look.bottom) == bottom]
        name = Counter(look.who[:2] for look in looks).most_common(1)[0][0]
        first = next(look for look in looks if look.who[:2] == name)
    return first.who if first.who.file != gevent.hub.__file__ else None


def culprit(frame: FrameType, modules: Mapping[str, str]) -> Culprit:
    """Whose code a stack is in: the innermost plugin's on it, else the innermost of all."""
    innermost: Culprit | None = None
    at: FrameType | None = frame
    while at is not None:
        plugin = owner(str(at.f_globals.get("__name__", "")), modules)
        found = Culprit(plugin, at.f_code.co_qualname, at.f_code.co_filename, at.f_lineno)
        if plugin:
            return found
        innermost, at = innermost or found, at.f_back
    assert innermost is not None
    return innermost


def _sentence(who: Culprit) -> str:
    whose = f"plugin {who.plugin}: {who.function}" if who.plugin else who.function
    return f"{whose} ({who.file}:{who.line})"


def _bottom(frame: FrameType) -> FrameType:
    """The first frame of a stack, which is another for each greenlet."""
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def _ident() -> int:
    ident: int = get_original("_thread", "get_ident")()
    return ident

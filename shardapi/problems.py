"""What goes wrong with plugins while the shard runs: told in the log and in /ready, and counted for the metrics."""

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from . import clock
from .installed import MOST_SAID, PluginError, quoted

log = logging.getLogger("shardapi.plugins")

QUIET_MS = 3_600_000  # a problem that has not come again for so long is no longer told
SAY_AGAIN_SECONDS = 60.0
MOST = 100


class Where(NamedTuple):
    """The plugin, what is wrong, and where: start, view, subscriber, listener, task, guard, metrics, loop, write."""

    plugin: str
    place: str
    what: str


class Problem:
    """One thing that is wrong, however often it has come."""

    def __init__(self, now: int, count: int = 0) -> None:
        self.since = self.last = now
        self.count, self.unsaid = count, 0
        self._said_at: float | None = None

    def due(self) -> bool:
        """Whether to say it in the log now: at first, and once a minute from then on."""
        now = time.monotonic()
        if self._said_at is not None and now - self._said_at < SAY_AGAIN_SECONDS:
            self.unsaid += 1
            return False
        self._said_at = now
        return True


class Problems:
    """The problems of one shard's plugins; `counts` has how many there were, by plugin and place."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.left_out: list[PluginError] = []
        self.passed_over: list[PluginError] = []
        self._known: dict[Where, Problem] = {}

    def failed(self, plugin: str, place: str, name: str, error: BaseException) -> None:
        """Tell that something of a plugin has raised; only the error's type leaves the log."""
        what = f"{name} failed: {type(error).__name__}"
        self.note(plugin, place, what, f"{place} {name} failed: {summary(error)}", error)

    def note(self, plugin: str, place: str, what: str, line: str, error: BaseException | None = None) -> None:
        """Tell a problem; its line comes into the log once a minute, with the error's traceback."""
        problem = self.record(plugin, place, what)
        if problem.due():
            more = f" (and {problem.unsaid} times since it was last said)" if problem.unsaid else ""
            problem.unsaid = 0
            log.error("plugin %s: %s%s", plugin, line, more, exc_info=error)

    def record(self, plugin: str, place: str, what: str) -> Problem:
        """Count a problem, for /ready and the metrics."""
        where, now = Where(plugin, place, what), clock.now()
        self.counts[plugin, place] = self.counts.get((plugin, place), 0) + 1
        problem = self._known.pop(where, None) or Problem(now)
        problem.last, problem.count = now, problem.count + 1
        self._known[where] = problem  # the newest is the last
        if len(self._known) > MOST:
            del self._known[next(one for one in self._known if one.place != "start")]
        return problem

    def leave_out(self, error: PluginError) -> None:
        """Keep in mind that the shard runs without a plugin."""
        self.left_out.append(error)
        self.counts[error.plugin, "start"] = 1
        self._known[Where(error.plugin, "start", error.what)] = Problem(clock.now(), 1)

    def pass_over(self, error: PluginError) -> None:
        """Keep in mind that a plugin runs, and another of its name does not."""
        self.passed_over.append(error)
        self._known[Where(error.plugin, "start", error.what)] = Problem(clock.now(), 1)

    def begin(self) -> None:
        """Tell what was left out, as the shard begins to serve."""
        for error in self.passed_over:
            log.warning("%s", error)
        for error in self.left_out:
            log.error("%s; the shard runs without it", error)

    def now(self) -> list[tuple[Where, Problem]]:
        """What is wrong now, the oldest first."""
        since = clock.now() - QUIET_MS
        found = [one for one in self._known.items() if one[1].last >= since or one[0].place == "start"]
        return sorted(found, key=lambda one: one[1].since)


def summary(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {quoted(error, str)}".split())[:MOST_SAID].rstrip(": ")


def named(function: object) -> str:
    """What a function is called where it is written."""
    inner = _inner(function)
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def home(function: object) -> str:
    """The module that a function was written in, "" where that cannot be told."""
    return str(getattr(_inner(function), "__module__", None) or "")


def _inner(function: object) -> object:
    while isinstance(function, partial):
        function = function.func
    return function


def owner(module: str, modules: Mapping[str, str]) -> str:
    """The plugin that a module belongs to, by itself or as part of a package; "" if none."""
    while module and module not in modules:
        module = module.rpartition(".")[0]
    return modules.get(module, "")

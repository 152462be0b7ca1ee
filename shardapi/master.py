"""gunicorn's master, taught what it lacks: a reload that can be refused, and what systemd is to hear."""

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from . import config as settings
from .board import BOOTED, BOOTING, SERVING
from .systemd import Notifier

if TYPE_CHECKING:
    from .config import Config
    from .worker import Worker

LOOK_SECONDS = 0.02
BEGIN_SECONDS = 120.0  # a new worker may have a store to migrate
ENDING = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
FRESH_SECONDS = 5.0  # a worker's loop tells each second that it turns


class Master:
    """Takes the place of some of an arbiter's methods, which it looks up each time it calls them."""

    def __init__(self, arbiter: Any, config: "Config", notifier: Notifier) -> None:
        self.arbiter, self.config, self.notifier = arbiter, config, notifier
        self._murder = arbiter.murder_workers
        self._ready = False
        arbiter.handle_hup = self.reload
        arbiter.murder_workers = self.look

    def look(self) -> None:
        """Once a second, and when a worker has begun to serve: end what hangs, tell systemd."""
        self._murder()
        workers = list(self.arbiter.WORKERS.values())
        if not self._ready and any(worker.board.state == SERVING for worker in workers):
            self._ready = True
            self._tell_ready()
        # Until a worker has begun, its file has the time of day, which is later than any of this clock.
        if self._ready and any(
            time.monotonic() - worker.tmp.last_update() < FRESH_SECONDS for worker in workers
        ):
            self.notifier.feed()

    def _tell_ready(self) -> None:
        self.notifier.tell("READY=1")
        # Not before: it would begin to wait. What hangs for less is ours to end.
        self.notifier.outlast(self.config.server.watchdog_seconds)

    def reload(self) -> None:
        """HUP: begin a new worker, then end the one before it; what cannot begin changes nothing."""
        self.notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        before = dict(self.arbiter.WORKERS)
        try:
            refusal = self._try_anew()
            if refusal:
                self.arbiter.log.error("reload refused, all goes on as before: %s", refusal)
            else:
                self._end(before)
        finally:
            if self._ready:
                self._tell_ready()

    def _try_anew(self) -> str:
        """Begin a worker with the settings as they are now; why it cannot, or "" if it has begun."""
        try:
            config = settings.load()
        except settings.ConfigError as error:
            return " ".join(str(error).split())
        before, self.config = self.config, config
        self._take(config)
        self.arbiter.log.reopen_files()
        refusal = self._trial()
        if refusal:
            self.config = before
            self._take(before)
        elif config.server.bind != before.server.bind:
            self.arbiter.log.warning(
                "server.bind has changed: that takes a restart, or where systemd opens the socket a change of that"
            )
        return refusal

    def _take(self, config: "Config") -> None:
        cfg = self.arbiter.cfg
        cfg.set("timeout", config.server.watchdog_seconds)
        cfg.set("forwarded_allow_ips", ",".join(config.server.trusted_proxies))
        self.arbiter.timeout = cfg.timeout

    def _trial(self) -> str:
        arbiter = self.arbiter
        arbiter.app.on_trial = True
        try:
            pid = arbiter.spawn_worker()
        finally:
            arbiter.app.on_trial = False
        worker: Worker = arbiter.WORKERS[pid]
        deadline = time.monotonic() + BEGIN_SECONDS
        while worker.board.state < BOOTED or worker.board.reason:
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._forget(pid)
                return worker.board.reason or "the new worker ended as it began"
            ending = self._told_to_end()
            if ending or (time.monotonic() > deadline and worker.board.state == BOOTING):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self._forget(pid)
                return (
                    "it is to end" if ending else f"the new worker had not begun after {BEGIN_SECONDS:.0f} s"
                )
            self.look()
            time.sleep(LOOK_SECONDS)
        return ""

    def _told_to_end(self) -> bool:
        """Whether a signal waits that ends the server; what waits is left in its queue."""
        queue, waiting = self.arbiter.SIG_QUEUE, []
        while not queue.empty():
            waiting.append(queue.get_nowait())
        for signum in waiting:
            queue.put_nowait(signum)
        return not ENDING.isdisjoint(waiting)

    def _forget(self, pid: int) -> None:
        worker = self.arbiter.WORKERS.pop(pid)
        worker.tmp.close()
        self.arbiter.cfg.child_exit(self.arbiter, worker)

    def _end(self, workers: "dict[int, Worker]") -> None:
        """Have them end, and wait for it: gunicorn would tell them again each second."""
        for pid in workers:
            self.arbiter.kill_worker(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.arbiter.cfg.graceful_timeout
        while workers.keys() & self.arbiter.WORKERS.keys() and time.monotonic() < deadline:
            self.arbiter.reap_workers()
            self.look()
            time.sleep(LOOK_SECONDS)

"""The writer: what must be true together is one batch, one transaction, one fsync, in the store's writing thread.

Jobs are decided on the loop, one after another, against the pending guild; nothing is decided while a commit is
in flight, so no decision rests on a state that did not come to be.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gevent
import gevent.event
import gevent.lock
from gevent.hub import Waiter
from msgspec.structs import replace

from . import clock
from .errors import STORE_UNAVAILABLE, STORE_UNCERTAIN, ApiError
from .eventlog import Batch, EventLog
from .events import Event
from .greenlets import Greenlet
from .guild import Guild
from .held import spared
from .listeners import Listeners
from .models import load_guild, save_guild
from .store import Store, database, one, translated, unavailable
from .timings import Timings

log = logging.getLogger("shardapi.writer")

HELD_EVENTS = 10_000
RETRY_SECONDS = 0.5
FOREIGN_POLL_SECONDS = 0.5
LONG_SECONDS = 1.0  # for one job to hold all others up


class Job:
    """One thing to write. `decide` runs on the loop and may refuse; `write` runs in the transaction."""

    error: Exception | None = None
    result: Any = None
    seconds = 0.0  # that its part of the transaction took
    done: Waiter  # of the greenlet that waits until it is on disk

    def decide(self, draft: "Draft") -> None:
        """Change the pending guild and say which events to log; raises to refuse, touching nobody else."""

    def write(self, draft: "Draft") -> None:
        """Run inside the transaction, in the writing thread."""

    def committed(self) -> None:
        """Run on the loop once it is on disk."""

    def failed(self) -> None:
        """Run on the loop if it was decided, but could not be written."""


class Draft:
    """A batch in the making: the pending guild, and the events in the order they get their numbers."""

    def __init__(self, log: EventLog, before: Guild, now: int) -> None:
        self.log, self.before, self.guild, self.now = log, before, before, now
        self.events: list[Event] = []


class PresenceEvents(Job):
    """Events that nobody waits for: joins and transmissions."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

    def decide(self, draft: Draft) -> None:
        draft.events.extend(self.events)


class Function(Job):
    """A write that is no command: `fn` on the writing connection, in a savepoint; `tell` makes events of its result."""

    def __init__(
        self,
        fn: Callable[[], Any],
        record: Callable[[Any], Any] | None,
        tell: Callable[[Any], Iterable[Event]] | None,
    ) -> None:
        self.fn, self.record, self.tell = fn, record, tell

    def write(self, draft: Draft) -> None:
        try:
            with database.savepoint():
                done = self.fn()
                self.result = done if self.record is None else self.record(done)
        except Exception as error:
            if translated(error) is not error:
                raise
            if not database.connection().in_transaction:  # SQLite rolled back by itself, and fn hid why
                raise unavailable("the disk is full") from error
            self.error = error
        else:
            draft.events.extend(self.tell(done) if self.tell is not None else ())


class Moved(Exception):
    """Another process changed the guild or the log after this batch was decided."""


class Writer:
    """The queue in front of the store, and the guild as the last commit left it."""

    def __init__(self, store: Store, log: EventLog) -> None:
        self.store, self.log = store, log
        self.guild: Guild = store.read(lambda: load_guild(log.guild_id))
        self.on_change: Listeners[Guild, Guild] = Listeners()
        self.on_foreign: Listeners[[]] = Listeners()
        self.on_dropped: Listeners[int] = Listeners()
        self.on_uncertain: Callable[[], None] = lambda: None
        self.on_long: Callable[[float], None] = lambda seconds: None  # called where the job was asked for
        self.troubled = ""
        self.timings = Timings()
        self.dropped = 0
        self._held: list[Event] = []
        self._queue: list[Job] = []
        self._wake = gevent.event.Event()
        self._task: gevent.Greenlet | None = None
        self._turn = gevent.lock.RLock()  # a state read beside a commit would be the one before it
        self._data_version = 0
        self._last_number: int = store.execute(_last_number)

    @property
    def waiting(self) -> int:
        """How many events wait for the store."""
        return len(self._held)

    def run(self, job: Job) -> Any:
        """Queue a job and wait until it is on disk; raises what refused it."""
        if gevent.getcurrent() is self._task:
            raise RuntimeError("a reaction to a commit cannot wait for another one: spawn a greenlet for it")
        if not self._queue:
            self._start()
            self._wake.set()
        job.done = Waiter()
        self._queue.append(job)
        job.done.get()
        if job.seconds >= LONG_SECONDS:
            self.on_long(job.seconds)
        if job.error is not None:
            raise job.error
        return job.result

    def append(self, events: Sequence[Event]) -> None:
        """Log events, and wait until they are on disk."""
        self.run(PresenceEvents(events))

    def post(self, events: Iterable[Event], first: bool = False) -> None:
        """Log events without waiting; they are held while the store cannot write, and told as a gap if too many.

        `first` puts them before those that wait already.
        """
        if first:
            self._held[:0] = events
        else:
            self._held.extend(events)
        if len(self._held) > 2 * HELD_EVENTS:  # while a write hangs; one that fails lets go in time
            self._spare()
        self._start()
        self._wake.set()

    def write(
        self,
        fn: Callable[[], Any],
        record: Callable[[Any], Any] | None = None,
        tell: Callable[[Any], Iterable[Event]] | None = None,
    ) -> Any:
        """Run fn in a write transaction; returns its result, or what `record` made of it in the same one."""
        return self.run(Function(fn, record, tell))

    def _start(self) -> gevent.Greenlet:
        if self._task is None:
            self._task = Greenlet.spawn(self._run)
        return self._task

    def _run(self) -> None:
        look_at = 0.0
        while True:
            self._wake.wait(FOREIGN_POLL_SECONDS)
            if time.monotonic() >= look_at:
                self._look_abroad()
                look_at = time.monotonic() + FOREIGN_POLL_SECONDS
            if not self._wake.is_set():
                continue
            self._wake.clear()
            batch, self._queue = self._queue, []
            held, self._held = self._held, []
            with self._turn:
                self._commit(batch, held)
            gevent.get_hub().loop.run_callback(_wake, batch)
            if self._held:
                gevent.sleep(RETRY_SECONDS if self.troubled else 0)
                self._wake.set()

    def watch(self) -> gevent.Greenlet:
        """Look for commits of other processes from now on; returns the greenlet, which must not die."""
        return self._start()

    def _commit(self, batch: list[Job], held: list[Event]) -> None:
        """Make a batch true, the waiting presence events first; if a job breaks it, each job by itself."""
        jobs = [PresenceEvents(held), *batch] if held else batch
        draft, decided, written = self._attempt(jobs)
        while isinstance(written, Moved):
            for job in decided:
                job.failed()
            try:
                self.refresh()
            except Exception as error:
                written = error
            else:
                draft, decided, written = self._attempt(jobs)
        if not isinstance(written, Exception):
            self._settle(draft, decided, written)
        elif _store_failed(written) or len(jobs) == 1:
            self._give_up(decided, held, written)
        else:
            if not isinstance(written, ApiError):
                log.error("a write failed, so those beside it are made one by one", exc_info=written)
            for job in decided:
                job.failed()
            if held:
                self._commit([], held)
            for job in batch:
                self._commit([job], [])

    def _one_by_one(self, held: list[Event]) -> None:
        """One of these cannot be logged: the others can."""
        if len(held) == 1:
            self.dropped += 1
        else:
            for event in held:
                self._commit([], [event])

    def _attempt(self, jobs: list[Job]) -> tuple[Draft, list[Job], Batch | Exception]:
        draft, decided = self._decide(jobs)
        if not decided:
            return draft, [], Batch(self.log, self._last_number, draft.now)
        began = time.perf_counter()
        try:
            batch = self.store.execute(lambda: self._transaction(draft, decided))
        except Exception as error:
            return draft, decided, error
        self.timings.observe("commit", 0, (time.perf_counter() - began) * 1000)
        return draft, decided, batch

    def _decide(self, jobs: list[Job]) -> tuple[Draft, list[Job]]:
        draft, decided = Draft(self.log, self.guild, clock.now()), []
        for job in jobs:
            job.error = None
            try:
                job.decide(draft)
            except Exception as error:
                job.error = error
            else:
                decided.append(job)
        return draft, decided

    def _transaction(self, draft: Draft, jobs: list[Job]) -> Batch:
        with database.atomic():
            version = one("SELECT version FROM guild WHERE id = ?", (self.log.guild_id,))[0]
            if version != draft.before.version or _last_number() != self._last_number:
                raise Moved
            if draft.guild is not draft.before:
                save_guild(draft.before, draft.guild)
            for job in jobs:
                began = time.perf_counter()
                try:
                    job.write(draft)
                finally:
                    job.seconds = time.perf_counter() - began
            batch = Batch(self.log, self._last_number, draft.now)
            batch.add(draft.events)
            batch.save()
        return batch

    def _settle(self, draft: Draft, jobs: list[Job], batch: Batch) -> None:
        before, self.guild = self.guild, draft.guild
        self._last_number = batch.last
        batch.committed()
        if self.troubled and jobs:
            log.warning("the store can write again")
            self.troubled = ""
        for job in jobs:
            job.committed()
        if batch.logged:
            self.log.published(batch.logged)
        if self.dropped and jobs:
            dropped, self.dropped = self.dropped, 0
            self.on_dropped.tell(dropped)
        if self.guild is not before:
            self.on_change.tell(before, self.guild)

    def _give_up(self, jobs: list[Job], held: list[Event], error: Exception) -> None:
        for job in jobs:
            job.error = error
            job.failed()
        if not isinstance(error, ApiError):
            log.error("a write failed in an unforeseen way", exc_info=error)
        if not _store_failed(error):
            return self._one_by_one(held)
        if not self.troubled:
            log.error("the store cannot write: %s", error)
        self.troubled = str(error)
        self._held = held + self._held
        self._spare()
        if isinstance(error, ApiError) and error.kind is STORE_UNCERTAIN:
            self.on_uncertain()

    def _spare(self) -> None:
        """Let go of events that are too many to hold; readers will be told of a gap."""
        kept = spared(self._held, HELD_EVENTS)
        self.dropped += len(self._held) - len(kept)
        self._held = kept

    # -- other processes on the same store

    def _look_abroad(self) -> None:
        try:
            version = self.store.execute(lambda: one("PRAGMA data_version")[0])
            if version != self._data_version:
                self.refresh()
                self._data_version = version
        except Exception as error:
            log.warning("cannot look for changes made by other processes: %s", error)

    def refresh(self) -> None:
        """Read the guild and the log again, because another process may have written."""
        with self._turn:
            before = self.guild
            self.guild = self.store.read(lambda: load_guild(self.log.guild_id))
            self._last_number = self.store.execute(_last_number)
            self.log.catch_up()
            if self.guild.version != before.version:
                self.on_change.tell(before, self.guild)
            self.on_foreign.tell()

    def stop(self) -> None:
        """End the writer; whoever still waits would wait for ever."""
        if self._task is not None:
            self._task.kill()
            self._task = None


def _wake(jobs: list[Job]) -> None:
    """Let those go on who wait for these jobs; runs in the hub."""
    for job in jobs:
        job.done.switch(None)


def _store_failed(error: Exception) -> bool:
    """Whether it was the store that could not write, and not the job."""
    return isinstance(error, ApiError) and error.kind in (STORE_UNAVAILABLE, STORE_UNCERTAIN)


def _last_number() -> int:
    number: int = one("SELECT number FROM last_event")[0]
    return number


def stepped(guild: Guild, after: Guild, now: int) -> Guild:
    """The guild after a submit: one version on if anything changed."""
    if after is guild:
        return guild
    return replace(after, version=guild.version + 1, updated_at=now)

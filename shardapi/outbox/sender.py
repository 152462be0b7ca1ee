"""The sender of one endpoint: tries in order, holds, sets aside, parks, and knows when to give up.

No answer, 408, 425, 429 and 5xx hold the endpoint: everything waits, and one try at a time is made until it answers.
Any other refusal is the event's own: after five tries it is parked and the queue goes on. An event that was answered
with 5xx five times may be what breaks the receiver: the next one is tried once, and if that is taken, the first is
parked.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import gevent
import gevent.event
from gevent.lock import RLock

from .. import clock
from .aside import Aside
from .hold import Hold, holds
from .kind import Pack
from .line import Line, Result
from .models import MOST_ATTEMPTS, Attempt, Row
from .places import Place
from .target import parse
from .window import Item, Window

if TYPE_CHECKING:
    from .outbox import Outbox

log = logging.getLogger("shardapi.outbox")

LANES = 8  # deliveries in flight of an endpoint that needs no order


class Sender:
    """Delivers to one endpoint while it is enabled, in greenlets of its own."""

    def __init__(self, box: "Outbox", row: Row, pack: Pack, url: str, place: Place, parked: int) -> None:
        self.box, self.row, self.pack, self.url, self.parked = box, row, pack, url, parked
        self.host = urlsplit(url).hostname or ""
        self.window = Window(box.log, box.pages, self._wants, place)
        self.attempts: deque[Attempt] = deque(maxlen=MOST_ATTEMPTS)
        self.bell = gevent.event.Event()
        self.ended = self.stopped = False
        self.kept = place.number  # its place as the store has it
        self._wanted: dict[str, bool] = {}
        self._picking = RLock()
        self._aside = Aside(box, row.id)
        self._suspect: Item | None = None  # it may break the receiver,
        self._probe: Item | None = None  # which this one shows
        self._in_flight = self._late = 0  # the latter are failures after all patience was spent
        self._fold = box.kind.most if row.ordered else 1
        self._hold = Hold(row, box.schedule)
        self._lanes = [box.shard.spawn(self._run_lane) for _ in range(1 if row.ordered else LANES)]

    def _wants(self, type_: str) -> bool:
        wanted = self._wanted.get(type_)
        if wanted is None:
            wanted = self._wanted[type_] = self.box.kind.wants(self.row, type_)
        return wanted

    @property
    def held(self) -> bool:
        """Whether nothing is sent but a try now and then."""
        return self._hold.held

    @property
    def behind(self) -> int:
        """How many events of the log it has not passed yet, at most."""
        return max(0, self.box.log.newest - self.window.place.number)

    def try_now(self) -> None:
        """Do not wait for the next try."""
        self._hold.now()
        self.bell.set()

    def look_aside(self) -> None:
        """What is kept aside has changed in the store."""
        self._aside.look()
        self.bell.set()

    def stop(self) -> Place:
        """End all lanes, whatever is in flight; returns how far it has come."""
        self.ended = self.stopped = True
        for lane in self._lanes:
            if lane is not gevent.getcurrent():
                lane.kill(block=False)
        return self.window.place

    # -- a lane

    def _run_lane(self) -> None:
        line = Line(parse(self.url), self.box.gate, self.box.agent)
        try:
            while not self.ended:
                try:
                    if batch := self._next():
                        self._deliver(line, batch)
                except Exception as error:  # a fault of ours must not end deliveries for good
                    self.box.shard.problems.failed(self.box.kind.name, "task", "the sender", error)
                    gevent.sleep(self.box.schedule.waits[0])
        finally:
            line.close()

    def _next(self) -> list[Item]:
        """What to deliver next, waited for; nothing where the sender has ended."""
        while not self.ended:
            self.bell.clear()
            with self._picking:
                if self._hold.is_over():
                    self.box.touched.add(self)
                pause = self._hold.pause(self._in_flight)
                batch = self._pick() if pause == 0 else []
            if batch:
                if self.window.peek() is not None:
                    self.bell.set()  # for another lane
                return batch
            if pause == 0:
                pause = self._aside.until()
            self.bell.wait(pause)
        return []

    def _pick(self) -> list[Item]:
        """Take the next events to deliver; there may be none."""
        due = self._aside.due()
        if not due and self.window.full and self._in_flight:
            return []
        first = due[0] if due else self._ahead(0)
        if first is None:
            return []
        if first.broken >= (first.probe_at or self.box.schedule.tries):
            other = due[1] if len(due) > 1 else self._ahead(0 if due else 1)
            if other is not None:
                first.probe_at = first.broken + self.box.schedule.tries
                self._suspect, self._probe = first, other
                return self._take(other, 1)
        return self._take(first, 1 if first.aside else self._fold)

    def _ahead(self, index: int) -> Item | None:
        self.window.fill(index + 1, self.tell_gap)
        return self.window.peek(index)

    def _take(self, first: Item, most: int) -> list[Item]:
        batch = [first]
        if first.aside:
            first.out = True
        else:
            self.window.take(first)
        while len(batch) < most and (more := self._ahead(0)) is not None:
            self.window.take(more)
            batch.append(more)
        self._in_flight += 1
        return batch

    def _put_back(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.aside:
                item.out = False
            else:
                self.window.put_back(item)

    def _deliver(self, line: Line, batch: list[Item]) -> None:
        began = time.monotonic()
        try:
            parcel = self.pack([item.event for item in batch])
            self._put_back(batch[parcel.told :])
            del batch[parcel.told :]
            if parcel.body:
                result = line.post(parcel.fields, parcel.body, self.box.schedule.deadline)
                self._settle(batch, result, began)
            else:
                self._finish(batch)
        except Exception:
            self._put_back([item for item in batch if self._is_out(item)])
            raise
        finally:
            self._in_flight -= 1
            self.bell.set()

    def _is_out(self, item: Item) -> bool:
        return item.out if item.aside else self.window.is_out(item)

    # -- what came of it

    def _settle(self, batch: list[Item], result: Result, began: float) -> None:
        row, current = self.row, self._hold.counts(began)
        row.last_status, row.last_error = result.status, result.error
        if result.taken:
            row.failures = row.failing_since = 0
            row.last_delivery_at = clock.now()
            self._note(batch, result, "delivered")
            suspect = self._claim_suspect(batch)
            if current:
                self._let_go()
                self._spare(result.pause)
            self._finish(batch)
            if suspect is not None:
                self._park(suspect, suspect.status, "breaks_receiver", suspect.broken)
            return
        if self._probe in batch:
            self._suspect = self._probe = None
        row.failures += 1
        row.failing_since = self._failing_since()
        if self.box.kind.is_gone(result.status):
            self._note(batch, result, "gone")
            return self._give_up(batch, "gone")
        held = holds(result.status)
        self._note(batch, result, "held" if held else "refused")
        if self._is_over():
            return self._give_up(batch, "failing")
        if held:
            self._wait(batch, result, current)
        else:
            self._refused(batch, result)

    def _is_over(self) -> bool:
        """Whether it has failed for too long, the last few times while that was known."""
        patience = self.box.schedule
        late = clock.now() - self.row.failing_since >= patience.give_up_ms
        self._late = self._late + 1 if late else 0
        return self._late >= patience.give_up_tries

    def _failing_since(self) -> int:
        """When the first failure in a row was; now, if the clock was wrong as that was noted."""
        since, now = self.row.failing_since, clock.now()
        least = max(self.row.created_at, self.row.last_delivery_at)
        return since if (least if least <= now else 1) <= since <= now else now

    def _finish(self, batch: list[Item]) -> None:
        self._fold = self.box.kind.most if self.row.ordered else 1
        for item in batch:
            if item.aside:
                self._aside.taken(item)
            else:
                self._keep(self.window.finish(item))

    def _keep(self, place: Place) -> None:
        if not self.stopped:
            self.box.places.keep(self.row.id, place)
        self.box.touched.add(self)

    def _note(self, batch: Sequence[Item], result: Result, outcome: str) -> None:
        counts = self.box.counts
        counts[outcome] = counts.get(outcome, 0) + len(batch)
        now = clock.now()
        for item in batch:
            event = item.event
            self.attempts.append(
                Attempt(
                    self.row.id,
                    event.number,
                    event.type,
                    now,
                    result.status,
                    result.ms,
                    result.error,
                    outcome,
                )
            )
        self.box.touched.add(self)

    # -- holding

    def _wait(self, batch: list[Item], result: Result, current: bool) -> None:
        """The receiver cannot take anything now."""
        first, tries = batch[0], self.box.schedule.tries
        if result.status >= 500:
            first.broken, first.status = first.broken + 1, result.status
            self._fold = 1
        if not current:
            return self._put_back(batch)
        if self._hold.begin(result.retry_after):
            why = f"answers {result.status}" if result.status else result.error.replace("_", " ")
            log.warning("%s is held: %s", self.name, why)
        if self._hold.is_long:
            self._hold.told = True
            self._tell("held", failures=self.row.failures)
        self._put_back(batch)
        is_asked_to_wait = self.box.schedule.asked(result.retry_after) is not None
        if first.broken == tries and not first.probe_at and not is_asked_to_wait:
            with self._picking:
                has_next = len(self._aside.due()) > 1 or self._ahead(0 if first.aside else 1) is not None
            if has_next:
                self._hold.now()  # that one is tried at once

    def _let_go(self) -> None:
        """It has answered: nothing is held any more."""
        if not self._hold.end():
            return
        log.info("%s answers again; %d events wait at most", self.name, self.behind)
        if self._hold.told:
            self._hold.told = False
            self._tell("released")

    def _spare(self, pause: str) -> None:
        """Wait as long as the receiver says that it would take nothing, which is no failure."""
        seconds = self.box.schedule.pause(pause) if pause and self.box.kind.tells_limits else 0.0
        if seconds:
            self._hold.wait(seconds)

    def _claim_suspect(self, batch: Sequence[Item]) -> Item | None:
        """The event that has broken the receiver, if these were tried in its place; nobody else takes it then."""
        suspect, probe = self._suspect, self._probe
        self._suspect = self._probe = None
        if suspect is None or probe not in batch:
            return None
        if suspect.aside:
            suspect.out = True
        else:
            self.window.take(suspect)
        return suspect

    # -- refusals

    def _refused(self, batch: list[Item], result: Result) -> None:
        self._let_go()
        if len(batch) > 1:  # one of them, which one is to be seen
            self._fold = 1
            return self._put_back(batch)
        (item,) = batch
        item.refused += 1
        schedule = self.box.schedule
        if item.refused >= schedule.tries:
            self._park(item, result.status, result.error, item.refused)
            return self._rest()
        wait = schedule.wait(item.refused)
        if not item.aside and (self.row.ordered or self._aside.full):
            self._hold.wait(wait)
            return self._put_back(batch)
        self._aside.put(item, result.status, result.error, wait)
        if not item.aside:
            self._keep(self.window.finish(item))

    def _park(self, item: Item, status: int, error: str, tried: int) -> None:
        """Keep an event that was not taken for whoever asks for it, and go on."""
        work = partial(self.box.table.park, self.row.id, item.event, tried, status, error, 0)
        told = self.box.kind.told("parked", self.row, number=item.number) if not self.parked else None
        self.box.persist(work, [told] if told is not None else [])
        self.parked += 1
        self.box.counts["parked"] = self.box.counts.get("parked", 0) + 1
        log.warning(
            "%s has not taken %s (%s): parked", self.name, self.box.log.id_of(item.number), status or error
        )
        if item.aside:
            self._aside.drop(item)
        else:
            self._keep(self.window.finish(item))

    def _rest(self) -> None:
        """Where nothing waits any more, the time until the next event is none of failure."""
        with self._picking:
            if self._in_flight == 1 and self._aside.until() is None and self._ahead(0) is None:
                self.row.failing_since = 0

    # -- the end of patience, and what is lost

    def _give_up(self, batch: list[Item], why: str) -> None:
        self._put_back(batch)
        self.ended = True
        self.row.next_at = 0
        self.box.disable(self, why)

    def tell_gap(self) -> None:
        """Tell that the log no longer holds, or never held, what this endpoint should have had."""
        oldest = self.box.log.id_of(self.box.log.oldest)
        log.warning("%s has missed events: the log begins at %s", self.name, oldest)
        self.row.gap_at = clock.now()
        self.box.counts["gap"] = self.box.counts.get("gap", 0) + 1
        self.box.touched.add(self)
        self._tell("gap", oldest=oldest)

    @property
    def name(self) -> str:
        """What it is called in the log: never a path, which may hold a secret."""
        return f"{self.box.kind.word} {self.row.id} ({self.host})"

    def _tell(self, what: str, **facts: Any) -> None:
        event = self.box.kind.told(what, self.row, **facts)
        if event is not None:
            self.box.shard.writer.post([event])

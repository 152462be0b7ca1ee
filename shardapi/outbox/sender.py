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
MOST_ASIDE = 100
HOLDING = frozenset((0, 408, 425, 429))
LONG_HOLD = 5  # failed tries after which a hold is told as an event: some eight minutes


def holds(status: int) -> bool:
    """Whether an answer is about the receiver rather than about the event."""
    return status in HOLDING or 500 <= status < 600


class Sender:
    """Delivers to one endpoint while it is enabled, in greenlets of its own."""

    def __init__(self, box: "Outbox", row: Row, pack: Pack, url: str, place: Place, parked: int) -> None:
        self.box, self.row, self.pack, self.url, self.parked = box, row, pack, url, parked
        self.host = urlsplit(url).hostname or ""
        self.window = Window(box.log, box.pages, self._wants, place)
        self.attempts: deque[Attempt] = deque(maxlen=MOST_ATTEMPTS)
        self.bell = gevent.event.Event()
        self.ended = self.stopped = False
        self._wanted: dict[str, bool] = {}
        self._picking = RLock()
        self._aside: list[Item] = []
        self._suspect: Item | None = None  # it may break the receiver,
        self._probe: Item | None = None  # which this one shows
        self._stale_aside = True
        self._in_flight = 0
        self._fold = box.kind.most if row.ordered else 1
        self._held, self._steps, self._told_hold = False, 0, False
        self._held_at = self._until = 0.0  # monotonic
        self._resume()
        self._lanes = [box.shard.spawn(self._run_lane) for _ in range(1 if row.ordered else LANES)]

    def _resume(self) -> None:
        """Go on with the hold that the process before has left."""
        left = min((self.row.next_at - clock.now()) / 1000, self.box.schedule.longest_asked)
        if not self.row.next_at:
            return
        self._held_at = time.monotonic()
        self._until = self._held_at + max(0.0, left)
        if holds(self.row.last_status):
            self._held, self._steps = True, min(self.row.failures, LONG_HOLD)
            self._told_hold = self._steps >= LONG_HOLD

    def _wants(self, type_: str) -> bool:
        wanted = self._wanted.get(type_)
        if wanted is None:
            wanted = self._wanted[type_] = self.box.kind.wants(self.row, type_)
        return wanted

    @property
    def held(self) -> bool:
        """Whether nothing is sent but a try now and then."""
        return self._held

    @property
    def behind(self) -> int:
        """How many events of the log it has not passed yet, at most."""
        return max(0, self.box.log.newest - self.window.place.number)

    def try_now(self) -> None:
        """Do not wait for the next try."""
        self._until = 0.0
        self.bell.set()

    def look_aside(self) -> None:
        """What is kept aside has changed in the store."""
        self._stale_aside = True
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
                pause = self._pause()
                batch = self._pick() if pause == 0 else []
            if batch:
                if self.window.peek() is not None:
                    self.bell.set()  # for another lane
                return batch
            if pause == 0:
                pause = self._until_due()
            self.bell.wait(pause)
        return []

    def _pause(self) -> float | None:
        """Seconds to wait, 0 to go on, None until something changes."""
        left = self._until - time.monotonic()
        if left > 0:
            return left
        if self._held and self._in_flight:
            return None  # one try at a time
        return 0

    def _until_due(self) -> float | None:
        waiting = [item.due for item in self._aside if not item.out]
        return max(0.05, (min(waiting) - clock.now()) / 1000) if waiting else None

    def _pick(self) -> list[Item]:
        """Take the next events to deliver; there may be none."""
        due = self._due()
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
        self.window.fill(index + 1, self._tell_gap)
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

    def _due(self) -> list[Item]:
        """What is kept aside and to be tried now."""
        if self._stale_aside:
            self._stale_aside = False
            known = {item.number: item for item in self._aside}
            kept = self.box.log.store.read(lambda: self.box.table.aside(self.row.id, MOST_ASIDE))
            self._aside = [
                known.get(one.number) or Item(self.box.logged(one), True, one.due, one.tries) for one in kept
            ]
        if not self._aside:
            return []
        now = clock.now()
        # A clock that was put back must not make anything wait for longer than the schedule does.
        longest = now + int(self.box.schedule.waits[-1] * 2000)
        return [item for item in self._aside if not item.out and (item.due <= now or item.due > longest)]

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
        row, current = self.row, began >= self._held_at
        row.last_status, row.last_error = result.status, result.error
        if result.taken:
            row.failures = row.failing_since = 0
            row.last_delivery_at = clock.now()
            self._note(batch, result, "delivered")
            if current:
                self._let_go()
                self._spare(result.pause)
            self._finish(batch)
            self._judge_suspect(batch)
            return
        row.failures += 1
        row.failing_since = min(row.failing_since, clock.now()) or clock.now()
        if self.box.kind.is_gone(result.status):
            self._note(batch, result, "gone")
            return self._give_up(batch, "gone")
        held = holds(result.status)
        self._note(batch, result, "held" if held else "refused")
        patience = self.box.schedule
        # The clock may have been put forward: some tries have to be made, whatever it says.
        if clock.now() - row.failing_since >= patience.give_up_ms and row.failures >= patience.tries:
            return self._give_up(batch, "failing")
        if held:
            self._hold(batch, result, current)
        else:
            self._refused(batch, result)

    def _finish(self, batch: list[Item]) -> None:
        self._fold = self.box.kind.most if self.row.ordered else 1
        for item in batch:
            if item.aside:
                self.box.persist(partial(self.box.table.unpark, self.row.id, item.number))
                self._drop(item)
            else:
                self._keep(self.window.finish(item))

    def _drop(self, item: Item) -> None:
        """One of those aside is there no more."""
        self._aside.remove(item)
        if len(self._aside) == MOST_ASIDE - 1:
            self._stale_aside = True

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

    def _hold(self, batch: list[Item], result: Result, current: bool) -> None:
        first, schedule = batch[0], self.box.schedule
        if result.status >= 500:
            first.broken, first.status = first.broken + 1, result.status
            self._fold = 1
        if not current:
            return self._put_back(batch)
        self._steps += 1
        asked = schedule.asked(result.retry_after)
        wait = schedule.wait(self._steps) if asked is None else asked
        self._held_at = time.monotonic()
        self._until = self._held_at + wait
        self.row.next_at = clock.now() + int(wait * 1000)
        if not self._held:
            self._held = True
            why = f"answers {result.status}" if result.status else result.error.replace("_", " ")
            log.warning("%s is held: %s", self.name, why)
        if self._steps == LONG_HOLD:
            self._told_hold = True
            self._tell("held", failures=self.row.failures)
        self._put_back(batch)
        if first.broken == schedule.tries and not first.probe_at:
            with self._picking:
                has_next = len(self._due()) > 1 or self._ahead(0 if first.aside else 1) is not None
            if has_next:
                self._until = 0.0  # that one is tried at once

    def _let_go(self) -> None:
        """It has answered: nothing is held any more."""
        self._steps, self._until, self.row.next_at = 0, 0.0, 0
        if not self._held:
            return
        self._held = False
        log.info("%s answers again; %d events wait at most", self.name, self.behind)
        if self._told_hold:
            self._told_hold = False
            self._tell("released")

    def _spare(self, pause: str) -> None:
        """Wait as long as the receiver says that it would take nothing."""
        seconds = self.box.schedule.pause(pause) if pause else 0.0
        if seconds:
            self._until = time.monotonic() + seconds

    def _judge_suspect(self, batch: Sequence[Item]) -> None:
        """Park the event that has broken the receiver, if the one after it was taken."""
        suspect, probe = self._suspect, self._probe
        self._suspect = self._probe = None
        if suspect is None or probe not in batch:
            return
        if suspect.aside:
            suspect.out = True
        else:
            self.window.take(suspect)
        self._park(suspect, suspect.status, "breaks_receiver", suspect.broken)

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
            return self._park(item, result.status, result.error, item.refused)
        wait = schedule.wait(item.refused)
        if item.aside or (not self.row.ordered and len(self._aside) < MOST_ASIDE):
            return self._set_aside(item, result, wait)
        self._until = time.monotonic() + wait
        self.row.next_at = clock.now() + int(wait * 1000)
        self._put_back(batch)

    def _set_aside(self, item: Item, result: Result, wait: float) -> None:
        due = clock.now() + int(wait * 1000)
        tried, error = item.refused, result.error
        self.box.persist(
            lambda: self.box.table.park(self.row.id, item.event, tried, result.status, error, due)
        )
        if item.aside:
            item.due, item.out = due, False
        else:
            self._keep(self.window.finish(item))
            again = Item(item.event, True, due, item.refused)
            self._aside.append(again)

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
            self._drop(item)
        else:
            self._keep(self.window.finish(item))

    # -- the end of patience, and what is lost

    def _give_up(self, batch: list[Item], why: str) -> None:
        self._put_back(batch)
        self.ended = True
        self.row.next_at = 0
        self.box.disable(self, why)

    def _tell_gap(self) -> None:
        oldest = self.box.log.id_of(self.box.log.oldest)
        log.warning("%s has missed events: the log begins at %s", self.name, oldest)
        self._tell("gap", oldest=oldest)

    @property
    def name(self) -> str:
        """What it is called in the log: never a path, which may hold a secret."""
        return f"{self.box.kind.word} {self.row.id} ({self.host})"

    def _tell(self, what: str, **facts: Any) -> None:
        event = self.box.kind.told(what, self.row, **facts)
        if event is not None:
            self.box.shard.writer.post([event])

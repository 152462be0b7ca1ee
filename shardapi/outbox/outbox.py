"""The outbox of one plugin: its endpoints as the store has them, and the senders of those that are enabled."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import gevent
import gevent.event

from .. import clock
from ..errors import ApiError
from ..eventlog import Logged
from ..events import Event
from ..shard import VERSION
from ..writer import RETRY_SECONDS
from .hold import is_kept_as_held
from .kind import Kind
from .line import Line, Result
from .models import Attempt, Parked, Row, Table, cursor_name
from .pages import Pages
from .places import Place, Places, later
from .schedule import Schedule
from .sender import Sender
from .target import Gate, parse
from .vault import Secret, Unreadable, Vault

if TYPE_CHECKING:
    from ..shard import Shard

log = logging.getLogger("shardapi.outbox")

FLUSH_SECONDS = 1.0
IDLE_FLUSHES = 20
DISABLED = {
    "gone": "it answered {status}",
    "failing": "it has taken nothing for five days",
    "url_refused": "its URL is none that may be delivered to",
    "secret_unreadable": "its secret was encrypted with a signing secret that is no more; rotate it",
}


class Outbox:
    """Everything that one plugin delivers; `run` is its task."""

    def __init__(self, shard: "Shard", kind: Kind, gate: Gate, schedule: Schedule | None = None) -> None:
        self.shard, self.kind, self.gate = shard, kind, gate
        self.schedule = schedule or Schedule()
        self.log = shard.events
        self.table, self.pages = Table(kind.name, shard.events), Pages(shard.events)
        self.places = Places(shard.store.folder / f"{kind.name}.places", shard.events.epoch)
        self.agent = f"shardapi/{VERSION}"
        self.senders: dict[str, Sender] = {}
        self.touched: set[Sender] = set()
        self.counts: dict[str, int] = {}
        self._known: dict[str, Place] = {}
        self._off: set[str] = set()
        self._stale = gevent.event.Event()
        shard.writer.on_foreign.append(self._stale.set)
        shard.writer.on_dropped.append(self._tell_dropped)
        self._hold(shard.store.read(self.table.all))

    @cached_property
    def vault(self) -> Vault:
        """Made with the first endpoint: what it imports weighs some MiB."""
        return Vault(self.shard.tokens)

    def _hold(self, rows: Iterable[Row]) -> None:
        """Keep the log from forgetting what enabled endpoints have not had."""
        prefix = cursor_name(self.kind.name, "")
        self.log.holding -= {name for name in self.log.holding if name.startswith(prefix)}
        self.log.holding |= {prefix + row.id for row in rows if row.enabled}

    def _tell_dropped(self, dropped: int) -> None:
        """Events could not be kept at all."""
        for sender in list(self.senders.values()):
            sender.tell_gap()

    def wake(self) -> None:
        """Something in the tables has changed."""
        self._stale.set()

    # -- serving

    def run(self) -> None:
        """Deliver for as long as this process serves the shard."""
        helpers: list[gevent.Greenlet] = []
        try:
            self._begin()
            helpers += [self.shard.spawn(self._ring), self.shard.spawn(self._flush_often)]
            while True:
                self._stale.clear()
                self._reconcile()
                self._stale.wait()
        finally:
            gevent.killall(helpers, block=False)
            for sender in self.senders.values():
                sender.stop()
            self.senders.clear()
            self.places.close()

    def _begin(self) -> None:
        """Take over what the process before has left."""
        rows, stored = self.log.store.read(lambda: (self.table.all(), self.table.places()))
        left, newest = self.places.open(), self.log.newest
        generation = {row.id: row.generation for row in rows}
        self._known = {
            id_: later(Place(number, generation[id_]), left.get(id_), newest)
            for id_, number in stored.items()
            if id_ in generation
        }
        # On disk before the file is written anew.
        if any(self._known[id_].number != number for id_, number in stored.items() if id_ in self._known):
            with suppress(ApiError):  # a store that cannot write keeps nobody waiting
                self.shard.writer.write(self._place_all)

        self._renew_secrets(rows)

    def _renew_secrets(self, rows: Iterable[Row]) -> None:
        """Have secrets encrypted with the newest signing secret, so that the ones before it can be let go."""

        def work() -> None:
            for row in self.table.all():
                if (renewed := self.vault.renewed(row.secret)) is not None:
                    self.table.secrets(row.id, renewed)

        if any(self.vault.renewed(row.secret) is not None for row in rows):
            with suppress(ApiError):  # the next start does it
                self.shard.writer.write(work)

    def _place_all(self) -> None:
        for id_, place in self._known.items():
            self.table.place(id_, place.number)

    def _reconcile(self) -> None:
        """Make the senders what the tables say."""
        rows, stored, parked = self.log.store.read(
            lambda: (self.table.all(), self.table.places(), self.table.count_parked())
        )
        self._hold(rows)
        for gone in self._known.keys() - {row.id for row in rows}:
            self._stop(gone)
            self._off.discard(gone)
            del self._known[gone]
        for row in rows:
            self._known.setdefault(row.id, Place(stored.get(row.id, self.log.newest), row.generation))
        self._begin_slots()
        for row in rows:
            self._reconcile_one(row, parked.get(row.id, 0))

    def _begin_slots(self) -> None:
        try:
            self.places.begin(self._known)
        except OSError as error:
            log.warning(
                "%s: %s; after a crash some deliveries are made twice", self.places.path, error.strerror
            )

    def _reconcile_one(self, row: Row, parked: int) -> None:
        sender = self.senders.get(row.id)
        if sender is not None and (not row.enabled or row.rewind >= 0):
            if row.enabled:
                row.take_health(sender.row)
            self._stop(row.id)
            sender = None
        if row.rewind >= 0:
            self._go_back(row)
        if not row.enabled:
            return self._off.add(row.id)
        if row.id in self._off:
            self._off.remove(row.id)
            log.info("%s %s (%s) is enabled", self.kind.word, row.id, urlsplit(row.url).hostname)
        if sender is None:
            return self._start(row, parked)
        if sender.row.secret != row.secret and (secrets := self._secrets(row)) is not None:
            sender.row.secret = row.secret
            sender.pack = self.kind.packer(row, secrets)
        sender.parked = parked
        sender.look_aside()

    def _go_back(self, row: Row) -> None:
        known, asked = self._known[row.id], row.rewind
        place = Place(min(asked, known.number), known.generation + 1)
        self.persist(lambda: self.table.rewound(row.id, asked, place.number, place.generation))
        self._known[row.id] = place
        self.places.keep(row.id, place)

    def _secrets(self, row: Row) -> Sequence[Secret] | None:
        """An endpoint's secrets; one that cannot be read disables it."""
        try:
            return self.vault.open(row.secret)
        except Unreadable:
            self._disable(row, "secret_unreadable", self._known[row.id].number)
            return None

    def _start(self, row: Row, parked: int) -> None:
        secrets = self._secrets(row)
        if secrets is not None:
            url, pack = self.kind.url(row, secrets), self.kind.packer(row, secrets)
            try:
                parse(url)
            except ApiError:  # an older version has taken it
                return self._disable(row, "url_refused", self._known[row.id].number)
            self.senders[row.id] = Sender(self, row, pack, url, self._known[row.id], parked)

    def _stop(self, id_: str) -> None:
        sender = self.senders.pop(id_, None)
        if sender is not None:
            self._known[id_] = sender.stop()
            self.touched.add(sender)

    def _ring(self) -> None:
        seen = -1
        while True:
            self.log.wait(seen)
            seen = self.log.newest
            for sender in list(self.senders.values()):
                sender.bell.set()

    # -- what is kept

    def persist(self, work: Callable[[], Any], events: Sequence[Event] = ()) -> Any:
        """Write what has happened; while the store cannot, try again."""
        while True:
            try:
                return self.shard.writer.write(work, tell=lambda done: () if done is False else events)
            except ApiError:
                gevent.sleep(RETRY_SECONDS)

    def _flush_often(self) -> None:
        for turn in count(1):
            gevent.sleep(FLUSH_SECONDS)
            try:
                self.flush(everything=not turn % IDLE_FLUSHES)
            except Exception as error:
                self.shard.problems.failed(self.kind.name, "task", "the outbox's flush", error)

    def flush(self, everything: bool = False) -> None:
        """Keep how far each endpoint has come, and how the last attempts went; `everything` includes idle ones.

        Those too pass what they do not want, and must not hold it.
        """
        if everything:
            self.touched.update(one for one in self.senders.values() if one.window.place.number != one.kept)
        touched, self.touched = self.touched, set()
        if not touched:
            return
        attempts = {sender: list(sender.attempts) for sender in touched}
        for sender in touched:
            sender.attempts.clear()
        current = [sender for sender in touched if self.senders.get(sender.row.id) is sender]
        places = {sender.row.id: sender.window.place.number for sender in current}

        def work() -> None:
            for id_, number in places.items():
                self.table.place(id_, number)
            self.table.health([sender.row for sender in current])
            self.table.log_attempts([one for made in attempts.values() for one in made])

        try:
            self.shard.writer.write(work)
            for sender in current:
                sender.kept = places[sender.row.id]
        except ApiError:
            self.touched |= touched
            for sender, made in attempts.items():
                kept = [*made, *sender.attempts]
                sender.attempts.clear()
                sender.attempts.extend(kept)

    def disable(self, sender: Sender, why: str) -> None:
        """Give an endpoint up; called by its sender."""
        self._disable(sender.row, why, sender.window.place.number)

    def _disable(self, row: Row, why: str, number: int) -> None:
        def work() -> bool:
            self.table.place(row.id, number)
            self.table.health([row])
            return self.table.enable(row.id, False, why)

        event = self.kind.told("disabled", row, failures=row.failures)
        if self.persist(work, [event] if event is not None else []):
            host = urlsplit(row.url).hostname
            reason = DISABLED[why].format(status=row.last_status)
            log.error("%s %s (%s) is disabled: %s", self.kind.word, row.id, host, reason)
        self.wake()

    # -- for views and commands

    def rows(self) -> tuple[list[Row], dict[str, int], dict[str, int]]:
        """Every endpoint as it is now, and how many events are parked, and how many tried again, by id."""
        rows, parked, aside = self.log.store.read(
            lambda: (self.table.all(), self.table.count_parked(), self.table.count_aside())
        )
        for row in rows:
            self.refresh(row)
        return rows, parked, aside

    def refresh(self, row: Row) -> None:
        """Bring what the store has of an endpoint to what its sender knows."""
        sender = self.senders.get(row.id)
        if sender is not None and row.enabled:
            row.take_health(sender.row)

    def is_held(self, id_: str) -> bool:
        """Whether an endpoint is held, as far as this process knows."""
        return id_ in self.senders and self.senders[id_].held

    def state(self, row: Row) -> str:
        """How an endpoint fares in a word: delivering, held or disabled; where another process sends, by its row."""
        if not row.enabled:
            return "disabled"
        held = self.is_held(row.id) if row.id in self.senders else is_kept_as_held(row)
        return "held" if held else "delivering"

    def try_now(self, id_: str) -> None:
        """Do not let an endpoint that is held wait for its next try."""
        if id_ in self.senders:
            self.senders[id_].try_now()

    def logged(self, parked: Parked) -> Logged:
        """A parked event as the log had it."""
        block = self.log.block(parked.number, parked.type, parked.at, parked.data)
        return Logged(parked.number, parked.type, parked.net, block)

    def try_once(self, row: Row, event: Logged) -> Result:
        """Deliver one event that is not of the log, now and once. Raises Unreadable."""
        self.flush()  # so that the attempts are kept in their order
        secrets = self.vault.open(row.secret)
        line = Line(parse(self.kind.url(row, secrets)), self.gate, self.agent)
        parcel = self.kind.packer(row, secrets)([event])
        try:
            result = line.post(parcel.fields, parcel.body, self.schedule.deadline)
        finally:
            line.close()
        outcome = "delivered" if result.taken else "failed"
        made = Attempt(row.id, 0, event.type, clock.now(), result.status, result.ms, result.error, outcome)
        with suppress(ApiError):
            self.shard.writer.write(lambda: self.table.log_attempts([made]))
        if result.taken:
            self.try_now(row.id)
        return result

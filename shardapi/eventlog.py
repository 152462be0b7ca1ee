"""The event log: what happened, in order, kept on disk; everything that tells the outside reads from here."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import gevent
import gevent.event
import msgspec

from .clock import iso, now
from .events import CORE_EVENTS, GAP, Event, EventType, Gap, PttStart, PttStop, UserJoined, UserLeft
from .listeners import Listeners
from .models import Cursor, to_json
from .store import Store, database, many, one, rows
from .weight import Weight

PAGE = 500
EVENT_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+")
HEARD_SECONDS = 3.0
HELD_HOURS, HELD_COUNT, HELD_BYTES = 120, 1_000_000, 512 * 1024 * 1024  # what a held cursor keeps at most


class Logged(msgspec.Struct, frozen=True, gc=False):
    """One event of the log as it is on disk; numbers ascend, with gaps."""

    number: int
    type: str
    net: str
    block: bytes

    @property
    def line(self) -> bytes:
        """The event as JSON, as readers get it."""
        return self.block[self.block.index(b"\ndata: ") + 7 : -2]

    @property
    def envelope(self) -> dict[str, Any]:
        """The event as readers get it: id, type, guildId, at, data."""
        return msgspec.json.decode(self.line, type=dict[str, Any])


class EventLog:
    """The log of one guild: numbers given by one appender, so that commit order is id order."""

    def __init__(self, store: Store, guild_id: str) -> None:
        self.store, self.guild_id = store, guild_id
        self.types = {type_.name: type_ for type_ in CORE_EVENTS}
        self.on_commit: Listeners[Sequence[Logged]] = Listeners()
        self.epoch, self.oldest, self.newest = "", 1, 0
        self.open: dict[tuple[str, ...], int] = {}
        self.holding: set[str] = set()  # the held cursors of what runs here
        self._news = gevent.event.Event()
        self._weight = Weight(self)
        store.execute(self._read)

    def _read(self) -> None:
        self.epoch = one("SELECT value FROM meta WHERE name = 'epoch'")[0]
        self._read_bounds()
        self.read_open()

    def read_open(self) -> None:
        """Learn anew what is open, which another process may have changed; runs inside `Store.read`."""
        found = dict[tuple[str, ...], int]()
        for number, data in rows(
            "SELECT number, data FROM event JOIN open_event USING (number) WHERE open_event.guild = ?",
            (self.guild_id,),
        ):
            said = msgspec.json.decode(data)
            found[(said["userId"], said["netUid"]) if "netUid" in said else (said["userId"],)] = number
        self.open = found

    def _read_bounds(self) -> None:
        pruned = one("SELECT pruned FROM guild WHERE id = ?", (self.guild_id,))[0]
        first, last = one(
            "SELECT min(number), max(number) FROM event WHERE guild = ? AND number > ?",
            (self.guild_id, pruned),
        )
        self.newest = max(last or 0, pruned)
        self.oldest = first or self.newest + 1

    @property
    def span(self) -> int:
        """How many events are kept, at most: numbers have gaps."""
        return self.newest - self.oldest + 1

    def id_of(self, number: int) -> str:
        """The id readers see for a place in the log."""
        return f"{self.epoch}-{number}"

    def block(self, number: int, type_: str, at: int, data: str) -> bytes:
        """An event as its block in the stream: id, type, and the whole envelope on one line."""
        id_ = f"{self.epoch}-{number}"
        if not data.isascii():
            data = on_one_line(data)
        return (
            f'id: {id_}\nevent: {type_}\ndata: {{"id":"{id_}","type":"{type_}","guildId":"{self.guild_id}"'
            f',"at":"{iso(at)}","data":{data}}}\n\n'
        ).encode()

    def gap_block(self, requested: str, cursor: int) -> bytes:
        """A stream.gap whose id is the cursor after which the stream goes on."""
        data = to_json(Gap(requested=requested, oldest=self.id_of(min(self.oldest, cursor))))
        return self.block(cursor, GAP.name, now(), data)

    def cursor(self, text: str) -> tuple[int, bytes]:
        """Read a reader's last id: the number to go on after, and a gap block where events are missing."""
        epoch, _, digits = text.rpartition("-")
        known = epoch == self.epoch and digits.isascii() and digits.isdecimal() and len(digits) < 19
        number = int(digits) if known else self.newest + 1
        if known and number > self.newest:
            self._hear_of(number)
        if number > self.newest:
            return self.newest, self.gap_block(text, self.newest)
        if self.missing_after(number):
            cursor = min(self.oldest, self.newest)
            return cursor, self.gap_block(text, cursor)
        return number, b""

    def _hear_of(self, number: int) -> None:
        """Wait for what the process before this one has logged, of which this one is told in half a second."""
        mine = (self.guild_id,)
        if (
            self.store.read(lambda: one("SELECT max(number) FROM event WHERE guild = ?", mine)[0]) or 0
        ) < number:
            return
        with gevent.Timeout(HEARD_SECONDS, False):
            while self.newest < number:
                self.wait(self.newest)

    def missing_after(self, number: int) -> bool:
        """Whether events after this number are no longer kept."""
        return number < self.oldest - 1 and self._lost(number)

    def _lost(self, number: int) -> bool:
        def pruned_since() -> bool:
            (pruned,) = one("SELECT pruned FROM guild WHERE id = ?", (self.guild_id,))
            return bool(pruned > number)

        inside = database.obj is not None  # a read or a write, such as that which keeps what was read
        return pruned_since() if inside else self.store.read(pruned_since)

    def page(self, after: int, upto: int, limit: int = PAGE) -> list[Logged]:
        """Events after one number and up to another, in order, read off the loop."""
        return self.store.read(lambda: self._page(after, upto, limit))

    def _page(self, after: int, upto: int, limit: int) -> list[Logged]:
        found = rows(
            "SELECT number, type, net, at, data FROM event"
            " WHERE guild = ? AND number > ? AND number <= ? ORDER BY number LIMIT ?",
            (self.guild_id, after, upto, limit),
        )
        return [
            Logged(number, type_, net, self.block(number, type_, at, data))
            for number, type_, net, at, data in found
        ]

    def place_before_last(self, count: int) -> int:
        """The number after which the last so many events stand; runs inside `Store.read`."""
        row = one(
            "SELECT number FROM event WHERE guild = ? ORDER BY number DESC LIMIT 1 OFFSET ?",
            (self.guild_id, count),
        )
        return row[0] if row else 0

    def published(self, events: Sequence[Logged]) -> None:
        """Called on the loop after each commit: wakes every reader."""
        if self.oldest > self.newest:
            self.oldest = events[0].number
        self.newest = events[-1].number
        self.on_commit.tell(events)
        news, self._news = self._news, gevent.event.Event()
        news.set()

    def catch_up(self) -> None:
        """Publish what another process has logged since."""
        while events := self.page(self.newest, 2**63 - 1):
            self.published(events)

    def follow(self, name: str, hold: bool = False) -> "Follower":
        """A named reader whose place in the log is kept on disk; a held one keeps events from being pruned."""
        if hold:
            self.holding.add(name)
        return Follower(self, name, hold)

    def wait(self, after: int, timeout: float | None = None) -> bool:
        """Wait until something newer than `after` is on disk; a hint, so read again anyway."""
        return self.newest > after or bool(self._news.wait(timeout))

    def prune(self, keep_hours: int, keep_count: int) -> Callable[[], None]:
        """What to run on the writing connection to forget old events; held cursors keep theirs, within bounds."""
        if self.holding:
            self._weight.measure()

        def forget() -> None:
            cutoff = self._behind(keep_hours, keep_count)
            cursors = rows("SELECT name, number FROM cursor WHERE guild = ? AND hold", (self.guild_id,))
            # The cursor of a plugin that is off holds nothing.
            held = [number for name, number in cursors if name in self.holding]
            if held:
                bound = max(self._behind(HELD_HOURS, HELD_COUNT), self._weight.cutoff(HELD_BYTES))
                cutoff = min(cutoff, max(min(held), bound))
            if not cutoff:
                return
            many(
                "DELETE FROM event WHERE guild = ? AND number <= ?"
                " AND number NOT IN (SELECT number FROM open_event)",
                [(self.guild_id, cutoff)],
            )
            many("UPDATE guild SET pruned = max(pruned, ?) WHERE id = ?", [(cutoff, self.guild_id)])
            self._read_bounds()

        return forget

    def _behind(self, hours: int, count: int) -> int:
        """The last number before the first event that is young enough, or before the last so many; 0 if none."""
        fresh = one(
            "SELECT min(number) FROM event WHERE guild = ? AND number > ? AND at >= ?",
            (self.guild_id, self.oldest - 1, now() - hours * 3_600_000),
        )[0]
        behind = max(self.newest if fresh is None else fresh - 1, self.place_before_last(count))
        return behind if behind >= self.oldest else 0


class Follower:
    """A named cursor over the log: iterate for batches of new events, then `done` what was handled.

    Every event comes at least once and in order: what was not done when the process ended, or when its write failed,
    comes again. What is written from events in the write that calls `done` is written once. The first time a name is
    used it begins at the newest event. While its plugin is off a cursor stays and holds nothing; afterwards it goes on
    from its place, and `missed` says whether there is a gap.
    """

    def __init__(self, log: EventLog, name: str, hold: bool) -> None:
        self.log, self.name, self.hold = log, name, hold
        self._seen = 0  # the newest event when the log was last read
        self.number = log.store.execute(self._open)

    def _open(self) -> int:
        guild = self.log.guild_id
        many(
            "INSERT INTO cursor VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET hold = excluded.hold",
            [(guild, self.name, self.log.newest, self.hold)],
        )
        return self._kept()

    def _kept(self) -> int:
        mine = (self.log.guild_id, self.name)
        number: int = one("SELECT number FROM cursor WHERE guild = ? AND name = ?", mine)[0]
        return number

    def __iter__(self) -> Iterator[list[Logged]]:
        while True:
            if batch := self.log.store.read(self._next):
                yield batch
            else:
                self.log.wait(self._seen)

    def _next(self) -> list[Logged]:
        self.number = self._kept()  # the write that `done` was part of may have failed
        self._seen = self.log.newest
        return self.log._page(self.number, self._seen, PAGE)

    @property
    def missed(self) -> bool:
        """Whether events after this cursor are no longer kept."""
        return self.log.missing_after(self.number)

    def done(self, number: int) -> None:
        """Keep the place on disk; call it inside a write to make it one with the rows made from the events."""
        Cursor.update(number=number).where(
            (Cursor.guild == self.log.guild_id) & (Cursor.name == self.name)
        ).execute()


def _check(event: Event, kind: EventType | None) -> None:
    """Raises ValueError for an event that no reader could make sense of."""
    noted = isinstance(event.data, msgspec.Raw)  # before a crash, by a plugin that may be off now
    if kind is None:
        if not (noted and isinstance(event.type, str) and EVENT_NAME.fullmatch(event.type)):
            raise ValueError(f"{event.type!r} is no type of event that is declared")
    elif not (noted or isinstance(event.data, kind.data)):
        raise ValueError(
            f"the data of {kind.name} is a {kind.data.__name__}, not a {type(event.data).__name__}"
        )


class Batch:
    """Events on their way into the log: numbered, encoded, and what they open and close."""

    def __init__(self, log: EventLog, last: int, now: int) -> None:
        self.log, self.last, self.now = log, last, now
        self.logged: list[Logged] = []
        self.opened: dict[tuple[str, ...], int] = {}
        self.closed: list[int] = []
        # JSON as text: sqlite3 binds a str at once, and bytes only after looking for an adapter.
        self._rows: list[tuple[int, str, str, str, int, str]] = []

    def add(self, events: Iterable[Event]) -> None:
        """Number events in their order; a hot loop, hence the local names."""
        log, number, now = self.log, self.last, self.now
        guild, block, encode = log.guild_id, log.block, ENCODER.encode
        add_row, add_logged, known = self._rows.append, self.logged.append, log.types
        for event in events:
            number += 1
            at, type_, net = event.at or now, event.type, event.net
            kind = known.get(type_)
            if kind is None or type(event.data) is not kind.data:
                _check(event, kind)
            data = encode(event.data).decode()
            add_row((number, guild, type_, net, at, data))
            add_logged(Logged(number, type_, net, block(number, type_, at, data)))
            if type_ in OPENING:
                self.opened[subject(event)] = number
            elif type_ in CLOSING:
                self._close(subject(event))
        self.last = number

    def _close(self, what: tuple[str, ...]) -> None:
        if self.opened.pop(what, None) is None and what in self.log.open:
            self.closed.append(self.log.open[what])

    def save(self) -> None:
        """Write it all, inside the running transaction."""
        if not self._rows:
            return
        guild = self.log.guild_id
        many("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", self._rows)
        many("UPDATE last_event SET number = ?", [(self.last,)])
        many("DELETE FROM open_event WHERE number = ?", [(number,) for number in self.closed])
        many("INSERT INTO open_event VALUES (?, ?)", [(number, guild) for number in self.opened.values()])
        if self.opened or self.closed:
            many("UPDATE guild SET alive_at = max(alive_at, ?) WHERE id = ?", [(self.now, guild)])

    def committed(self) -> None:
        """It is on disk: remember what is open now."""
        if self.closed:
            gone = set(self.closed)
            for what in [what for what, number in self.log.open.items() if number in gone]:
                del self.log.open[what]
        self.log.open.update(self.opened)


ENCODER = msgspec.json.Encoder()
OPENING = {"user.joined": UserJoined, "ptt.start": PttStart}
CLOSING = {"user.left", "ptt.stop"}


def on_one_line(data: str) -> str:
    """The same JSON for readers whose library takes more for the end of a line than LF, as Python's splitlines does."""
    return data.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def subject(event: Event) -> tuple[str, ...]:
    """What an event opens or closes: a user's presence, or a user's transmission on a net."""
    user: str = event.data.user_id
    return (user, event.net) if event.net else (user,)


def still_open(guild_id: str) -> list[Event]:
    """The joins and starts of transmissions that have no end in the log, in its order."""
    found = rows(
        "SELECT type, net, at, data FROM event JOIN open_event USING (number) WHERE open_event.guild = ?"
        " ORDER BY number",
        (guild_id,),
    )
    return [
        Event(type_, msgspec.json.decode(data, type=OPENING[type_]), net, at)
        for type_, net, at, data in found
    ]


def left_open(guild_id: str) -> list[Event]:
    """The events that close what a crash left open, at the time the shard was last known to be alive."""
    alive = one("SELECT alive_at FROM guild WHERE id = ?", (guild_id,))[0]
    stops, leaves = [], []
    for begun in still_open(guild_id):
        at = max(alive, begun.at)
        if begun.type == "ptt.start":
            said = msgspec.structs.asdict(begun.data)
            stop = PttStop(**said, reason="restart", duration_ms=at - begun.at)
            stops.append(Event("ptt.stop", stop, begun.net, at))
        else:
            joined = begun.data
            left = UserLeft(
                user_id=joined.user_id,
                display_name=joined.display_name,
                transport=joined.transport,
                reason="restart",
                service=joined.service,
            )
            leaves.append(Event("user.left", left, "", at))
    return stops + leaves

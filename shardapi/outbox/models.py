"""The outboxes' tables; everything here runs inside `Store.read` or a write."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from .. import clock
from ..eventlog import EventLog, Logged
from ..store import many, one, rows

MOST_ATTEMPTS = 100  # kept of one endpoint
COLUMNS = (
    "id, url, secret, events, ordered, created_at, enabled, disabled, failures, failing_since, next_at,"
    " last_delivery_at, last_status, last_error, rewind, generation, gap_at"
)
ATTEMPT = "endpoint, number, type, at, status, ms, error, outcome"
PARKED = "number, type, net, at, data, tries, status, error, due, parked_at"


class Row(msgspec.Struct):
    """An endpoint as it is kept; times are milliseconds, 0 for never; `rewind` is -1 for nowhere."""

    id: str
    url: str
    secret: bytes
    events: tuple[str, ...]
    ordered: bool
    created_at: int
    enabled: bool = True
    disabled: str = ""
    failures: int = 0
    failing_since: int = 0
    next_at: int = 0
    last_delivery_at: int = 0
    last_status: int = 0
    last_error: str = ""
    rewind: int = -1
    generation: int = 0
    gap_at: int = 0

    def take_health(self, other: "Row") -> None:
        """Fare as another does, which is the same endpoint as its sender knows it."""
        self.failures, self.failing_since, self.next_at = other.failures, other.failing_since, other.next_at
        self.last_delivery_at, self.last_status = other.last_delivery_at, other.last_status
        self.last_error, self.gap_at = other.last_error, other.gap_at


class Attempt(NamedTuple):
    """One attempt; number 0 is a test."""

    endpoint: str
    number: int
    type: str
    at: int
    status: int
    ms: int
    error: str
    outcome: str


class Parked(NamedTuple):
    """An event kept aside: to be tried at `due`, or by nobody's asking if that is 0."""

    number: int
    type: str
    net: str
    at: int
    data: str
    tries: int
    status: int
    error: str
    due: int
    parked_at: int


def cursor_name(outbox: str, id_: str) -> str:
    """What an endpoint's place in the log is called."""
    return f"{outbox} {id_}"


class Table:
    """The endpoints of one outbox in one guild."""

    def __init__(self, outbox: str, log: EventLog) -> None:
        self.outbox, self.log, self.guild = outbox, log, log.guild_id

    def all(self) -> list[Row]:
        """Every endpoint, the oldest first."""
        found = rows(
            f"SELECT {COLUMNS} FROM outbox_endpoint WHERE guild = ? AND outbox = ? ORDER BY rowid",
            (self.guild, self.outbox),
        )
        return [_row(one) for one in found]

    def find(self, id_: str) -> Row | None:
        """One endpoint."""
        found = one(
            f"SELECT {COLUMNS} FROM outbox_endpoint WHERE guild = ? AND outbox = ? AND id = ?",
            (self.guild, self.outbox, id_),
        )
        return None if found is None else _row(found)

    def count(self) -> int:
        """How many endpoints there are."""
        found = one(
            "SELECT count(*) FROM outbox_endpoint WHERE guild = ? AND outbox = ?", (self.guild, self.outbox)
        )
        return int(found[0])

    def add(self, row: Row, number: int) -> None:
        """Keep a new endpoint, whose first event is the one after a number."""
        marks = ", ".join("?" * len(Row.__struct_fields__))
        many(
            f"INSERT INTO outbox_endpoint (guild, outbox, {COLUMNS}) VALUES (?, ?, {marks})",
            [(self.guild, self.outbox, *_values(row))],
        )
        many("INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, 1)", [(*self._cursor(row.id), number)])

    def _cursor(self, id_: str) -> tuple[str, str]:
        return self.guild, cursor_name(self.outbox, id_)

    def remove(self, id_: str) -> None:
        """Forget an endpoint and all that it has not had."""
        many("DELETE FROM outbox_endpoint WHERE id = ?", [(id_,)])
        many("DELETE FROM outbox_parked WHERE endpoint = ?", [(id_,)])
        many("DELETE FROM outbox_attempt WHERE endpoint = ?", [(id_,)])
        many("DELETE FROM cursor WHERE guild = ? AND name = ?", [self._cursor(id_)])

    # -- where it stands

    def places(self) -> dict[str, int]:
        """The number after which each endpoint goes on, by its id."""
        prefix = cursor_name(self.outbox, "")
        found = rows(
            "SELECT name, number FROM cursor WHERE guild = ? AND name > ? AND name < ?",
            (self.guild, prefix, prefix + "\x7f"),
        )
        return {name.removeprefix(prefix): number for name, number in found}

    def place(self, id_: str, number: int) -> None:
        """Keep the number after which an endpoint goes on, unless it is asked to go back."""
        many(
            "UPDATE cursor SET number = ? WHERE guild = ? AND name = ?"
            " AND NOT EXISTS (SELECT 1 FROM outbox_endpoint WHERE id = ? AND rewind >= 0)",
            [(number, *self._cursor(id_), id_)],
        )

    def rewound(self, id_: str, asked: int, number: int, generation: int) -> None:
        """Note that an endpoint has gone back as it was asked to, unless it was asked anew meanwhile."""
        many("UPDATE outbox_endpoint SET generation = ? WHERE id = ?", [(generation, id_)])
        many("UPDATE outbox_endpoint SET rewind = -1 WHERE id = ? AND rewind = ?", [(id_, asked)])
        self.place(id_, number)

    def ask_back(self, id_: str, number: int) -> None:
        """Ask an endpoint to go back to a number; whoever serves does it."""
        many(
            "UPDATE outbox_endpoint SET rewind = CASE WHEN rewind < 0 THEN ? ELSE min(rewind, ?) END WHERE id = ?",
            [(number, number, id_)],
        )
        many(  # at once, because the log may be pruned before
            "UPDATE cursor SET number = min(number, ?) WHERE guild = ? AND name = ?",
            [(number, *self._cursor(id_))],
        )

    # -- how it fares

    def enable(self, id_: str, enabled: bool, why: str = "") -> bool:
        """Switch an endpoint on or off; False if it is so already."""
        row = self.find(id_)
        if row is None or row.enabled == enabled:
            return False
        many(
            "UPDATE outbox_endpoint SET enabled = ?, disabled = ?, failing_since = 0, next_at = 0 WHERE id = ?",
            [(enabled, why, id_)],
        )
        if enabled:
            many("UPDATE outbox_endpoint SET failures = 0 WHERE id = ?", [(id_,)])
        many("UPDATE cursor SET hold = ? WHERE guild = ? AND name = ?", [(enabled, *self._cursor(id_))])
        return True

    def secrets(self, id_: str, kept: bytes) -> None:
        """Keep an endpoint's secrets."""
        many("UPDATE outbox_endpoint SET secret = ? WHERE id = ?", [(kept, id_)])

    def health(self, endpoints: Iterable[Row]) -> None:
        """Keep what became of the last attempts."""
        many(
            "UPDATE outbox_endpoint SET failures = ?, failing_since = ?, next_at = ?, last_delivery_at = ?,"
            " last_status = ?, last_error = ?, gap_at = ? WHERE id = ?",
            [
                (
                    *(row.failures, row.failing_since, row.next_at, row.last_delivery_at),
                    *(row.last_status, row.last_error, row.gap_at, row.id),
                )
                for row in endpoints
            ],
        )

    def log_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep attempts, and of each endpoint only the last ones."""
        marks, there = ", ".join("?" * (1 + len(Attempt._fields))), {row.id for row in self.all()}
        attempts = [one for one in attempts if one.endpoint in there]
        many(
            f"INSERT INTO outbox_attempt (guild, {ATTEMPT}) VALUES ({marks})",
            [(self.guild, *one) for one in attempts],
        )
        many(
            "DELETE FROM outbox_attempt WHERE endpoint = ?1 AND id <= (SELECT id FROM outbox_attempt"
            " WHERE endpoint = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            [(endpoint, MOST_ATTEMPTS) for endpoint in {one.endpoint for one in attempts}],
        )

    def attempts(self, id_: str, limit: int) -> list[Attempt]:
        """The last attempts of an endpoint, the newest first."""
        found = rows(
            f"SELECT {ATTEMPT} FROM outbox_attempt WHERE endpoint = ? ORDER BY id DESC LIMIT ?", (id_, limit)
        )
        return [Attempt(*one) for one in found]

    # -- what is kept aside

    def park(self, id_: str, event: Logged, tries: int, status: int, error: str, due: int) -> None:
        """Keep an event aside, of an endpoint that is there still."""
        marks = ", ".join("?" * len(Parked._fields))
        envelope = msgspec.json.decode(event.line, type=_Envelope)
        values = (
            *(event.number, event.type, event.net, clock.ms(envelope.at), bytes(envelope.data).decode()),
            *(tries, status, error, due, clock.now()),
        )
        many(
            f"INSERT OR REPLACE INTO outbox_parked (guild, endpoint, {PARKED}) SELECT ?, ?, {marks}"
            " WHERE EXISTS (SELECT 1 FROM outbox_endpoint WHERE id = ?)",
            [(self.guild, id_, *values, id_)],
        )

    def unpark(self, id_: str, number: int) -> None:
        """Forget an event that was kept aside."""
        many("DELETE FROM outbox_parked WHERE endpoint = ? AND number = ?", [(id_, number)])

    def parked(self, id_: str, limit: int) -> list[Parked]:
        """What is parked, the oldest first."""
        return self._aside(id_, "due = 0", limit)

    def aside(self, id_: str, limit: int) -> list[Parked]:
        """What is kept aside and to be tried again, the oldest first."""
        return self._aside(id_, "due > 0", limit)

    def _aside(self, id_: str, which: str, limit: int) -> list[Parked]:
        found = rows(
            f"SELECT {PARKED} FROM outbox_parked WHERE endpoint = ? AND {which} ORDER BY number LIMIT ?",
            (id_, limit),
        )
        return [Parked(*one) for one in found]

    def count_parked(self) -> dict[str, int]:
        """How many events are parked, by endpoint; none where there are none."""
        return self._count("due = 0")

    def count_aside(self) -> dict[str, int]:
        """How many events are kept aside and to be tried again, by endpoint; none where there are none."""
        return self._count("due > 0")

    def _count(self, which: str) -> dict[str, int]:
        return dict(
            rows(
                "SELECT endpoint, count(*) FROM outbox_parked JOIN outbox_endpoint ON id = endpoint"
                f" WHERE outbox_endpoint.guild = ? AND outbox = ? AND {which} GROUP BY endpoint",
                (self.guild, self.outbox),
            )
        )

    def release(self, id_: str, after: int, oldest: int) -> int:
        """Have parked events after a number tried again; those that the log has still, it will tell again itself."""
        many(
            "DELETE FROM outbox_parked WHERE endpoint = ? AND due = 0 AND number > ? AND number >= ?",
            [(id_, after, oldest)],
        )
        return self._release(id_, after)

    def release_all(self, id_: str) -> int:
        """Have everything that is parked tried again; returns how much that is."""
        return self._release(id_, -1)

    def _release(self, id_: str, after: int) -> int:
        which = (id_, after)
        parked = "outbox_parked WHERE endpoint = ? AND due = 0 AND number > ?"
        count = int(one(f"SELECT count(*) FROM {parked}", which)[0])
        many(
            "UPDATE outbox_parked SET due = ?, tries = 0 WHERE endpoint = ? AND due = 0 AND number > ?",
            [(clock.now(), *which)],
        )
        return count


class _Envelope(msgspec.Struct):
    at: str
    data: msgspec.Raw


def number_at(guild_id: str, at: int) -> int:
    """The number before the first event that was logged at a time or later; the newest if there is none."""
    found = one("SELECT min(number) FROM event WHERE guild = ? AND at >= ?", (guild_id, at))[0]
    return last_number() if found is None else int(found) - 1


def last_number() -> int:
    """The number of the newest event, as the running transaction has it."""
    return int(one("SELECT number FROM last_event")[0])


def _row(found: Sequence[Any]) -> Row:
    values = dict(zip(Row.__struct_fields__, found, strict=True))
    values["events"] = msgspec.json.decode(values["events"], type=tuple[str, ...])
    values["secret"] = bytes(values["secret"])
    values["ordered"], values["enabled"] = bool(values["ordered"]), bool(values["enabled"])
    return Row(**values)


def _values(row: Row) -> list[Any]:
    values = msgspec.structs.asdict(row)
    values["events"] = msgspec.json.encode(row.events).decode()
    return list(values.values())

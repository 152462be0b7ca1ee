"""The audit: every call with a key, refused ones too; a write's row is part of it, others follow in a second."""

import logging
from typing import Any

import gevent
import peewee

from . import clock
from .auth import Keys
from .errors import ApiError
from .models import Audit
from .routes import Call
from .store import many, one
from .writer import Writer

log = logging.getLogger("shardapi.audit")

FLUSH_SECONDS = 0.5
MOST_WAITING = 20_000
MOST_REASON = 512
KEEP_MS = 30 * 86_400_000
KEEP_ROWS = 1_000_000
COLUMNS = (
    "guild, at, key_id, key_name, method, path, status, code, request_id, address, dry_run, reason, count"
)
INSERT = f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# The plus keeps SQLite from walking all of a guild's rows: only those of this minute are looked at.
FAILURE_OF_THE_MINUTE = (
    "SELECT id FROM audit WHERE at >= ? AND +guild = ? AND key_id = '' AND address = ?"
    " ORDER BY at DESC LIMIT 1"
)

Row = tuple[Any, ...]


def row_of(call: Call, status: int, code: str) -> Row:
    """A call as a row of the audit."""
    key, write = call.key, call.write
    dry_run, reason = (write.dry_run, write.reason) if write is not None else _asked(call)
    return (
        call.shard.guild_id,
        clock.now(),
        key.id if key is not None else "",
        key.name if key is not None else "",
        call.environ["REQUEST_METHOD"],
        call.path[:512],
        status,
        code,
        call.request_id,
        call.address,
        dry_run,
        reason,
        1,
    )


def _asked(call: Call) -> tuple[bool, str]:
    """Whether a write that was refused before its options were read was to be a dry run, and the reason it gave."""
    if call.key is None or call.route is None or call.route.method == "GET":
        return False, ""
    reason = str(call.environ.get("HTTP_X_AUDIT_LOG_REASON", "")).encode("latin-1").decode("utf-8", "replace")
    return call.query().get("dryRun", [""])[-1].lower() == "true", reason[:MOST_REASON]


class AuditLog:
    """What waits to be written: rows as they are, and one count for each address that fails without a key."""

    def __init__(self, writer: Writer, keys: Keys) -> None:
        self.writer, self.keys = writer, keys
        self.lost = 0
        self._rows: list[Row] = []
        self._failures: dict[tuple[str, int], list[Any]] = {}

    def note(self, row: Row) -> None:
        """Queue a row; it is on disk within a second."""
        if len(self._rows) < MOST_WAITING:
            self._rows.append(row)
        else:
            self.lost += 1

    def note_failure(self, address: str, row: Row) -> None:
        """Count a call that showed no valid key: one row for each address and minute."""
        slot = self._failures.get((address, clock.now() // 60_000))
        if slot is not None:
            slot[0] += 1
        elif len(self._failures) < MOST_WAITING:
            self._failures[address, clock.now() // 60_000] = [1, row]
        else:
            self.lost += 1

    def flush(self) -> None:
        """Write what waits; raises what the store raises, and keeps it for the next time."""
        rows, self._rows = self._rows, []
        failures, self._failures = self._failures, {}
        touches = self.keys.touches()
        if not (rows or failures or touches):
            return

        def write() -> None:
            many(INSERT, rows)
            for count, row in failures.values():
                _add_failure((*row[:-1], count))
            many("UPDATE api_key SET last_used_at = ? WHERE id = ?", touches)

        try:
            self.writer.write(write)
        except ApiError:
            self._rows = rows + self._rows
            for slot, (count, row) in failures.items():
                later = self._failures.get(slot, [0])[0]
                self._failures[slot] = [count + later, row]
            raise
        if self.lost:
            log.warning("%d audit rows were lost while the store could not write", self.lost)
            self.lost = 0

    def run(self) -> None:
        """Flush for as long as it runs."""
        while True:
            gevent.sleep(FLUSH_SECONDS)
            try:
                self.flush()
            except ApiError as error:
                log.debug("audit rows wait: %s", error)
            except Exception:
                log.exception("audit rows are lost")

    def prune(self) -> None:
        """Forget rows that are too old or too many; runs inside a write."""
        Audit.delete().where(Audit.at < clock.now() - KEEP_MS).execute()
        newest = Audit.select(peewee.fn.max(Audit.id)).scalar() or 0
        Audit.delete().where(Audit.id <= newest - KEEP_ROWS).execute()


def _add_failure(row: Row) -> None:
    """Add to this address's row of this minute, or begin it."""
    guild, at, address, count = row[0], row[1], row[9], row[12]
    last = one(FAILURE_OF_THE_MINUTE, (at // 60_000 * 60_000, guild, address))
    if last is None:
        many(INSERT, [row])
    else:
        many("UPDATE audit SET count = count + ?, at = ? WHERE id = ?", [(count, at, last[0])])

"""Endpoints outside that the event log is delivered to, what each has not taken, and how the last attempts went."""

from typing import Any

TABLES = (
    "CREATE TABLE outbox_endpoint (id TEXT PRIMARY KEY, guild TEXT NOT NULL, outbox TEXT NOT NULL, url TEXT NOT NULL,"
    " secret BLOB NOT NULL, events TEXT NOT NULL, ordered INTEGER NOT NULL, created_at INTEGER NOT NULL,"
    " enabled INTEGER NOT NULL, disabled TEXT NOT NULL, failures INTEGER NOT NULL, failing_since INTEGER NOT NULL,"
    " next_at INTEGER NOT NULL, last_delivery_at INTEGER NOT NULL, last_status INTEGER NOT NULL,"
    " last_error TEXT NOT NULL, rewind INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " gap_at INTEGER NOT NULL)",
    "CREATE TABLE outbox_parked (guild TEXT NOT NULL, endpoint TEXT NOT NULL, number INTEGER NOT NULL,"
    " type TEXT NOT NULL, net TEXT NOT NULL, at INTEGER NOT NULL, data TEXT NOT NULL, tries INTEGER NOT NULL,"
    " status INTEGER NOT NULL, error TEXT NOT NULL, due INTEGER NOT NULL, parked_at INTEGER NOT NULL,"
    " PRIMARY KEY (endpoint, number)) WITHOUT ROWID",
    "CREATE TABLE outbox_attempt (id INTEGER PRIMARY KEY AUTOINCREMENT, guild TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " number INTEGER NOT NULL, type TEXT NOT NULL, at INTEGER NOT NULL, status INTEGER NOT NULL, ms INTEGER NOT NULL,"
    " error TEXT NOT NULL, outcome TEXT NOT NULL)",
    "CREATE INDEX outbox_attempt_endpoint ON outbox_attempt (endpoint, id)",
)


def up(migrator: Any, db: Any) -> None:
    for statement in TABLES:
        db.execute_sql(statement)

"""A look into a data folder past the server, with SQLite alone."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple


def rows(folder: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a query on the store in this folder."""
    with closing(sqlite3.connect(f"file:{folder}/shard.sqlite3?mode=ro", uri=True, timeout=10)) as db:
        return db.execute(sql, parameters).fetchall()


def value(folder: Path, sql: str, *parameters: Any) -> Any:
    """The one value of a query."""
    return rows(folder, sql, *parameters)[0][0]


def whole(folder: Path) -> bool:
    """Whether SQLite finds nothing wrong."""
    return value(folder, "PRAGMA integrity_check") == "ok" and not rows(folder, "PRAGMA foreign_key_check")


class Event(NamedTuple):
    """One event as it is on disk."""

    number: int
    type: str
    at: int
    data: dict[str, Any]


def events(folder: Path, after: int = 0) -> list[Event]:
    """The log after a number."""
    found = rows(folder, "SELECT number, type, at, data FROM event WHERE number > ? ORDER BY number", after)
    return [Event(number, type_, at, json.loads(data)) for number, type_, at, data in found]


def newest(folder: Path) -> int:
    """The number of the newest event."""
    return int(value(folder, "SELECT coalesce(max(number), 0) FROM event"))


def change(folder: Path, sql: str, *parameters: Any) -> None:
    """Write to the store of a server that is down."""
    with closing(sqlite3.connect(folder / "shard.sqlite3")) as db, db:
        db.execute(sql, parameters)


def state(folder: Path) -> tuple[dict[str, str], dict[str, set[str]], bool]:
    """Names of nets, who is assigned to them, and whether the operation is open."""
    people: dict[str, set[str]] = {}
    for net, user in rows(folder, "SELECT net, user FROM assignment"):
        people.setdefault(net, set()).add(user)
    is_open = bool(value(folder, "SELECT operation_open FROM guild"))
    return dict(rows(folder, "SELECT uid, name FROM net")), people, is_open  # type: ignore[arg-type]

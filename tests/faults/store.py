"""A look into a data folder past the server, with SQLite alone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


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

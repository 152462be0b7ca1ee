"""Effects outside the store that have begun and have not ended."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    db.execute_sql(
        "CREATE TABLE effect (id TEXT NOT NULL PRIMARY KEY, guild TEXT NOT NULL, key_id TEXT NOT NULL,"
        " name TEXT NOT NULL, events BLOB NOT NULL)"
    )

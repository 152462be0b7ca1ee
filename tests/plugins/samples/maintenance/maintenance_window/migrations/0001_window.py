"""The window of each guild."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Make the table."""
    db.execute_sql(
        "CREATE TABLE maintenance_window (guild TEXT PRIMARY KEY, serial INTEGER NOT NULL,"
        " starts_at INTEGER NOT NULL, ends_at INTEGER NOT NULL, why TEXT NOT NULL)"
    )

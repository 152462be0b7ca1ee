"""Visits: one row from a join to the leave that ends it."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Make the table."""
    db.execute_sql(
        "CREATE TABLE attendance_visit (id INTEGER PRIMARY KEY AUTOINCREMENT, guild TEXT NOT NULL,"
        " user TEXT NOT NULL, name TEXT NOT NULL, joined_at INTEGER NOT NULL, left_at INTEGER NOT NULL,"
        " reason TEXT NOT NULL)"
    )
    db.execute_sql("CREATE INDEX attendance_visit_user ON attendance_visit (guild, user, joined_at)")
    db.execute_sql("CREATE INDEX attendance_visit_open ON attendance_visit (guild, user) WHERE left_at = 0")

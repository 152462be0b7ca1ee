"""The epoch of the store that a session or a link is of; those of before are of none."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    for table in ("panel_session", "panel_link"):
        db.execute_sql(f"ALTER TABLE {table} ADD COLUMN epoch TEXT NOT NULL DEFAULT ''")

"""Presets as the JSON they are answered as, and a number for the list of each guild that grows with every change."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    db.execute_sql(
        "CREATE TABLE preset (guild TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,"
        " PRIMARY KEY (guild, name))"
    )
    db.execute_sql("CREATE TABLE preset_list (guild TEXT PRIMARY KEY, revision INTEGER NOT NULL)")

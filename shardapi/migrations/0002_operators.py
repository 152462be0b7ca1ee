"""Which operators may not come in: those whose tokens were revoked, and those kept out for a while."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    for table, time in (("revoked_operator", "at"), ("blocked_operator", "until")):
        db.execute_sql(
            f"CREATE TABLE {table} (guild TEXT NOT NULL, user TEXT NOT NULL, {time} INTEGER NOT NULL,"
            " PRIMARY KEY (guild, user)) WITHOUT ROWID"
        )

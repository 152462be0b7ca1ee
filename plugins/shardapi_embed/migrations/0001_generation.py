"""The generation of a guild's public tokens; a guild without a row is in its first."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    db.execute_sql(
        "CREATE TABLE public_token (guild TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID"
    )

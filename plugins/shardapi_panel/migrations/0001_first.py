"""Who is signed in, by digest; links not used yet, by digest; a guild's password, hashed. Times in ms."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    db.execute_sql(
        "CREATE TABLE panel_session (id TEXT PRIMARY KEY, guild TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,"
        " who TEXT NOT NULL, way TEXT NOT NULL, signed_in_at INTEGER NOT NULL, last_used_at INTEGER NOT NULL,"
        " address TEXT NOT NULL, agent TEXT NOT NULL) WITHOUT ROWID"
    )
    db.execute_sql("CREATE INDEX panel_session_guild ON panel_session (guild)")
    db.execute_sql(
        "CREATE TABLE panel_link (digest BLOB PRIMARY KEY, guild TEXT NOT NULL, who TEXT NOT NULL,"
        " expires_at INTEGER NOT NULL) WITHOUT ROWID"
    )
    db.execute_sql(
        "CREATE TABLE panel_password (guild TEXT PRIMARY KEY, hash TEXT NOT NULL, set_at INTEGER NOT NULL)"
        " WITHOUT ROWID"
    )

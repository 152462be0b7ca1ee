"""The catalogue's journal as a chain of hashes, with a checkpoint for each guild; what it had is chained anew."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

BEFORE = "SELECT guild, uid, action, at, entry FROM catalogue_change ORDER BY id"
TABLES = (
    "DROP TABLE catalogue_change",
    "CREATE TABLE catalogue_change (number INTEGER PRIMARY KEY, guild TEXT NOT NULL, version INTEGER NOT NULL,"
    " operation BLOB NOT NULL, hash BLOB NOT NULL, UNIQUE (guild, version))",
    "CREATE TABLE catalogue_head (guild TEXT PRIMARY KEY, version INTEGER NOT NULL, hash BLOB NOT NULL,"
    " checkpoint_version INTEGER NOT NULL, checkpoint_hash BLOB NOT NULL, checkpoint_at INTEGER NOT NULL)"
    " WITHOUT ROWID",
)


def up(migrator: Any, db: Any) -> None:
    before = db.execute_sql(BEFORE).fetchall()
    for statement in TABLES:
        db.execute_sql(statement)
    heads: dict[str, tuple[int, bytes]] = {}
    for guild, uid, action, at, entry in before:
        version, digest = heads.get(guild, (0, bytes(32)))
        operation = {
            "action": action,
            "at": _iso(at),
            "entry": json.loads(entry),
            "uid": uid,
            "version": version + 1,
        }
        text = json.dumps(operation, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        heads[guild] = version + 1, sha256(digest + text).digest()
        db.execute_sql(
            "INSERT INTO catalogue_change (guild, version, operation, hash) VALUES (?, ?, ?, ?)",
            (guild, version + 1, text, heads[guild][1]),
        )
    for guild, (version, digest) in heads.items():
        db.execute_sql(
            "INSERT INTO catalogue_head VALUES (?, ?, ?, 0, ?, 0)", (guild, version, digest, bytes(32))
        )


def _iso(ms: int) -> str:
    second = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"

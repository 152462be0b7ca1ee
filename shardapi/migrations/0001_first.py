"""The first shape of the store; every table but meta names the guild its rows belong to."""

from typing import Any

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE guild (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    operation_open INTEGER NOT NULL, features TEXT NOT NULL, public_net TEXT NOT NULL,
    pruned INTEGER NOT NULL DEFAULT 0, alive_at INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL
);
CREATE TABLE net (
    guild TEXT NOT NULL, uid TEXT NOT NULL, slot INTEGER NOT NULL, name TEXT NOT NULL, relays TEXT NOT NULL,
    PRIMARY KEY (guild, uid)
) WITHOUT ROWID;
CREATE TABLE freed_slot (
    guild TEXT NOT NULL, slot INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (guild, slot)
) WITHOUT ROWID;
CREATE TABLE assignment (
    guild TEXT NOT NULL, net TEXT NOT NULL, user TEXT NOT NULL, manual INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (guild, net, user)
) WITHOUT ROWID;
CREATE TABLE rule (
    guild TEXT NOT NULL, place INTEGER NOT NULL, role TEXT NOT NULL, nets TEXT NOT NULL,
    PRIMARY KEY (guild, place)
) WITHOUT ROWID;

CREATE TABLE event (
    number INTEGER PRIMARY KEY, guild TEXT NOT NULL, type TEXT NOT NULL, net TEXT NOT NULL, at INTEGER NOT NULL,
    data TEXT NOT NULL
);
CREATE TABLE last_event (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL);
INSERT INTO last_event VALUES (1, 0);
CREATE TABLE open_event (number INTEGER PRIMARY KEY, guild TEXT NOT NULL);
CREATE TABLE cursor (
    guild TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, hold INTEGER NOT NULL,
    PRIMARY KEY (guild, name)
) WITHOUT ROWID;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY, guild TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL
);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, guild TEXT NOT NULL, at INTEGER NOT NULL, key_id TEXT NOT NULL,
    key_name TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL, code TEXT NOT NULL,
    request_id TEXT NOT NULL, address TEXT NOT NULL, dry_run INTEGER NOT NULL, reason TEXT NOT NULL,
    count INTEGER NOT NULL
);
CREATE INDEX audit_guild ON audit (guild, id);
CREATE INDEX audit_at ON audit (at);
CREATE TABLE idempotency (
    guild TEXT NOT NULL, key_id TEXT NOT NULL, name TEXT NOT NULL, fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (guild, key_id, name)
);
CREATE INDEX idempotency_at ON idempotency (at);

CREATE TABLE catalogue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, guild TEXT NOT NULL, uid TEXT NOT NULL, name TEXT NOT NULL,
    notes TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '[]', assigned TEXT NOT NULL DEFAULT '[]',
    relays TEXT NOT NULL DEFAULT '[]', inbound TEXT NOT NULL DEFAULT '[]', created_at INTEGER NOT NULL,
    archived_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, source TEXT NOT NULL, UNIQUE (guild, uid)
);
CREATE TABLE catalogue_change (
    id INTEGER PRIMARY KEY AUTOINCREMENT, guild TEXT NOT NULL, uid TEXT NOT NULL, action TEXT NOT NULL,
    at INTEGER NOT NULL, entry BLOB NOT NULL
);
"""


def up(migrator: Any, db: Any) -> None:
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)

"""The journal of the catalogue: what was done to it, one operation after another, in a chain of hashes.

Operation n is kept as canonical JSON (RFC 8785: UTF-8, members sorted, no white space) of `{action, at, entry, uid,
version}`, where `version` is n and `entry` is what the catalogue has had from then on, null once it is removed. With
hash(0) as 32 zero bytes, hash(n) is SHA-256 over the bytes of hash(n-1) and then those of operation n: who has one hash
and the operations after it can prove that all later ones are what they were.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from .clock import iso
from .guild import Frozen
from .store import many, one

CHECKPOINT_OPERATIONS = 1_000
KEPT_OPERATIONS = 10_000  # of those before the checkpoint, which central has
FIRST = bytes(32)

CANONICAL = msgspec.json.Encoder(order="sorted").encode


class Operation(Frozen, frozen=True, kw_only=True):
    """One change to the catalogue."""

    action: str
    at: str
    entry: Any
    uid: str
    version: int


class Head(NamedTuple):
    """How far the journal is, and how far the newest checkpoint; a time in ms, 0 where there is no checkpoint."""

    version: int = 0
    hash: bytes = FIRST
    checkpoint_version: int = 0
    checkpoint_hash: bytes = FIRST
    checkpoint_at: int = 0

    @property
    def pending(self) -> int:
        """How many operations the checkpoint lacks."""
        return self.version - self.checkpoint_version


def head(guild_id: str) -> Head:
    """Where the journal stands; runs inside `Store.read` or a write."""
    found = one(
        "SELECT version, hash, checkpoint_version, checkpoint_hash, checkpoint_at FROM catalogue_head"
        " WHERE guild = ?",
        (guild_id,),
    )
    return Head(*found) if found is not None else Head()


def append(guild_id: str, action: str, changes: Iterable[tuple[str, Any]], now: int) -> None:
    """Add operations, each a uid and what its entry is now, in the transaction that makes them true."""
    before, at, rows = head(guild_id), iso(now), []
    version, digest = before.version, before.hash
    for uid, entry in changes:
        version += 1
        operation = CANONICAL(Operation(action=action, at=at, entry=entry, uid=uid, version=version))
        digest = sha256(digest + operation).digest()
        # As bytearray, which sqlite3 binds at once; bytes only after looking for an adapter.
        rows.append((guild_id, version, bytearray(operation), bytearray(digest)))
    many("INSERT INTO catalogue_change (guild, version, operation, hash) VALUES (?, ?, ?, ?)", rows)
    after = before._replace(version=version, hash=digest)
    many(
        "INSERT INTO catalogue_head VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (guild)"
        " DO UPDATE SET version = excluded.version, hash = excluded.hash",
        [(guild_id, *after)],
    )
    if after.pending >= CHECKPOINT_OPERATIONS:
        checkpoint(guild_id, now)


def checkpoint(guild_id: str, now: int) -> None:
    """Let the checkpoint catch up, and forget operations long before it; runs inside a write."""
    many(
        "UPDATE catalogue_head SET checkpoint_version = version, checkpoint_hash = hash, checkpoint_at = ?"
        " WHERE guild = ? AND version > checkpoint_version",
        [(now, guild_id)],
    )
    last = head(guild_id).checkpoint_version - KEPT_OPERATIONS
    many("DELETE FROM catalogue_change WHERE guild = ? AND version <= ?", [(guild_id, last)])

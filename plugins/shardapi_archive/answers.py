"""What the archive answers."""

from hashlib import sha256

import msgspec

from shardapi import Answer, Written, journal
from shardapi.catalogue import Entry


def tag_of(entry: Entry) -> str:
    """The entity tag of an entry."""
    return sha256(journal.CANONICAL(entry)).hexdigest()[:32]


class ArchiveAnswer(Answer, kw_only=True):
    """A page, the newest first; a page of very long entries is shorter than `limit`, and nextCursor is "" after the
    last. `total` is of all pages; where it is not exact there are more."""

    entries: list[Entry]
    total: int
    total_is_exact: bool
    next_cursor: str


class EntryAnswer(Answer, kw_only=True):
    """An entry; `source` repeats the one in it."""

    entry: Entry
    source: str

    def etag(self, version: int) -> str:
        return tag_of(self.entry)


class EntryWritten(Written, kw_only=True):
    """The entry after the write; `action` is created or updated."""

    entry: Entry


class EntryRemoved(Written, kw_only=True):
    uid: str
    deleted: bool


class NetRestored(Written, kw_only=True):
    """The active net, and the entry, which stays; `skipped` are uids of relays that are not active."""

    uid: str
    net_uid: str
    net_id: int
    name: str
    entry: Entry
    skipped: tuple[str, ...]


class Checkpoint(msgspec.Struct, rename="camel", kw_only=True):
    """The journal's last operation that central has: its number and, in hex, its hash in the chain; "" for none yet."""

    last_checkpoint_hash: str
    last_checkpoint_version: int
    last_checkpoint_at: str


class SyncAnswer(Answer, kw_only=True):
    """How far central has the journal, and how many operations it does not have yet."""

    checkpoint: Checkpoint
    pending_ops: int

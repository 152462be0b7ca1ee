"""Archived nets, each change to them with its line in the journal; an entry outlives its restores."""

from collections.abc import Sequence
from typing import Any

import msgspec

from . import journal
from .clock import iso, ms
from .commands import Archived
from .guild import Frozen
from .models import to_json
from .store import many, one, rows

COLUMNS = "uid, name, notes, tags, assigned, relays, inbound, created_at, archived_at, updated_at, source"
SAVE = (
    f"INSERT INTO catalogue (guild, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (guild, uid) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS.split(", ")[1:])
)


class Entry(Frozen, frozen=True, kw_only=True):
    """An archived net, as every answer shows it."""

    uid: str
    name: str
    notes: str
    tags: tuple[str, ...]
    assigned_user_ids: tuple[str, ...]
    relay_target_net_uids: tuple[str, ...]
    inbound_relay_from_net_uids: tuple[str, ...]
    created_at: str
    archived_at: str
    updated_at: str
    source: str


def blank(uid: str, now: int, source: str) -> Entry:
    """An entry that says nothing yet."""
    at = iso(now)
    return Entry(
        uid=uid,
        name="",
        notes="",
        tags=(),
        assigned_user_ids=(),
        relay_target_net_uids=(),
        inbound_relay_from_net_uids=(),
        created_at=at,
        archived_at=at,
        updated_at=at,
        source=source,
    )


def find(guild_id: str, uid: str) -> Entry | None:
    """The entry of this uid; runs inside `Store.read` or a write."""
    row = one(f"SELECT {COLUMNS} FROM catalogue WHERE guild = ? AND uid = ?", (guild_id, uid))
    return entry_of(row) if row is not None else None


def archive(guild_id: str, net: Archived, now: int) -> None:
    """Keep a net that was removed, inside the running transaction; notes and tags of an older entry stay."""
    save(guild_id, [preview(guild_id, net, now)], now, "archive")


def preview(guild_id: str, net: Archived, now: int) -> Entry:
    """The entry that `archive` would leave, without writing it."""
    return msgspec.structs.replace(
        find(guild_id, net.uid) or blank(net.uid, now, "removed"),
        name=net.name,
        assigned_user_ids=net.assigned_user_ids,
        relay_target_net_uids=net.relay_target_net_uids,
        inbound_relay_from_net_uids=net.inbound_relay_from_net_uids,
        archived_at=iso(now),
        updated_at=iso(now),
        source="removed",
    )


def save(guild_id: str, entries: Sequence[Entry], now: int, action: str = "upsert") -> None:
    """Write entries, each new or in place of the one of its uid, no tag twice, inside the running transaction."""
    entries = [_with_each_tag_once(entry) for entry in entries]
    many(SAVE, ((guild_id, *_row_of(entry)) for entry in entries))
    journal.append(guild_id, action, ((entry.uid, entry) for entry in entries), now)


def load(guild_id: str, entries: Sequence[Entry], now: int) -> int:
    """Write those of many entries, no uid twice, that are not there just so; answers how many that were.

    A few hundred at once are a good measure: nobody else writes meanwhile, and a larger search index is slower to sort.
    """
    uids = to_json([entry.uid for entry in entries])
    entries = [_with_each_tag_once(entry) for entry in entries]
    there = rows(
        f"SELECT {COLUMNS} FROM catalogue WHERE guild = ? AND uid IN (SELECT value FROM json_each(?))",
        (guild_id, uids),
    )
    known = {row[0]: entry_of(row) for row in there}
    changed = [entry for entry in entries if known.get(entry.uid) != entry]
    if changed:
        save(guild_id, changed, now)
    return len(changed)


def _with_each_tag_once(entry: Entry) -> Entry:
    tags = tuple(dict.fromkeys(entry.tags))
    return entry if len(tags) == len(entry.tags) else msgspec.structs.replace(entry, tags=tags)


def remove(guild_id: str, uid: str, now: int) -> bool:
    """Forget an entry for ever, inside the running transaction; answers whether there was one."""
    if find(guild_id, uid) is None:
        return False
    many("DELETE FROM catalogue WHERE guild = ? AND uid = ?", [(guild_id, uid)])
    journal.append(guild_id, "remove", [(uid, None)], now)
    return True


def entry_of(row: Sequence[Any]) -> Entry:
    """A row of COLUMNS as an entry."""
    return Entry(
        uid=row[0],
        name=row[1],
        notes=row[2],
        tags=_texts(row[3]),
        assigned_user_ids=_texts(row[4]),
        relay_target_net_uids=_texts(row[5]),
        inbound_relay_from_net_uids=_texts(row[6]),
        created_at=iso(row[7]),
        archived_at=iso(row[8]),
        updated_at=iso(row[9]),
        source=row[10],
    )


def _row_of(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.uid,
        entry.name,
        entry.notes,
        *(to_json(texts) if texts else "[]" for texts in _lists(entry)),
        ms(entry.created_at),
        ms(entry.archived_at),
        ms(entry.updated_at),
        entry.source,
    )


def _lists(entry: Entry) -> tuple[tuple[str, ...], ...]:
    return entry.tags, entry.assigned_user_ids, entry.relay_target_net_uids, entry.inbound_relay_from_net_uids


def _texts(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])

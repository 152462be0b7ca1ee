"""Archived nets and the journal of changes to them; an entry outlives its restores, with its notes and tags."""

from typing import Any

import msgspec

from .clock import iso
from .commands import Archived
from .guild import Frozen
from .models import Catalogue, to_json
from .store import many


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


def archive(guild_id: str, net: Archived, now: int) -> None:
    """Keep a net that was removed, inside the running transaction; notes and tags of an older entry stay."""
    values = {
        "name": net.name,
        "assigned": to_json(net.assigned_user_ids),
        "relays": to_json(net.relay_target_net_uids),
        "inbound": to_json(net.inbound_relay_from_net_uids),
        "archived_at": now,
        "updated_at": now,
        "source": "removed",
    }
    new = {"guild": guild_id, "uid": net.uid, "notes": "", "tags": "[]", "created_at": now}
    Catalogue.insert({**new, **values}).on_conflict(
        conflict_target=[Catalogue.guild, Catalogue.uid], update=values
    ).execute()
    _journal(guild_id, "archive", net.uid, now)


def find(guild_id: str, uid: str) -> Entry | None:
    """The entry of this uid; runs inside `Store.read` or a write."""
    row = Catalogue.get_or_none((Catalogue.guild == guild_id) & (Catalogue.uid == uid))
    return _entry(row) if row is not None else None


def preview(guild_id: str, net: Archived, now: int) -> Entry:
    """The entry that `archive` would leave, without writing it."""
    old, at = find(guild_id, net.uid), iso(now)
    return Entry(
        uid=net.uid,
        name=net.name,
        notes=old.notes if old is not None else "",
        tags=old.tags if old is not None else (),
        assigned_user_ids=net.assigned_user_ids,
        relay_target_net_uids=net.relay_target_net_uids,
        inbound_relay_from_net_uids=net.inbound_relay_from_net_uids,
        created_at=old.created_at if old is not None else at,
        archived_at=at,
        updated_at=at,
        source="removed",
    )


def _journal(guild_id: str, action: str, uid: str, now: int) -> None:
    entry = find(guild_id, uid)
    many(
        "INSERT INTO catalogue_change (guild, uid, action, at, entry) VALUES (?, ?, ?, ?, ?)",
        [(guild_id, uid, action, now, msgspec.json.encode(entry))],
    )


def _entry(row: Any) -> Entry:
    return Entry(
        uid=row.uid,
        name=row.name,
        notes=row.notes,
        tags=_texts(row.tags),
        assigned_user_ids=_texts(row.assigned),
        relay_target_net_uids=_texts(row.relays),
        inbound_relay_from_net_uids=_texts(row.inbound),
        created_at=iso(row.created_at),
        archived_at=iso(row.archived_at),
        updated_at=iso(row.updated_at),
        source=row.source,
    )


def _texts(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])

"""/archive: nets that are not active, with notes and tags, to be found, changed and restored under their own uid."""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from shardapi import (
    ApiError,
    NoBody,
    Query,
    Routes,
    Shard,
    ShardApp,
    Write,
    catalogue,
    clock,
    errors,
    hookimpl,
    journal,
)
from shardapi.catalogue import Entry
from shardapi.central import Outcome
from shardapi.clock import iso
from shardapi.commands import Archived, Change, RestoreNet
from shardapi.errors import FieldError
from shardapi.fields import Name, clean_name
from shardapi.guild import GLOBAL_UID, PUBLIC_UID

from . import search
from .answers import (
    ArchiveAnswer,
    Checkpoint,
    EntryAnswer,
    EntryRemoved,
    EntryWritten,
    NetRestored,
    SyncAnswer,
    tag_of,
)
from .fields import MOST_TAG, MOST_TAGS, EntryBody, EntryChanges, PathUid

archive = Routes("archive")

SCOPE = "write:archive"
MOST_QUERY, MOST_LISTED = 256, 500
ENTRY = {
    "name": "Strike Net",
    "notes": "Escort, two ships",
    "tags": ["air", "escort"],
    "assignedUserIds": ["123456789012345678"],
}


class ArchiveQuery(Query, kw_only=True):
    """What to look for; `cursor` is the nextCursor of the page before."""

    q: Annotated[
        str,
        Meta(
            max_length=MOST_QUERY,
            description="Words, each the beginning of one in name, notes or tags; without case, accents and signs,"
            " and all of them must be there. No word finds everything",
        ),
    ] = ""
    search: Annotated[str, Meta(max_length=MOST_QUERY, description="The same as q, which wins")] = ""
    tag: tuple[
        Annotated[str, Meta(max_length=MOST_TAG, description="A tag, exactly; repeated: all")], ...
    ] = ()
    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED, description="How many at most")] = 50
    cursor: Annotated[
        str, Meta(pattern=r"^[0-9]{0,18}$(?!\n)", description="nextCursor of the page before")
    ] = ""


class RestoreBody(NoBody, kw_only=True):
    """How to restore: under another name, without its assignments, without its relays."""

    name: Name | None = None
    assignments: bool | None = True
    relays: bool | None = True


@archive.get("/archive", scope=SCOPE)
def find(query: ArchiveQuery, shard: Shard) -> ArchiveAnswer:
    """List or search the archive: words by their beginnings, tags exactly, the newest entry first."""
    tags = list(dict.fromkeys(tag.strip() for tag in query.tag if tag.strip()))
    if len(tags) > MOST_TAGS:
        problem = FieldError("tag", f"Expected at most {MOST_TAGS}")
        raise errors.INVALID_VALUE(f"No entry has more than {MOST_TAGS} tags.", errors=(problem,))
    wanted = search.search(shard.guild_id, query.q or query.search, tags)

    def page() -> bytes:  # encoded in the reader's thread too: a page can be long
        found = search.find(wanted, query.limit, int(query.cursor or 0))
        answer = ArchiveAnswer(
            guild_id=shard.guild_id,
            entries=found.entries,
            total=found.total,
            total_is_exact=found.exact,
            next_cursor=str(found.next or ""),
        )
        return msgspec.json.encode(answer)

    return shard.store.read(page)  # type: ignore[return-value]


@archive.get("/archive/sync/status", scope=SCOPE)
def sync_status(shard: Shard) -> SyncAnswer:
    """How far central has the journal of the archive: a checkpoint each minute, or each 1,000 operations."""
    head = shard.store.read(lambda: journal.head(shard.guild_id))
    return SyncAnswer(
        checkpoint=Checkpoint(
            last_checkpoint_hash=head.checkpoint_hash.hex() if head.checkpoint_version else "",
            last_checkpoint_version=head.checkpoint_version,
            last_checkpoint_at=iso(head.checkpoint_at),
        ),
        pending_ops=head.pending,
    )


@archive.get("/archive/<uid>", scope=SCOPE, etag=True, errors=[errors.ENTRY_NOT_FOUND])
def read(uid: PathUid, shard: Shard) -> EntryAnswer:
    """Read one entry."""
    entry = shard.store.read(lambda: catalogue.find(shard.guild_id, uid))
    if entry is None:
        raise _no_entry(uid, shard)
    return EntryAnswer(entry=entry, source=entry.source)


@archive.post(
    "/archive",
    scope=SCOPE,
    errors=[errors.ENTRY_NOT_FOUND, errors.NET_PROTECTED],
    examples={"body": ENTRY, "answer": {"action": "created"}},
)
def upsert(body: EntryBody, write: Write, shard: Shard) -> EntryWritten:
    """Create an entry, or update the one of this uid; without a uid one is minted. An active net is left alone."""
    if body.uid is None and body.name is None:
        problem = FieldError("name", "Expected a name")
        raise errors.INVALID_VALUE("A new entry needs a name.", errors=(problem,))
    uid = body.uid or write.mint()
    if uid in (PUBLIC_UID, GLOBAL_UID):
        raise errors.NET_PROTECTED("The Public Net and global push-to-talk cannot be archived.")
    return _keep(uid, body, write, shard, create=True)


@archive.post(
    "/archive/<uid>",
    scope=SCOPE,
    errors=[errors.ENTRY_NOT_FOUND],
    examples={"body": {"notes": "Two ships"}, "answer": {"action": "updated"}},
)
def update(uid: PathUid, body: EntryChanges, write: Write, shard: Shard) -> EntryWritten:
    """Update an entry in part."""
    return _keep(uid, body, write, shard)


@archive.patch(
    "/archive/<uid>",
    scope=SCOPE,
    errors=[errors.ENTRY_NOT_FOUND],
    examples={"body": {"tags": ["air"]}, "answer": {"action": "updated"}},
)
def patch(uid: PathUid, body: EntryChanges, write: Write, shard: Shard) -> EntryWritten:
    """Update an entry in part, as POST does."""
    return _keep(uid, body, write, shard)


@archive.delete(
    "/archive/<uid>",
    scope=SCOPE,
    errors=[errors.ENTRY_NOT_FOUND],
    examples={"answer": {"action": "archive.remove"}},
)
def remove(uid: PathUid, write: Write, shard: Shard) -> EntryRemoved:
    """Remove an entry for ever; an active net of that uid is left alone."""

    def work() -> None:
        if not catalogue.remove(shard.guild_id, uid, clock.now()):
            raise _no_entry(uid, shard)

    return write.store(
        work,
        lambda _: EntryRemoved(action="archive.remove", changed=True, uid=uid, deleted=True),
        events=lambda _: [write.config_changed("archive.remove", uid)],
        tag=lambda: _present_tag(uid, shard),
    )


@archive.post(
    "/archive/<uid>/restore",
    scope=SCOPE,
    errors=[errors.ENTRY_NOT_FOUND, errors.NO_FREE_SLOT],
    examples={
        "body": {"name": "Strike Net", "relays": False},
        "answer": {"action": "archive.restore", "skipped": []},
    },
)
def restore(uid: PathUid, body: RestoreBody, write: Write, shard: Shard) -> NetRestored:
    """Make an archived net active again: the same uid in a fresh slot, with what still exists of its links."""
    name = clean_name(body.name) if body.name is not None else ""
    entry = shard.store.read(lambda: catalogue.find(shard.guild_id, uid))
    if entry is None:
        raise _no_entry(uid, shard)

    def restored(outcome: Outcome) -> NetRestored:
        change = outcome.results[0]
        assert isinstance(change, Change) and change.net is not None
        return NetRestored(
            action="archive.restore",
            uid=uid,
            net_uid=uid,
            net_id=change.net.slot,
            name=change.net.name,
            entry=entry,
            skipped=change.skipped,
        )

    command = RestoreNet(
        entry=Archived(
            uid=uid,
            name=entry.name,
            assigned_user_ids=entry.assigned_user_ids,
            relay_target_net_uids=entry.relay_target_net_uids,
            inbound_relay_from_net_uids=entry.inbound_relay_from_net_uids,
        ),
        name=name,
        assignments=body.assignments is not False,
        relays=body.relays is not False,
        by=write.by,
    )
    return write.submit([command], restored)


class Kept(NamedTuple):
    entry: Entry
    created: bool
    changed: bool


def _keep(uid: str, body: EntryChanges, write: Write, shard: Shard, create: bool = False) -> EntryWritten:
    given, guild_id = body.given(uid), shard.guild_id

    def work() -> Kept:
        now, old = clock.now(), catalogue.find(guild_id, uid)
        if old is None and not (create and "name" in given):
            raise _no_entry(uid, shard, "A new one needs a name." if create else "")
        entry = replace(old or catalogue.blank(uid, now, "api"), **given)
        if entry == old:
            return Kept(entry, created=False, changed=False)
        entry = replace(entry, updated_at=iso(now))
        catalogue.save(guild_id, [entry], now)
        return Kept(entry, created=old is None, changed=True)

    return write.store(
        work,
        lambda kept: EntryWritten(
            action="created" if kept.created else "updated", changed=kept.changed, entry=kept.entry
        ),
        events=lambda _: [write.config_changed("archive.upsert", uid)],
        tag=lambda: _present_tag(uid, shard),
    )


def _present_tag(uid: str, shard: Shard) -> str:
    entry = catalogue.find(shard.guild_id, uid)
    return tag_of(entry) if entry is not None else ""


def _no_entry(uid: str, shard: Shard, hint: str = "") -> ApiError:
    hint = hint or "GET /api/v1/archive lists the entries."
    if uid in shard.guild.nets:
        hint = "It is an active net; removing it puts it into the archive."
    return errors.ENTRY_NOT_FOUND(f"There is no entry {uid[:64]} in the archive.", hint=hint)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [archive]

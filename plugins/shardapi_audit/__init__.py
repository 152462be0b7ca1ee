"""GET /audit: what was asked of this shard, by which key, and what came of it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shardapi import Answer, Query, Routes, Shard, ShardApp, hookimpl
from shardapi.clock import iso
from shardapi.models import Audit

audit = Routes("audit")


class AuditQuery(Query, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many at most")] = 100
    before: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Only entries older than this id")] | None = (
        None
    )


class AuditEntry(msgspec.Struct, rename="camel", kw_only=True):
    """One call; keyless failures are one entry for each address and minute, with a count."""

    id: int
    at: str
    key_id: str
    key_name: str
    method: str
    path: str
    status: int
    code: str
    request_id: str
    address: str
    dry_run: bool
    reason: str
    count: int


class AuditAnswer(Answer, kw_only=True):
    """The newest entries first."""

    entries: list[AuditEntry]


@audit.get("/audit", scope="read:audit")
def read(query: AuditQuery, shard: Shard) -> AuditAnswer:
    """Recent calls with their outcome, refused ones too; never a secret or a body."""
    mine = Audit.guild == shard.guild_id
    if query.before is not None:
        mine &= Audit.id < query.before
    newest = Audit.select().where(mine).order_by(Audit.id.desc()).limit(query.limit)
    return AuditAnswer(entries=shard.store.read(lambda: [_entry(row) for row in newest]))


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=iso(row.at),
        key_id=row.key_id,
        key_name=row.key_name,
        method=row.method,
        path=row.path,
        status=row.status,
        code=row.code,
        request_id=row.request_id,
        address=row.address,
        dry_run=row.dry_run,
        reason=row.reason,
        count=row.count,
    )


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [audit]

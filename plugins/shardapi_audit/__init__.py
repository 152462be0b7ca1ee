"""GET /audit: what was asked of this shard, by which key, and what came of it."""

from typing import Annotated, Any

import msgspec
import peewee
from msgspec import UNSET, Meta, UnsetType

from shardapi import Answer, FieldError, Query, Routes, Shard, ShardApp, clock, errors, hookimpl
from shardapi.clock import iso
from shardapi.models import Audit

audit = Routes("audit")
# The plus makes SQLite walk the index by time, in which the answer stands in its order.
_NOT_BY_GUILD = peewee.NodeList((peewee.SQL("+"), Audit.guild), glue="")
TIME: dict[str, Any] = {
    "max_length": 40,
    "extra_json_schema": {"format": "date-time"},
    "examples": ["2026-11-20T19:30:00Z"],
}


class AuditQuery(Query, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many at most")] = 100
    before: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Only entries older than this id")] | None = (
        None
    )
    key_id: Annotated[
        str, Meta(max_length=64, description="Only calls with this key; panel is the panel's")
    ] = ""
    status: Annotated[
        str,
        Meta(
            pattern=r"^([1-5]([0-9][0-9]|xx))?$(?!\n)",
            description="Only answers of this status; 4xx is all of them",
            examples=["4xx"],
        ),
    ] = ""
    path: Annotated[str, Meta(max_length=200, description="Only paths that have this in them")] = ""
    since: Annotated[str, Meta(description="Only from this time on", **TIME)] | UnsetType = UNSET
    until: Annotated[str, Meta(description="Only from before this time", **TIME)] | UnsetType = UNSET


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
    """The newest entries first, by the time at which the call was done; ids tell in which order they were written."""

    entries: list[AuditEntry]


@audit.get("/audit", scope="read:audit", errors=[errors.INVALID_VALUE])
def read(query: AuditQuery, shard: Shard) -> AuditAnswer:
    """Recent calls with their outcome, refused ones too; never a secret or a body."""
    wanted = _wanted(query, shard)

    def newest() -> list[AuditEntry]:
        older = True if query.before is None else _older(query.before)
        found = Audit.select().where(wanted, older).order_by(Audit.at.desc(), Audit.id.desc())
        return [_entry(row) for row in found.limit(query.limit)]

    return AuditAnswer(entries=shard.store.read(newest))


def _older(id: int) -> Any:
    """The condition of what comes after an entry; one that is pruned was older than all that are there."""
    at = Audit.select(Audit.at).where(Audit.id >= id).order_by(Audit.id).limit(1).scalar()
    if at is None:
        return True
    return peewee.Tuple(Audit.at, Audit.id) < peewee.Tuple(at, id)


def _wanted(query: AuditQuery, shard: Shard) -> Any:
    """The condition that a query is. Raises invalid_value for a time that is none."""
    wanted = _NOT_BY_GUILD == shard.guild_id
    if query.key_id:
        wanted &= Audit.key_id == query.key_id
    if query.status:
        least, most = (int(query.status.replace("x", digit)) for digit in "09")
        wanted &= Audit.status.between(least, most)
    if query.path:
        wanted &= Audit.path.contains(query.path)
    if query.since is not UNSET:
        wanted &= Audit.at >= _time("since", query.since)
    if query.until is not UNSET:
        wanted &= Audit.at < _time("until", query.until)
    return wanted


def _time(name: str, text: str) -> int:
    try:
        if text:
            return clock.ms(text)
        raise ValueError
    except (ValueError, OverflowError):
        problem = FieldError(name, "Expected a time such as 2026-11-20T19:30:00Z")
        raise errors.INVALID_VALUE(f"{name} is no time.", errors=(problem,)) from None


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

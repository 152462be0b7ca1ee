"""/assignments: who is on which net, by hand, for a while, or by a rule; one at a time or up to 200 at once."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from shardapi import (
    Answer,
    ApiError,
    Body,
    Key,
    Routes,
    Shard,
    ShardApp,
    Write,
    Written,
    clock,
    errors,
    hookimpl,
)
from shardapi.central import Outcome, Refused
from shardapi.clock import iso
from shardapi.commands import Assign, Change, Unassign
from shardapi.errors import FieldError
from shardapi.fields import NetRef, UserId
from shardapi.guild import Net

assignments = Routes("assignments")

ROLES = "read:roster:roles"
MOST_ITEMS = 200
DEFAULT_MS, LEAST_MS, MOST_MS = 300_000, 15_000, 86_400_000
NET_ERRORS = [errors.NET_NOT_FOUND, errors.NET_MISMATCH, errors.NET_PROTECTED]

Action = Literal["assign", "unassign"]


class AssignmentEntry(msgspec.Struct, rename="camel", kw_only=True):
    """One reason why a user is on a net; `expiresAt` is "" unless it is temporary."""

    user_id: str
    net_id: int
    net_uid: str
    net_name: str
    source: Literal["manual", "temporary", "rule"]
    role_id: str | UnsetType = UNSET
    expires_at: str = ""


class AssignmentsAnswer(Answer, kw_only=True):
    """Stored assignments as {userId: [netId]}; `entries` adds what rules give to connected users."""

    assignments: dict[str, list[int]]
    entries: list[AssignmentEntry]


class AssignBody(NetRef, kw_only=True):
    user_id: UserId
    action: Action | None = "assign"


class TemporaryBody(NetRef, kw_only=True):
    """How long: ttlMs, else expiresMinutes, else minutes; 15 seconds to 24 hours, 5 minutes if none is given."""

    user_id: UserId
    ttl_ms: Annotated[int, Meta(ge=LEAST_MS, le=MOST_MS)] | None = None
    expires_minutes: Annotated[float, Meta(ge=0.25, le=1440)] | None = None
    minutes: Annotated[float, Meta(ge=0.25, le=1440)] | None = None

    def duration(self) -> int:
        """Milliseconds."""
        if self.ttl_ms is not None:
            return self.ttl_ms
        minutes = self.minutes if self.expires_minutes is None else self.expires_minutes
        return DEFAULT_MS if minutes is None else int(minutes * 60_000)


class BulkItem(NetRef, kw_only=True):
    user_id: UserId
    action: Action | None = None


class BulkBody(Body, kw_only=True):
    """Items are applied in order; `action` is the default of those without one."""

    schema_extra: ClassVar[dict[str, Any]] = {
        "properties": {"assignments": {"minItems": 1, "maxItems": MOST_ITEMS}}
    }

    assignments: list[BulkItem]
    action: Action | None = "assign"
    atomic: bool | None = False


class Assigned(Written, kw_only=True):
    """`effective`: whether the user is on the net after this, by whatever reason."""

    user_id: str
    net_id: int
    net_uid: str
    effective: bool
    hint: str | UnsetType = UNSET


class TemporarilyAssigned(Written, kw_only=True):
    user_id: str
    net_id: int
    net_uid: str
    expires_at: str


class BulkResult(msgspec.Struct, rename="camel", kw_only=True):
    """What became of one item, in the order they were sent."""

    user_id: str
    net_id: int
    net_uid: str
    action: Action
    ok: bool
    changed: bool
    error: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class BulkWritten(Written, kw_only=True):
    """`applied` changed something, `skipped` were so already, `failed` were refused."""

    results: list[BulkResult]
    applied: int
    skipped: int
    failed: int
    processed: int


@assignments.get("/assignments", scope="read:assignments")
def read(shard: Shard, key: Key) -> AssignmentsAnswer:
    """Who is assigned to which net, and why."""
    guild, now, with_roles = shard.guild, clock.now(), ROLES in key.scopes
    stored: dict[str, list[int]] = {}
    entries: list[AssignmentEntry] = []
    for net in sorted(guild.nets.values(), key=lambda net: net.slot):
        for user, one in guild.members.get(net.uid, {}).items():
            temporary = one.until > now
            if one.manual or temporary:
                stored.setdefault(user, []).append(net.slot)
            if one.manual:
                entries.append(_entry(user, net, "manual"))
            if temporary:
                entries.append(_entry(user, net, "temporary", expires_at=iso(one.until)))
    for user_ in shard.presence.users.values():
        for rule in guild.rules:
            if rule.role_id in user_.identity.roles:
                role = rule.role_id if with_roles else UNSET
                for uid in rule.net_uids:
                    entries.append(_entry(user_.id, guild.nets[uid], "rule", role_id=role))
    return AssignmentsAnswer(assignments=stored, entries=entries)


def _entry(
    user: str, net: Net, source: Literal["manual", "temporary", "rule"], **more: Any
) -> AssignmentEntry:
    return AssignmentEntry(
        user_id=user, net_id=net.slot, net_uid=net.uid, net_name=net.name, source=source, **more
    )


@assignments.post(
    "/assignments",
    scope="write:assignments",
    errors=NET_ERRORS,
    examples={
        "body": {
            "userId": "123456789012345678",
            "netUid": "net_jmqbkeg5s74cjkezqybwkhny",
            "action": "assign",
        },
        "answer": {"action": "assign"},
    },
)
def assign(body: AssignBody, write: Write, shard: Shard) -> Assigned:
    """Assign one user to one net, or end that; a rule on their roles may still hold the net."""
    uid, slot = body.named()
    action = body.action or "assign"
    kind = Assign if action == "assign" else Unassign

    def answer(outcome: Outcome) -> Assigned:
        net = _net(outcome.results[0])
        held = action == "unassign" and shard.presence.roles_hold(body.user_id, net.uid, outcome.guild)
        return Assigned(
            action=action,
            user_id=body.user_id,
            net_id=net.slot,
            net_uid=net.uid,
            effective=held or action == "assign",
            hint="A rule on this user's roles still holds the net." if held else UNSET,
        )

    command = kind(uid=uid, slot=slot, user_id=body.user_id, by=write.by)
    return write.submit([command], answer)


@assignments.post(
    "/assignments/temporary",
    scope="write:assignments",
    errors=NET_ERRORS,
    examples={
        "body": {
            "userId": "123456789012345678",
            "netUid": "net_jmqbkeg5s74cjkezqybwkhny",
            "expiresMinutes": 30,
        },
        "answer": {"action": "assign", "expiresAt": "2026-11-20T20:00:00.000Z"},
    },
)
def assign_for_a_while(body: TemporaryBody, write: Write) -> TemporarilyAssigned:
    """Assign at once and end it by itself; a repeat keeps the later end."""
    uid, slot = body.named()
    until = clock.now() + body.duration()

    def answer(outcome: Outcome) -> TemporarilyAssigned:
        change = outcome.results[0]
        assert isinstance(change, Change)
        net = _net(change)
        return TemporarilyAssigned(
            action="assign",
            user_id=body.user_id,
            net_id=net.slot,
            net_uid=net.uid,
            expires_at=iso(change.until),
        )

    command = Assign(uid=uid, slot=slot, user_id=body.user_id, until=until, by=write.by)
    return write.submit([command], answer)


@assignments.post(
    "/assignments/bulk",
    scope="write:assignments",
    errors=[errors.BULK_REFUSED, errors.TOO_MANY_ITEMS],
    examples={
        "body": {
            "assignments": [
                {"userId": "123456789012345678", "netUid": "net_jmqbkeg5s74cjkezqybwkhny"},
                {"userId": "123456789012345679", "netId": 2, "action": "unassign"},
            ]
        },
        "answer": {"action": "assignments.bulk", "applied": 1, "skipped": 0, "failed": 0, "processed": 1},
    },
)
def assign_many(body: BulkBody, write: Write) -> BulkWritten:
    """Up to 200 assignments in one step; each item is answered for itself, unless `atomic` is set."""
    items = _checked(body)
    commands: list[Assign | Unassign] = []
    for place, (item, action) in enumerate(items):
        uid, slot = item.named(f"assignments[{place}].")
        kind = Assign if action == "assign" else Unassign
        commands.append(kind(uid=uid, slot=slot, user_id=item.user_id, by=write.by))

    def answer(outcome: Outcome) -> BulkWritten:
        return _bulk(items, _results(items, outcome.results))

    try:
        return write.submit(commands, answer, atomic=bool(body.atomic))
    except Refused as refused:
        results = [replace(one, changed=False) for one in _results(items, refused.results)]
        failed = sum(not one.ok for one in results)
        raise errors.BULK_REFUSED(
            f"{failed} of {len(items)} assignments were refused; nothing was changed.",
            hint="See results; without atomic the others are applied.",
            facts={"results": msgspec.to_builtins(results)},
        ) from None


Items = list[tuple[BulkItem, Action]]


def _checked(body: BulkBody) -> Items:
    if not body.assignments:
        problem = FieldError("assignments", "Expected 1 to 200 items")
        raise errors.INVALID_VALUE("There is nothing to assign.", errors=(problem,))
    if len(body.assignments) > MOST_ITEMS:
        raise errors.TOO_MANY_ITEMS(
            f"{len(body.assignments)} items were sent; {MOST_ITEMS} are possible at once.",
            hint="Send them in several calls.",
        )
    return [(item, item.action or body.action or "assign") for item in body.assignments]


def _results(items: Items, results: list[Change | ApiError]) -> list[BulkResult]:
    return [_result(item, action, result) for (item, action), result in zip(items, results, strict=True)]


def _result(item: BulkItem, action: Action, result: Change | ApiError) -> BulkResult:
    if isinstance(result, ApiError):
        return BulkResult(
            user_id=item.user_id,
            net_id=item.net_id or 0,
            net_uid=item.net_uid or "",
            action=action,
            ok=False,
            changed=False,
            error=result.detail,
            code=result.kind.code,
        )
    net = _net(result)
    return BulkResult(
        user_id=item.user_id,
        net_id=net.slot,
        net_uid=net.uid,
        action=action,
        ok=True,
        changed=bool(result.changed),
    )


def _bulk(items: Items, results: list[BulkResult]) -> BulkWritten:
    applied = sum(result.changed for result in results)
    failed = sum(not result.ok for result in results)
    return BulkWritten(
        action="assignments.bulk",
        results=results,
        applied=applied,
        skipped=len(items) - applied - failed,
        failed=failed,
        processed=len(items),
    )


def _net(result: Change | ApiError) -> Net:
    assert isinstance(result, Change) and result.net is not None
    return result.net


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [assignments]

"""What can happen: the types of event, and the shape of what each one says."""

import fnmatch
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from .guild import Frozen


class Event(msgspec.Struct, frozen=True):
    """An event to be logged: its type, its data, the uid of the net it names, and when (ms; 0 = as it is logged)."""

    type: str
    data: Any
    net: str = ""
    at: int = 0


def _said(**members: tuple[Any, ...]) -> dict[str, Any]:
    """What is to know of members, and an example."""
    return {
        "properties": {
            name: {"description": text, **({"examples": examples} if examples else {})}
            for name, (text, *examples) in members.items()
        }
    }


class ConfigChanged(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        action=(
            "net.create, net.rename, net.remove, features.set, rules.set, public-net.show, .hide, .remove, .restore,"
            " preset.save, .remove, .apply, archive.upsert, .remove, .restore",
            "net.create",
        ),
        version=("The config version after it",),
        keyId=("The key that did it",),
        uid=("The net or archive entry it was about",),
        preset=("The preset it was about",),
    )

    action: str
    version: int
    key_id: str | UnsetType = UNSET
    uid: str | UnsetType = UNSET
    preset: str | UnsetType = UNSET


class AssignmentsChanged(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        source=("api, temporary, rule, preset or archive", "api"),
        action=("assign or unassign; rules.set where rules did it", "assign"),
        userId=("A Discord user id, or a name", "123456789012345678"),
        netId=("Its slot at that time", 1),
        netUid=("The net; it keeps this when it is archived and restored", "net_jmqbkeg5s74cjkezqybwkhny"),
        keyId=("The key that did it",),
        count=("How many at once, where no single one is named",),
    )

    source: str
    action: str
    user_id: str | UnsetType = UNSET
    net_id: int | UnsetType = UNSET
    net_uid: str | UnsetType = UNSET
    key_id: str | UnsetType = UNSET
    count: int | UnsetType = UNSET


class OperationChanged(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        keyId=("The key that did it",),
    )

    open: bool
    key_id: str | UnsetType = UNSET


class UserJoined(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        userId=("A Discord user id, or a name",),
        transport=("ws for the shard's own gateway",),
        nets=("The slots of the operator's nets",),
        service=("true for a service listener, else absent",),
    )

    user_id: str
    display_name: str
    transport: str
    nets: tuple[int, ...]
    service: bool | UnsetType = UNSET


class UserLeft(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        userId=("A Discord user id, or a name",),
        transport=("ws for the shard's own gateway",),
        reason=("closed, timeout, slow, disconnect, revoked or restart", "closed"),
        service=("true for a service listener, else absent",),
    )

    user_id: str
    display_name: str
    transport: str
    reason: str
    service: bool | UnsetType = UNSET


class PttStart(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        userId=("A Discord user id, or a name",),
        netId=("Its slot at that time",),
        netUid=("The net; it keeps this when it is archived and restored",),
    )

    user_id: str
    display_name: str
    net_id: int
    net_uid: str


class PttStop(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        userId=("A Discord user id, or a name",),
        netId=("Its slot at that time",),
        netUid=("The net; it keeps this when it is archived and restored",),
        reason=(
            "released, timeout, disconnect, unassigned, net_removed, operation_closed or restart",
            "released",
        ),
        durationMs=("How long it lasted", 4200),
    )

    user_id: str
    display_name: str
    net_id: int
    net_uid: str
    reason: str
    duration_ms: int


class Gap(Frozen, frozen=True, kw_only=True):
    schema_extra = _said(
        requested=("The id that was asked for", "5f0c3a9e-118"),
        oldest=("The oldest event that is still kept", "5f0c3a9e-20418"),
    )

    requested: str
    oldest: str


class EventType(NamedTuple):
    """A type of event a plugin may log: its name, the shape of its data, and one sentence about it."""

    name: str
    data: type[msgspec.Struct]
    summary: str


CORE_EVENTS = (
    EventType("user.joined", UserJoined, "An operator's first connection joined."),
    EventType("user.left", UserLeft, "An operator's last connection ended."),
    EventType("ptt.start", PttStart, "An operator keyed up on a net."),
    EventType("ptt.stop", PttStop, "A transmission ended."),
    EventType("operation.opened", OperationChanged, "The operation was opened."),
    EventType("operation.closed", OperationChanged, "The operation was closed."),
    EventType("assignments.changed", AssignmentsChanged, "Who is assigned to a net changed."),
    EventType("config.changed", ConfigChanged, "Nets, rules, features, presets or the archive changed."),
)
GAP = EventType(
    "stream.gap", Gap, "Events before the one named by the id are not kept: read the state again."
)


def matches(type_: str, patterns: Sequence[str]) -> bool:
    """Whether an event type is named by one of the patterns, such as "user.*"."""
    return any(fnmatch.fnmatchcase(type_, pattern) for pattern in patterns)

"""GET /roster: who is connected."""

import msgspec

from shardapi import Answer, Key, Routes, Shard, ShardApp, hookimpl
from shardapi.clock import iso
from shardapi.presence import User

roster = Routes("roster")

ROLES = "read:roster:roles"


class Operator(msgspec.Struct, rename="camel", kw_only=True):
    """A connected operator; `connectedAt` repeats `since`; `roles` only with read:roster:roles."""

    user_id: str
    display_name: str
    nets: list[int]
    net_uids: list[str]
    net_uid: str
    transport: str
    transmitting: bool
    since: str
    connected_at: str
    service: bool
    roles: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class RosterAnswer(Answer, kw_only=True):
    """Everyone who is connected, twice: as `operators` and as `roster`."""

    operators: list[Operator]
    roster: list[Operator]


@roster.get("/roster", scope="read:roster")
def read(shard: Shard, key: Key) -> RosterAnswer:
    """Connected operators with their nets, transport, transmit state and connected time."""
    with_roles = ROLES in key.scopes
    name = "roster with roles" if with_roles else "roster"
    return shard.snapshot(name, lambda: _roster(shard, with_roles))


def _roster(shard: Shard, with_roles: bool) -> RosterAnswer:
    operators = [_operator(shard, user, with_roles) for user in shard.presence.users.values()]
    return RosterAnswer(operators=operators, roster=operators)


def _operator(shard: Shard, user: User, with_roles: bool) -> Operator:
    slots = shard.presence.slots(user.nets)
    uids = [shard.presence.uid_in(slot) for slot in slots]
    return Operator(
        user_id=user.id,
        display_name=user.identity.display_name,
        nets=slots,
        net_uids=uids,
        net_uid=uids[0] if uids else "",
        transport=user.transport,
        transmitting=any(not one.forced for one in user.transmissions.values()),
        since=iso(user.since),
        connected_at=iso(user.since),
        service=user.identity.service,
        roles=user.identity.roles if with_roles else msgspec.UNSET,
    )


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [roster]

"""GET /status: the guild, the operation, the nets, who is on them and who transmits."""

import msgspec

from shardapi import Answer, Routes, Shard, ShardApp, hookimpl
from shardapi.clock import iso
from shardapi.guild import PUBLIC_SLOT, PUBLIC_UID, FeatureFlags, Net, PublicNet
from shardapi.shard import VERSION

status = Routes("status")


class NetStatus(msgspec.Struct, rename="camel", kw_only=True):
    """A net with its people; `members` repeats `occupancy`, `uid` repeats `netUid`."""

    id: int
    uid: str
    net_uid: str
    name: str
    occupancy: int
    members: int
    transmitting: list[str]
    tx: bool
    relay_target_net_ids: list[int] = []
    relay_target_net_uids: tuple[str, ...] = ()
    virtual: bool | msgspec.UnsetType = msgspec.UNSET
    public: bool | msgspec.UnsetType = msgspec.UNSET
    protected: bool | msgspec.UnsetType = msgspec.UNSET


class ShardStatus(msgspec.Struct, rename="camel", kw_only=True):
    name: str
    public_url: str
    version: str
    started_at: str
    connected_operators: int


class StatusAnswer(Answer, kw_only=True):
    """Live state of the shard; `connected` repeats `connectedOperators`."""

    guild_name: str
    operation_open: bool
    version: int
    updated_at: str
    connected_operators: int
    connected: int
    public_net: PublicNet
    features: FeatureFlags
    shard: ShardStatus
    nets: list[NetStatus]


@status.get("/status", scope="read:status")
def read(shard: Shard) -> StatusAnswer:
    """Guild, operation state, features, Public Net, nets, occupancy and who transmits."""
    return shard.snapshot("status", lambda: _status(shard))


def _status(shard: Shard) -> StatusAnswer:
    guild, connected = shard.guild, shard.presence.connected
    nets = [_net(shard, net) for net in sorted(guild.nets.values(), key=lambda net: net.slot)]
    if guild.public_net.enabled:
        nets.append(_public_net(shard))
    return StatusAnswer(
        guild_name=guild.name,
        operation_open=guild.operation_open,
        version=guild.version,
        updated_at=iso(guild.updated_at),
        connected_operators=connected,
        connected=connected,
        public_net=guild.public_net,
        features=FeatureFlags.of(guild),
        shard=ShardStatus(
            name=guild.name,
            public_url=shard.base_url,
            version=VERSION,
            started_at=iso(shard.started_at),
            connected_operators=connected,
        ),
        nets=nets,
    )


def _net(shard: Shard, net: Net) -> NetStatus:
    people, talking = shard.presence.occupancy(net.uid), shard.presence.transmitting(net.uid)
    return NetStatus(
        id=net.slot,
        uid=net.uid,
        net_uid=net.uid,
        name=net.name,
        occupancy=people,
        members=people,
        transmitting=talking,
        tx=bool(talking),
        relay_target_net_ids=[shard.guild.nets[uid].slot for uid in net.relays],
        relay_target_net_uids=net.relays,
    )


def _public_net(shard: Shard) -> NetStatus:
    net = _net(shard, Net(uid=PUBLIC_UID, slot=PUBLIC_SLOT, name=shard.guild.public_net.name))
    net.virtual = net.public = net.protected = True
    return net


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [status]

"""What everyone may know of the shard: numbers and names of nets, of nobody; true at most a second ago."""

import time

import msgspec

from shardapi import Answer, Shard, clock
from shardapi.guild import PUBLIC_SLOT, PUBLIC_UID, Net

SECONDS = 1.0


class PublicNetLive(msgspec.Struct, rename="camel", kw_only=True):
    """The Public Net, whether or not it is shown now."""

    id: int = PUBLIC_SLOT
    uid: str = PUBLIC_UID
    net_uid: str = PUBLIC_UID
    name: str
    enabled: bool
    occupancy: int


class NetLive(msgspec.Struct, rename="camel", kw_only=True):
    """A net, how many are on it, and whether anyone talks; `uid` repeats `netUid`."""

    id: int
    name: str
    occupancy: int
    tx: bool
    uid: str
    net_uid: str
    virtual: bool | msgspec.UnsetType = msgspec.UNSET
    public: bool | msgspec.UnsetType = msgspec.UNSET
    protected: bool | msgspec.UnsetType = msgspec.UNSET


class LiveAnswer(Answer, kw_only=True):
    """What a website may show: no user's id or name. `operators` repeats `connected`; all is as of `updatedAt`."""

    guild_name: str
    operation_open: bool
    connected: int
    operators: int
    public_net: PublicNetLive
    nets: list[NetLive]
    updated_at: str


class Live:
    """The newest snapshot, its JSON, and what else was made of it; made at most once a second, when it is asked for."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.body = b""
        self.pages: dict[str, bytes] = {}
        self._ends = 0.0
        self._answer: LiveAnswer | None = None

    def renew(self) -> "Live":
        """This, no more than a second old."""
        now = time.monotonic()
        if now >= self._ends:
            self._answer = self._look()
            self.body = msgspec.json.encode(self._answer)
            self.pages = {}
            self._ends = now + SECONDS
        return self

    @property
    def answer(self) -> LiveAnswer:
        """The snapshot."""
        assert self._answer is not None
        return self._answer

    def _look(self) -> LiveAnswer:
        guild, presence = self.shard.guild, self.shard.presence
        public = Net(uid=PUBLIC_UID, slot=PUBLIC_SLOT, name=guild.public_net.name)
        nets = [self._net(net) for net in sorted(guild.nets.values(), key=lambda net: net.slot)]
        if guild.public_net.enabled:
            shown = self._net(public)
            shown.virtual = shown.public = shown.protected = True
            nets.append(shown)
        return LiveAnswer(
            guild_id=self.shard.guild_id,
            guild_name=guild.name,
            operation_open=guild.operation_open,
            connected=presence.connected,
            operators=presence.connected,
            public_net=PublicNetLive(
                name=public.name,
                enabled=guild.public_net.enabled,
                occupancy=presence.occupancy(PUBLIC_UID),
            ),
            nets=nets,
            updated_at=clock.iso(clock.now()),
        )

    def _net(self, net: Net) -> NetLive:
        presence = self.shard.presence
        return NetLive(
            id=net.slot,
            name=net.name,
            occupancy=presence.occupancy(net.uid),
            tx=bool(presence.transmitting(net.uid)),
            uid=net.uid,
            net_uid=net.uid,
        )

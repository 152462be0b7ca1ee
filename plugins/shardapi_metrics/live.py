"""What goes on: who is connected, which nets there are, who talks on them."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from shardapi import Shard
from shardapi.guild import GLOBAL_UID, PUBLIC_UID

from .families import counters, gauge, gauges
from .observer import Observer

REASONS = ("closed", "timeout", "slow", "disconnect", "revoked", "restart")


class LiveCollector:
    """Presence and talk. A net is told by its uid, which stays when it is renamed; shardapi_net_info has the name."""

    def __init__(self, shard: Shard, observer: Observer) -> None:
        self.shard, self.observer = shard, observer

    def collect(self) -> Iterator[Metric]:
        """Called for each scrape."""
        guild, presence = self.shard.guild, self.shard.presence
        users = presence.users.values()
        connections = sum(len(user.connections) for user in users)
        yield gauge("shardapi_connected_operators", "Operators who are connected.", presence.connected)
        yield gauge(
            "shardapi_service_listeners",
            "Service listeners that are connected.",
            len(users) - presence.connected,
        )
        yield gauge(
            "shardapi_gateway_connections", "Connections that have joined at the gateway.", connections
        )
        yield counters(
            "shardapi_gateway_connections_ended",
            "Connections at the gateway that have ended, by reason; slow ones did not take what they were sent.",
            "reason",
            dict.fromkeys(REASONS, 0) | presence.ended,
        )
        yield gauge("shardapi_operation_open", "Whether the operation is open.", guild.operation_open)
        yield gauge("shardapi_config_version", "The version of the guild's config.", guild.version)
        yield gauge("shardapi_nets", "Active nets, the Public Net not counted.", len(guild.nets))
        yield from self._nets()

    def _nets(self) -> Iterator[Metric]:
        guild, presence, totals = self.shard.guild, self.shard.presence, self.observer.totals
        uids = [*guild.nets, PUBLIC_UID] if guild.public_net.enabled else [*guild.nets]
        info = GaugeMetricFamily(
            "shardapi_net_info",
            "Slot and name of each net, to be joined by net.",
            labels=["net", "slot", "name"],
        )
        for uid in uids:
            slot, name = self.observer.net(uid)
            info.add_metric([uid, str(slot), name], 1)
        yield info
        yield gauges(
            "shardapi_net_occupancy_operators",
            "Operators who are on the net.",
            "net",
            {uid: presence.occupancy(uid) for uid in uids},
        )
        talking = dict.fromkeys([*uids, GLOBAL_UID], 0)
        for transmission in presence.transmissions.values():
            talking[transmission.net_uid] = talking.get(transmission.net_uid, 0) + 1
        yield gauges("shardapi_net_talking_operators", "Operators who transmit on the net.", "net", talking)
        said = {uid: totals.get(uid, (0, 0)) for uid in [*uids, GLOBAL_UID]}
        yield counters(
            "shardapi_transmissions",
            "Transmissions that have ended.",
            "net",
            {uid: count for uid, (count, _) in said.items()},
        )
        yield counters(
            "shardapi_transmission_seconds",
            "How long the transmissions that have ended were, together.",
            "net",
            {uid: ms / 1000 for uid, (_, ms) in said.items()},
        )

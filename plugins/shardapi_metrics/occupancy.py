"""How many people were connected and on which net, every 15 seconds of the last day."""

import time
from collections import deque

import gevent
import msgspec

from shardapi import Shard, clock
from shardapi.guild import PUBLIC_UID

INTERVAL_SECONDS = 15
KEPT = 24 * 3600 // INTERVAL_SECONDS


class Sample(msgspec.Struct, rename="camel"):
    """How many were connected, and on each net, at one time."""

    at: str
    connected: int
    nets: dict[str, int]


class Occupancy:
    """The samples of a day, kept as the JSON they are answered as: about 2 KB each with 50 nets."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self._samples: deque[tuple[int, msgspec.Raw]] = deque(maxlen=KEPT)

    def run(self) -> None:
        """Take samples for as long as it runs."""
        due = time.monotonic()
        while True:
            self.take()
            due = max(due + INTERVAL_SECONDS, time.monotonic())
            gevent.sleep(due - time.monotonic())

    def take(self) -> None:
        """Take one sample now."""
        presence, guild, now = self.shard.presence, self.shard.guild, clock.now()
        uids = [*guild.nets, PUBLIC_UID] if guild.public_net.enabled else [*guild.nets]
        nets = {uid: presence.occupancy(uid) for uid in uids}
        sample = Sample(at=clock.iso(now), connected=presence.connected, nets=nets)
        self._samples.append((now, msgspec.Raw(msgspec.json.encode(sample))))

    def within(self, start: int, end: int) -> list[msgspec.Raw]:
        """The samples taken after one time and up to another, the oldest first."""
        return [sample for at, sample in self._samples if start < at <= end]

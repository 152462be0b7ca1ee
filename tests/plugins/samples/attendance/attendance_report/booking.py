"""Reading the event log into visits, each event exactly once."""

import gevent
from prometheus_client import Counter

from shardapi import Follower, Logged, Shard, clock

from . import visits
from .settings import Settings

HOUR_SECONDS, DAY_MS = 3600.0, 86_400_000


class Booking:
    """What this plugin does for one shard."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.booked = Counter("attendance_events_total", "Joins and leaves that were booked.", registry=None)

    def follow(self) -> None:
        """Book what happens, for as long as it runs; what is not booked at a crash is read again."""
        follower = self.shard.events.follow("attendance", hold=True)
        for batch in follower:
            self.take(follower, batch, follower.missed)

    def take(self, follower: Follower, batch: list[Logged], missed: bool = False) -> None:
        """Book one batch; `missed` says that events before it are lost."""

        def book() -> int:
            if missed:
                visits.lose_track(self.shard.guild_id)
            booked = visits.book(self.shard.guild_id, batch)
            follower.done(batch[-1].number)  # in the same write as the rows: both are kept, or neither
            return booked

        self.booked.inc(self.shard.writer.write(book))

    def forget(self) -> None:
        """Delete old visits each hour, for as long as it runs."""
        guild, keep = self.shard.guild_id, self.shard.settings(Settings).keep_days * DAY_MS
        while True:
            self.shard.writer.write(lambda: visits.forget(guild, clock.now() - keep))
            gevent.sleep(HOUR_SECONDS)

"""How the store, the event log and its readers fare."""

import os
from collections.abc import Iterator

from prometheus_client.core import HistogramMetricFamily, Metric

from shardapi import ShardApp

from .families import add_timing, counter, counters, gauge, gauges
from .observer import Observer

REASONS = ("gone", "slow", "closed", "key ended", "error")


class SpineCollector:
    """The way of an event: decided, written, logged, told."""

    def __init__(self, app: ShardApp, observer: Observer) -> None:
        self.app, self.shard, self.observer = app, app.shard, observer

    def collect(self) -> Iterator[Metric]:
        """Called for each scrape."""
        yield from self._events()
        yield from self._store()
        yield from self._readers()

    def _events(self) -> Iterator[Metric]:
        events, writer = self.shard.events, self.shard.writer
        logged = dict.fromkeys(events.types, 0) | self.observer.logged
        yield counters("shardapi_events_logged", "Events written to the log, by type.", "type", logged)
        yield gauge(
            "shardapi_event_log_events", "Events kept, at most: by the numbers they have.", events.span
        )
        yield gauge("shardapi_events_held", "Events that wait for the store.", writer.waiting)
        yield counter(
            "shardapi_events_dropped",
            "Events that could not be kept, and are told as a gap.",
            self.observer.dropped + writer.dropped,
        )

    def _store(self) -> Iterator[Metric]:
        store, writer = self.shard.store, self.shard.writer
        yield gauge("shardapi_store_troubled", "Whether the store cannot write.", bool(writer.troubled))
        family = HistogramMetricFamily(
            "shardapi_store_commit_duration_seconds", "Time of a commit, from its turn to its end on disk."
        )
        for name, counts in writer.timings.counts.items():
            add_timing(family, [], counts, writer.timings.total_ms[name])
        yield family
        files = {"main": store.path, "wal": store.path.with_name(f"{store.path.name}-wal")}
        sizes = {name: path.stat().st_size if path.exists() else 0 for name, path in files.items()}
        yield gauges("shardapi_store_size_bytes", "Size of the store's files.", "file", sizes)
        disk = os.statvfs(store.folder)
        free = disk.f_bavail * disk.f_frsize
        yield gauge("shardapi_store_free_bytes", "What is free on the disk that the store is on.", free)

    def _readers(self) -> Iterator[Metric]:
        hub = self.shard.hub
        yield gauge("shardapi_streams_open", "Event streams that are open.", len(hub))
        yield counters(
            "shardapi_streams_closed",
            "Event streams that have ended, by reason; slow ones did not take what they were sent.",
            "reason",
            dict.fromkeys(REASONS, 0) | hub.closed,
        )

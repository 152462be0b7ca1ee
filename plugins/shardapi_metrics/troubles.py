"""What plugins did wrong, and what stood in the loop's way."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from shardapi import Shard

from .families import counter, gauge


class TroubleCollector:
    """The problems that /ready tells, counted for as long as the process lives."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    def collect(self) -> Iterator[Metric]:
        """Called for each scrape."""
        errors = CounterMetricFamily(
            "shardapi_plugin_errors",
            "Failures of plugins, by where: start, view, subscriber, listener, task, guard, metrics, loop, write.",
            labels=["plugin", "where"],
        )
        for (plugin, where), count in self.shard.problems.counts.items():
            errors.add_metric([plugin, where], count)
        yield errors
        yield gauge(
            "shardapi_plugin_problems", "What GET /ready tells of plugins.", len(self.shard.problems.now())
        )
        stalls = self.shard.stalls
        yield counter(
            "shardapi_loop_stalls", "How often something stood in the loop's way for 0.25 s.", stalls.count
        )
        yield gauge(
            "shardapi_loop_stall_longest_seconds",
            "The longest that something stood in the loop's way.",
            stalls.longest,
        )

"""What the calls look like: how many, how long, how many refused."""

from collections.abc import Iterator

from prometheus_client.core import HistogramMetricFamily, Metric

from shardapi import Shard

from .families import add_timing, counter

UNMATCHED = "unmatched"  # what calls are counted as that no route was found for


class HttpCollector:
    """The histograms that the dispatcher counts in, read as they stand."""

    def __init__(self, shard: Shard) -> None:
        self.timings = shard.timings

    def collect(self) -> Iterator[Metric]:
        """Called for each scrape."""
        family = HistogramMetricFamily(
            "shardapi_http_request_duration_seconds",
            "Time from a request's head to its answer, by route and status.",
            labels=["route", "status"],
        )
        refused = {401: 0, 429: 0}
        for (route, status), counts in sorted(self.timings.counts.items()):
            total_ms = self.timings.total_ms[route, status]
            add_timing(family, [route or UNMATCHED, str(status)], counts, total_ms)
            if status in refused:
                refused[status] += sum(counts)
        yield family
        yield counter(
            "shardapi_auth_failures", "Calls refused because they showed no valid key.", refused[401]
        )
        yield counter(
            "shardapi_rate_limited_requests", "Calls refused because a limit was used up.", refused[429]
        )

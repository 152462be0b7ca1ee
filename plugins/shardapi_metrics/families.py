"""Metric families in a line each, from figures that are kept elsewhere."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from shardapi.timings import BOUNDS_MS

LE = [*(str(ms / 1000) for ms in BOUNDS_MS), "+Inf"]

Values = Mapping[str, float] | Iterable[tuple[str, float]]


def gauge(name: str, help_: str, value: float) -> GaugeMetricFamily:
    """What is so now."""
    return GaugeMetricFamily(name, help_, value=value)


def gauges(name: str, help_: str, label: str, values: Values) -> GaugeMetricFamily:
    """What is so now, by one label."""
    family = GaugeMetricFamily(name, help_, labels=[label])
    for of, value in dict(values).items():
        family.add_metric([of], value)
    return family


def counter(name: str, help_: str, value: float) -> CounterMetricFamily:
    """How often, since the process began."""
    return CounterMetricFamily(name, help_, value=value)


def counters(name: str, help_: str, label: str, values: Values) -> CounterMetricFamily:
    """How often, by one label."""
    family = CounterMetricFamily(name, help_, labels=[label])
    for of, value in dict(values).items():
        family.add_metric([of], value)
    return family


def add_timing(family: HistogramMetricFamily, labels: list[str], counts: list[int], total_ms: float) -> None:
    """Add one of shardapi's own histograms, which count milliseconds in single buckets."""
    below, buckets = 0, []
    for le, count in zip(LE, counts, strict=True):
        below += count
        buckets.append((le, below))
    family.add_metric(labels, buckets, total_ms / 1000)

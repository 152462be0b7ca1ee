"""The metrics in Prometheus' text format; imported for the first scrape, because prometheus_client is not light."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_flask_exporter import PrometheusMetrics

from shardapi import VERSION, Shard, ShardApp

from .http import HttpCollector
from .live import LiveCollector
from .observer import Observer
from .spine import SpineCollector
from .troubles import TroubleCollector


class Exposition:
    """One app's metrics: a registry of its own, with what other plugins have added, and the process's."""

    def __init__(self, app: ShardApp, observer: Observer, collectors: Iterable[Any]) -> None:
        registry = CollectorRegistry(auto_describe=True)
        self._exporter = PrometheusMetrics(None, path=None, export_defaults=False, registry=registry)
        self._exporter.info("shardapi_build_info", "The version that runs.", version=VERSION)
        for own in (
            LiveCollector(app.shard, observer),
            SpineCollector(app, observer),
            HttpCollector(app.shard),
            TroubleCollector(app.shard),
        ):
            registry.register(own)
        for other in (*collectors, REGISTRY):
            contained = Contained(app.shard, other)
            try:
                registry.register(contained)
            except ValueError as error:  # another has its name
                contained.failed(error)

    def render(self, accept: str) -> tuple[str, str]:
        """All metrics in the format that a scraper asks for, and its content type."""
        body, content_type = self._exporter.generate_metrics(accept)
        return body, content_type


class Contained:
    """Somebody else's metrics: when they fail they are left out, and that is told."""

    def __init__(self, shard: Shard, collector: Any) -> None:
        self._shard, self._collector = shard, collector

    def collect(self) -> Iterator[Metric]:
        """What the collector has, if it has it."""
        try:
            found = [_checked(metric) for metric in self._collector.collect()]
        except BaseException as error:
            self.failed(error)
            return
        yield from found

    def failed(self, error: BaseException) -> None:
        """Tell why they are left out, and whose they are as far as that can be seen."""
        kind = type(self._collector)
        self._shard.problems.failed(self._owner(error), "metrics", kind.__qualname__, error)

    def _owner(self, error: BaseException) -> str:
        """The plugin whose class the collector is of, else the one whose code has raised."""
        names, at = [type(self._collector).__module__], error.__traceback__
        while at is not None:
            names.append(at.tb_frame.f_globals.get("__name__", ""))
            at = at.tb_next
        owners = {one.package: one.name for one in self._shard.plugins.loaded if one.name != "metrics"}
        found = (owners.get(name.partition(".")[0]) for name in names)
        return next(filter(None, found), "metrics")


def _checked(metric: Any) -> Metric:
    """The metric, if it can be told. Raises TypeError, ValueError."""
    if not isinstance(metric, Metric):
        raise TypeError(f"{metric!r} is no Metric")
    for sample in metric.samples:
        float(sample.value)
    return metric

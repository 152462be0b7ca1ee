"""The metrics in Prometheus' text format; imported for the first scrape, because prometheus_client is not light."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_flask_exporter import PrometheusMetrics

from shardapi import ShardApp
from shardapi.shard import VERSION

from .http import HttpCollector
from .live import LiveCollector
from .observer import Observer
from .spine import SpineCollector
from .troubles import TroubleCollector

log = logging.getLogger("shardapi.metrics")


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
            self._add(registry, other)

    def _add(self, registry: CollectorRegistry, collector: Any) -> None:
        try:
            registry.register(Contained(collector))
        except ValueError as error:
            log.error("metrics are left out: %s", error)

    def render(self, accept: str) -> tuple[str, str]:
        """All metrics in the format that a scraper asks for, and its content type."""
        body, content_type = self._exporter.generate_metrics(accept)
        return body, content_type


class Contained:
    """Somebody else's metrics: when they fail they are left out."""

    def __init__(self, collector: Any) -> None:
        self._collector, self._told = collector, False

    def collect(self) -> Iterator[Metric]:
        """What the collector has, if it has it."""
        try:
            found = list(self._collector.collect())
        except Exception:
            if not self._told:
                log.exception("the metrics of %r are left out", self._collector)
            self._told = True
            return
        yield from found

"""How an outbox fares, for Prometheus; what that takes is imported with the first scrape."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .outbox import Outbox

if TYPE_CHECKING:
    from prometheus_client.core import Metric

OUTCOMES = ("delivered", "held", "refused", "gone")
STATES = ("delivering", "held", "disabled")


class Figures:
    """A collector of one outbox; names begin with shardapi_ and the outbox's name."""

    def __init__(self, box: Outbox) -> None:
        self.box, self.name = box, f"shardapi_{box.kind.name}"

    def collect(self) -> "Iterator[Metric]":
        """Called for each scrape."""
        box, name, what = self.box, self.name, self.box.kind.word
        rows, parked, aside = box.rows()
        states = dict.fromkeys(STATES, 0)
        for row in rows:
            states[box.state(row)] += 1
        yield _gauges(name, f"Each {what}, by how it fares.", "state", states.items())
        parked_of = [(row.id, parked.get(row.id, 0)) for row in rows]
        yield _gauges(f"{name}_parked_events", f"Events that a {what} has not taken.", "id", parked_of)
        aside_of = [(row.id, aside.get(row.id, 0)) for row in rows]
        yield _gauges(f"{name}_retrying_events", f"Events that a {what} is sent out of turn.", "id", aside_of)
        behind = [(id_, sender.behind) for id_, sender in box.senders.items()]
        yield _gauges(f"{name}_waiting_events", f"Events before a {what}, at most.", "id", behind)
        attempts = [(one, box.counts.get(one, 0)) for one in OUTCOMES]
        gaps = [("", box.counts.get("gap", 0))]
        yield _counters(f"{name}_gaps", f"Times a {what} has missed events.", "", gaps)
        yield _counters(f"{name}_attempts", "Attempts to deliver an event, by outcome.", "outcome", attempts)


def _gauges(name: str, help_: str, label: str, values: Iterable[tuple[str, float]]) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(name, help_, labels=[label]), values)


def _counters(name: str, help_: str, label: str, values: Iterable[tuple[str, float]]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(name, help_, labels=[label] if label else []), values)


def _filled(family: Any, values: Iterable[tuple[str, float]]) -> "Metric":
    for of, value in values:
        family.add_metric([of] if of else [], value)
    filled: Metric = family
    return filled

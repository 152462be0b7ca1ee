"""Whether what is told of people pairs up: joins and leaves, transmissions and their ends."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from . import store

Told = tuple[str, int, dict[str, Any]]


def of_log(events: Iterable[store.Event]) -> list[Told]:
    """Events on disk: type, time and data."""
    return [(event.type, event.at, event.data) for event in events]


def of_stream(events: Iterable[dict[str, Any]]) -> list[Told]:
    """Events as a reader of the stream got them."""
    return [(event["type"], milliseconds(event["at"]), event["data"]) for event in events]


def milliseconds(text: str) -> int:
    """A time on the wire."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class Tally:
    """What was counted; `connected` are those who are there at the end, who need no leave."""

    def __init__(self, told: Iterable[Told], connected: Collection[str] = ()) -> None:
        self.joins = self.transmissions = 0
        self.unpaired_joins = self.unpaired_transmissions = self.negative = 0
        self.reasons: Counter[tuple[str, str]] = Counter()
        self._there: dict[str, int] = {}
        self._talking: dict[tuple[str, str], int] = {}
        for type_, at, data in told:
            match type_:
                case "user.joined":
                    self._join(at, data["userId"])
                case "user.left":
                    self.reasons[type_, data["reason"]] += 1
                    self._leave(at, data["userId"])
                case "ptt.start":
                    self._start(at, data["userId"], data["netUid"])
                case "ptt.stop":
                    self.reasons[type_, data["reason"]] += 1
                    self._stop(at, data["userId"], data["netUid"], data["durationMs"])
        self.unpaired_joins += len(set(self._there) ^ set(connected))
        self.unpaired_transmissions += sum(user not in connected for user, _ in self._talking)

    def _join(self, at: int, user: str) -> None:
        self.joins += 1
        self.unpaired_joins += user in self._there
        self._there[user] = at

    def _leave(self, at: int, user: str) -> None:
        self.unpaired_transmissions += sum(who == user for who, _ in self._talking)
        since = self._there.pop(user, None)
        self.unpaired_joins += since is None
        self.negative += since is not None and at < since

    def _start(self, at: int, user: str, net: str) -> None:
        self.transmissions += 1
        self.unpaired_transmissions += (user, net) in self._talking or user not in self._there
        self._talking[user, net] = at

    def _stop(self, at: int, user: str, net: str, span: int) -> None:
        since = self._talking.pop((user, net), None)
        self.unpaired_transmissions += since is None
        self.negative += span < 0 or (since is not None and at < since)

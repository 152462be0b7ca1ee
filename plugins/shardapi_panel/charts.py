"""The last hour as small charts: shapes for inline SVG, and the same in words for who cannot see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from shardapi import clock

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
WIDTH, HEIGHT = 600, 100
GAPS = 4  # a sample that is so many intervals late was not taken


class Line(NamedTuple):
    """A number over time: `line` and `area` are paths in a box of WIDTH by HEIGHT, `top` is the value at its top;
    `peak` is when the most were there."""

    line: str
    area: str
    top: int
    said: str
    peak: str
    table: list[tuple[str, int]]


class Column(NamedTuple):
    """A span of time and how much there was in it; `height` and `y` are of a box of HEIGHT."""

    x: float
    y: float
    height: float
    ms: int
    since: str
    until: str


class Columns(NamedTuple):
    """Talk time in equal spans of the hour."""

    columns: list[Column]
    top: int
    said: str


class Bar(NamedTuple):
    """One of the longest talkers or fullest nets; `width` is a percentage of the first one's."""

    name: str
    more: str
    ms: int
    transmissions: int
    width: float


def connected(
    samples: Sequence[dict[str, Any]], interval_seconds: int, now: int, current: int | None = None
) -> Line:
    """How many were connected, from the samples of the metrics; how many `current`ly are, where that is known."""
    points = [(_ms(one["at"]), int(one["connected"])) for one in samples]
    points = [one for one in points if one[0] > now - HOUR_MS]
    if points and current is not None and current != points[-1][1]:
        points.append((now, current))  # the last sample may be of some seconds ago
    top = _round_up(max((count for _, count in points), default=0))
    runs = _runs(points, interval_seconds * 1000 * GAPS)
    line = " ".join(_step(run, top, now) for run in runs)
    area = " ".join(f"{_step(run, top, now)}V{HEIGHT}H{_x(run[0][0], now)}Z" for run in runs)
    return Line(line, area, top, *_said(points), _every_ten_minutes(points, now))


def talk(totals: Sequence[int], now: int) -> Columns:
    """Talk time by span; `totals` are what was said in the last span, the last two, and so on, in ms."""
    spans = [max(0, later - sooner) for sooner, later in zip([0, *totals], totals, strict=False)]
    each = HOUR_MS // (len(spans) or 1)
    top = _round_time(max(spans, default=0))
    wide = WIDTH / (len(spans) or 1)
    columns = []
    for place, ms in enumerate(reversed(spans)):
        since = now - HOUR_MS + place * each
        height = round(HEIGHT * ms / top, 2) if top else 0.0
        columns.append(
            Column(
                *(round(place * wide, 2), round(HEIGHT - height, 2), height, ms),
                *(clock.iso(since), clock.iso(since + each)),
            )
        )
    total = sum(spans)
    said = f"{duration(total)} of talk in the last hour." if total else "Nobody has talked in the last hour."
    return Columns(columns, top, said)


def bars(said: Sequence[dict[str, Any]], name: str, more: str, most: int = 8) -> list[Bar]:
    """Who talked longest, or where most was said."""
    longest = max((one["ms"] for one in said), default=0) or 1
    return [
        Bar(
            *(str(one[name]), str(one[more] or "")),
            *(one["ms"], one["transmissions"], round(100 * one["ms"] / longest, 2)),
        )
        for one in said[:most]
    ]


def duration(ms: int) -> str:
    """A duration as a person reads it: 12 s, 3 min 05 s, 2 h 05 min."""
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s" if seconds or not ms else "< 1 s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} days {hours % 24} h"


def _ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def _x(at: int, now: int) -> float:
    return round(WIDTH * (1 - (now - at) / HOUR_MS), 1)


def _y(count: int, top: int) -> float:
    return round(HEIGHT * (1 - count / top), 1)


def _runs(points: Sequence[tuple[int, int]], longest: int) -> list[list[tuple[int, int]]]:
    """The points in runs without a gap between: nothing is drawn where nothing was measured."""
    runs: list[list[tuple[int, int]]] = []
    for at, count in points:
        if not runs or at - runs[-1][-1][0] > longest:
            runs.append([])
        runs[-1].append((at, count))
    return runs


def _step(run: Sequence[tuple[int, int]], top: int, now: int) -> str:
    """A path that keeps each value until the next one."""
    (first, count), *others = run
    path, before = [f"M{_x(first, now)} {_y(count, top)}"], count
    for at, count in others:
        if count != before:
            path.append(f"H{_x(at, now)}V{_y(count, top)}")
            before = count
    path.append(f"H{_x(run[-1][0], now)}")
    return "".join(path)


def _round_up(most: int) -> int:
    """A round number that is no smaller, for the top of an axis."""
    for scale in (1, 10, 100, 1000, 10_000):
        for digit in (2, 4, 5, 8, 10):
            if most <= digit * scale:
                return digit * scale
    return most


def _round_time(ms: int) -> int:
    """A round duration that is no shorter."""
    for seconds in (10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18_000, 36_000):
        if ms <= seconds * 1000:
            return seconds * 1000
    return ms


def _said(points: Sequence[tuple[int, int]]) -> tuple[str, str]:
    if not points:
        return "Nothing has been measured yet", ""
    at, most = max(points, key=lambda one: (one[1], one[0]))
    return f"{points[-1][1]} connected now; at most {most}", clock.iso(at)


def _every_ten_minutes(points: Sequence[tuple[int, int]], now: int) -> list[tuple[str, int]]:
    """The most in each ten minutes that were measured."""
    spans: dict[int, int] = {}
    for at, count in points:
        place = (now - at) // (10 * MINUTE_MS)
        spans[place] = max(spans.get(place, 0), count)
    return [
        (clock.iso(now - (place + 1) * 10 * MINUTE_MS), spans[place]) for place in sorted(spans, reverse=True)
    ]

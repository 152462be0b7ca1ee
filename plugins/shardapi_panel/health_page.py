"""How the shard fares: what is wrong, who is connected, and who talked, over the last hour."""

from typing import Any, NamedTuple

import flask

from shardapi import VERSION, Shard, clock

from . import charts
from .api import Refusal, api, this_shard
from .blueprint import panel

SPANS = (10, 20, 30, 40, 50, 60)  # minutes: talk is told in the differences


class Trouble(NamedTuple):
    """Something that is wrong."""

    plugin: str
    place: str
    what: str
    since: str
    last: str
    times: int


class Hour(NamedTuple):
    """The last hour, from the metrics."""

    current: int
    peak: int
    connected: charts.Line
    talk: charts.Columns
    nets: list[charts.Bar]
    users: list[charts.Bar]


@panel.get("/health", endpoint="health")
def show() -> Any:
    """The page."""
    shard = this_shard()
    return flask.render_template(
        "panel/health.html",
        troubles=_troubles(shard),
        hour=_hour(),
        webhooks=_webhooks(),
        writer=shard.writer.troubled,
        stalls=shard.stalls,
        version=VERSION,
        started=clock.iso(shard.started_at),
        up=charts.duration(clock.now() - shard.started_at),
        duration=charts.duration,
        now=clock.iso(clock.now()),
    )


def _troubles(shard: Shard) -> list[Trouble]:
    return [
        Trouble(where.plugin, where.place, where.what, clock.iso(one.since), clock.iso(one.last), one.count)
        for where, one in shard.problems.now()
    ]


def _hour() -> Hour | None:
    """None where the plugin that measures is off."""
    try:
        measured = [api().get("/metrics", sinceMinutes=minutes) for minutes in SPANS]
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        return None
    hour, now = measured[-1], clock.now()
    talk = hour["talkTime"]
    samples = hour["occupancy"]
    return Hour(
        *(hour["connected"]["current"], hour["connected"]["peak"]),
        charts.connected(samples["samples"], samples["intervalSeconds"], now, hour["connected"]["current"]),
        charts.talk([one["talkTime"]["totalMs"] for one in measured], now),
        charts.bars(talk["byNet"], "name", "netUid"),
        charts.bars(talk["byUser"], "displayName", "userId"),
    )


def _webhooks() -> list[dict[str, Any]]:
    """Those that are not delivering as they should."""
    try:
        found = api().get("/webhooks")["webhooks"]
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        return []
    return [one for one in found if one["state"] != "delivering" or one["parked"]]

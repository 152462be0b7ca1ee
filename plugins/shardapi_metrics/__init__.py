"""GET /metrics and GET /metrics/prometheus: how the shard is used and how it fares, since this process began.

A plugin adds metrics of its own in its `shardapi_blueprints(app)`:

    from prometheus_client import Counter

    shots = Counter("range_shots_total", "Shots at the range.", registry=None)
    app.extensions.setdefault("prometheus_collectors", []).append(shots)

Whatever has a `collect()` may stand in that list; each app has a list of its own, and it does no harm where this
plugin is off. What is registered with prometheus_client's own registry, as at import, is shown too, in every app of the
process. One that fails is left out and told in the log. Labels must be few: no user's id or name.
"""

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import flask
import msgspec

from shardapi import Answer, Call, Query, Routes, Shard, ShardApp, clock, hookimpl
from shardapi.clock import iso

from .observer import Observer
from .occupancy import INTERVAL_SECONDS, Occupancy, Sample
from .talk import Talk, summed

if TYPE_CHECKING:
    from .exposition import Exposition

EXTENSION = "metrics"
COLLECTORS = "prometheus_collectors"
MINUTE_MS = 60_000
EXAMPLE = """\
# HELP shardapi_connected_operators Operators who are connected.
# TYPE shardapi_connected_operators gauge
shardapi_connected_operators 12.0
"""

routes = Routes("metrics")


class MetricsQuery(Query, kw_only=True):
    since_minutes: Annotated[
        int, msgspec.Meta(ge=1, le=1440, description="How far back talk time and occupancy reach")
    ] = 60


class Connected(msgspec.Struct, rename="camel"):
    """How many operators are connected, and how many were at most since the process began."""

    current: int
    peak: int


class UserTalk(msgspec.Struct, rename="camel"):
    """What one user said; the display name is the last one known."""

    user_id: str
    display_name: str
    ms: int
    transmissions: int


class NetTalk(msgspec.Struct, rename="camel"):
    """What was said on one net; netId is 0 if it is not active any more."""

    net_id: int
    net_uid: str
    name: str
    ms: int
    transmissions: int


class TalkAnswer(msgspec.Struct, rename="camel"):
    """Talk time, running transmissions included; who talked most comes first."""

    total_ms: int
    by_user: list[UserTalk]
    by_net: list[NetTalk]


class OccupancyAnswer(msgspec.Struct, rename="camel"):
    """Samples, the oldest first."""

    interval_seconds: int
    samples: list[Sample]


class MetricsAnswer(Answer, kw_only=True):
    """Of the current process: nothing from before startedAt."""

    started_at: str
    uptime_seconds: int
    connected: Connected
    talk_time: TalkAnswer
    occupancy: OccupancyAnswer


class Metrics:
    """What this plugin keeps for one app."""

    def __init__(self, app: ShardApp) -> None:
        self.app, self.shard, self.began = app, app.shard, time.monotonic()
        self.observer = Observer(app.shard)
        self.occupancy = Occupancy(app.shard)

    @cached_property
    def exposition(self) -> "Exposition":
        """Made for the first scrape: what it imports is nobody else's need."""
        from .exposition import Exposition

        return Exposition(self.app, self.observer, self.app.extensions.get(COLLECTORS, []))

    def talks(self, start: int, now: int) -> list[Talk]:
        """What was said since a time, up to now."""
        running = [
            Talk(one.user.id, one.net_uid, now - max(start, min(one.began_at, now)), 1)
            for one in self.shard.presence.transmissions.values()
        ]
        return [*self.observer.talk.within(start, now), *running]


@routes.get("/metrics", scope="read:metrics")
def read(query: MetricsQuery, shard: Shard) -> MetricsAnswer:
    """Uptime, who is connected, talk time by user and by net, and how full the nets were."""
    kept: Metrics = flask.current_app.extensions[EXTENSION]
    now = clock.now()
    window = now - query.since_minutes * MINUTE_MS
    start = min(now, max(window, shard.started_at))
    kept.observer.catch_up()
    return MetricsAnswer(
        started_at=iso(shard.started_at),
        uptime_seconds=int(time.monotonic() - kept.began),
        connected=Connected(shard.presence.connected, shard.presence.peak),
        talk_time=_talk(kept.observer, kept.talks(start, now)),
        occupancy=OccupancyAnswer(INTERVAL_SECONDS, kept.occupancy.within(window, now)),  # type: ignore[arg-type]  # encoded
    )


def _talk(observer: Observer, talks: list[Talk]) -> TalkAnswer:
    return TalkAnswer(
        sum(talk.ms for talk in talks),
        [UserTalk(user, observer.name_of(user), *said) for user, said in summed(talks, "user").items()],
        [
            NetTalk(slot, uid, name, *said)
            for uid, said in summed(talks, "net").items()
            for slot, name in [observer.net(uid)]
        ],
    )


@routes.get(
    "/metrics/prometheus",
    scope="read:metrics",
    media_type="text/plain",
    examples={"answer": EXAMPLE},
)
def scrape(call: Call) -> flask.Response:
    """All metrics in Prometheus' text format."""
    kept: Metrics = flask.current_app.extensions[EXTENSION]
    kept.observer.catch_up()
    body, content_type = kept.exposition.render(call.environ.get("HTTP_ACCEPT", ""))
    return flask.Response(body, content_type=content_type)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The two routes, and what they keep for this shard."""
    app.extensions[EXTENSION] = Metrics(app)
    return [routes]


@hookimpl
def shardapi_tasks(app: ShardApp) -> list[Callable[[], None]]:
    """Takes the samples, and reads what happens."""
    kept: Metrics = app.extensions[EXTENSION]
    return [kept.occupancy.run, kept.observer.run]

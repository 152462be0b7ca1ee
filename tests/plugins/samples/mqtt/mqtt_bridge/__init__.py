"""An MQTT bridge: who talks and how the nets stand, for button boxes and home automation.

Three topics, all retained: PREFIX/talk has a lamp for the whole shard and one for each net, ON while somebody talks;
PREFIX/nets lists the nets with how many are on them; PREFIX/operation is `open` or `closed`. The lamps are OFF, and
`online` false, as soon as the broker knows that the shard is gone.
"""

from collections.abc import Callable

import flask

from shardapi import Answer, Routes, Shard, ShardApp, clock, hookimpl

from .bridge import Bridge
from .settings import Settings as Settings

SCOPE = "read:mqtt"
EXTENSION = "mqtt"

routes = Routes("mqtt", __name__, scopes={SCOPE: "whether the MQTT broker is there"})


class MqttAnswer(Answer, kw_only=True):
    """How the connection stands; `since` is "" and `problem` the kind of error while there is none."""

    connected: bool
    broker: str
    prefix: str
    since: str
    problem: str


@routes.get("/mqtt", scope=SCOPE)
def read(shard: Shard) -> MqttAnswer:
    """Whether the broker is there."""
    bridge: Bridge = flask.current_app.extensions[EXTENSION]
    settings = bridge.settings
    return MqttAnswer(
        connected=bridge.since > 0,
        broker=f"{settings.host}:{settings.port}",
        prefix=settings.prefix,
        since=clock.iso(bridge.since),
        problem=bridge.problem,
    )


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The route, and what it keeps for this shard."""
    bridge = app.extensions[EXTENSION] = Bridge(app.shard)
    app.extensions.setdefault("prometheus_collectors", []).extend([bridge.connected, bridge.published])
    return [routes]


@hookimpl
def shardapi_tasks(app: ShardApp) -> list[Callable[[], None]]:
    """Keeps the broker told."""
    bridge: Bridge = app.extensions[EXTENSION]
    return [bridge.run]

"""GET /ws: operators' clients connect here to hear of every change and to talk."""

from collections.abc import Callable
from typing import Annotated

import flask
import msgspec

from shardapi import PUBLIC, Call, Routes, ShardApp, hookimpl
from shardapi.errors import (
    BLOCKED,
    CENTRAL_UNAVAILABLE,
    INVALID_VALUE,
    ORIGIN_REFUSED,
    STARTING,
    UNAUTHORIZED,
    UPGRADE_REQUIRED,
)

from .gateway import TOO_MANY_SOCKETS, Gateway

EXTENSION = "gateway"

routes = Routes("gateway", url_prefix="")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[plugins.gateway]: `origins` are web sites besides our own whose pages may connect."""

    sockets_per_user: Annotated[int, msgspec.Meta(ge=1)] = 8
    origins: tuple[str, ...] = ()
    heartbeat_seconds: Annotated[float, msgspec.Meta(ge=0.05)] = 8.0


@routes.get(
    "/ws",
    scope=PUBLIC,
    websocket=True,
    errors=(
        INVALID_VALUE,
        UNAUTHORIZED,
        BLOCKED,
        ORIGIN_REFUSED,
        UPGRADE_REQUIRED,
        TOO_MANY_SOCKETS,
        STARTING,
        CENTRAL_UNAVAILABLE,
    ),
)
def open_socket(call: Call) -> flask.Response:
    """Upgrade to a WebSocket for the operator whose token, or the listener whose service key is shown."""
    gateway: Gateway = flask.current_app.extensions[EXTENSION]
    return gateway.open(call)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The one route, and what it keeps for this shard."""
    settings = app.shard.settings(Settings)
    app.extensions[EXTENSION] = Gateway(
        app.shard, settings.sockets_per_user, settings.origins, settings.heartbeat_seconds
    )
    return [routes]


@hookimpl
def shardapi_tasks(app: ShardApp) -> list[Callable[[], None]]:
    """Sends those home who never joined, when the shard stops serving."""
    gateway: Gateway = app.extensions[EXTENSION]
    return [gateway.stay_open]

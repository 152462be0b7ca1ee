"""The hooks of a plugin: each is called once, while the app is built; none is on the path of a request.

A hook that raises stops the start, with the plugin's name.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .app import ShardApp
    from .events import EventType
    from .routes import Routes

hookspec = pluggy.HookspecMarker("shardapi")
hookimpl = pluggy.HookimplMarker("shardapi")


@hookspec
def shardapi_blueprints(app: "ShardApp") -> "list[Routes]":  # type: ignore[empty-body]
    """The plugin's routes, each with its scope; a blueprint's `cli` becomes commands of `shardapi`."""


@hookspec
def shardapi_events() -> "list[EventType]":  # type: ignore[empty-body]
    """The types of event the plugin logs, beyond the core's."""


@hookspec
def shardapi_subscribers(app: "ShardApp") -> "list[Callable[[int], None]]":  # type: ignore[empty-body]
    """Functions to be called after commits with the newest event's number, each in a greenlet of its own."""


@hookspec
def shardapi_tasks(app: "ShardApp") -> "list[Callable[[], None]]":  # type: ignore[empty-body]
    """Functions that run in greenlets while this process is the one that serves the shard."""

"""The hooks of a plugin: five functions, each optional, under @hookimpl.

Each is called once, while the app is built, by the server and by commands alike; none is on the path of a request. It
takes the arguments it names and returns a list (or a tuple). One that raises, returns anything else or lays claim to
what is taken keeps its plugin from running: `[plugins] on_error` says whether the shard then starts without it. What
a function in the list does later is contained: its failures are logged and counted, and /ready tells them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .app import ShardApp
    from .events import EventType
    from .guards import Guard
    from .routes import Routes

hookspec = pluggy.HookspecMarker("shardapi")
hookimpl = pluggy.HookimplMarker("shardapi")


@hookspec
def shardapi_events() -> "list[EventType]":  # type: ignore[empty-body]
    """First, once the plugin's migrations have run: the types of event it logs. A name belongs to one plugin."""


@hookspec
def shardapi_blueprints(app: "ShardApp") -> "list[Routes]":  # type: ignore[empty-body]
    """The plugin's routes, each with its scope, and in a blueprint's `cli` its commands of `shardapi`.

    A view that raises answers 500. A method and path, a scope's sentence and a command belong to one plugin.
    """


@hookspec
def shardapi_guards(app: "ShardApp") -> "list[Guard]":  # type: ignore[empty-body]
    """What may refuse a command, called for each before it is decided. One that fails refuses nothing."""


@hookspec
def shardapi_subscribers(app: "ShardApp") -> "list[Callable[[int], None]]":  # type: ignore[empty-body]
    """Functions called after commits with the newest event's number, each in a greenlet of its own.

    Calls fold into one while it runs, and after one that raises comes the next as ever. What must not be missed is
    read by a task with `app.shard.events.follow`.
    """


@hookspec
def shardapi_tasks(app: "ShardApp") -> "list[Callable[[], None]]":  # type: ignore[empty-body]
    """Functions that run in greenlets while this process is the one that serves the shard.

    One that returns is done. One that raises is begun anew after 1 s, then 2 s, up to 60 s.
    """

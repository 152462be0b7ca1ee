"""Discord: a channel is told who comes and goes, the operation's state, alerts and changes of nets, in sentences.

It is an outbox like the webhooks are, with one endpoint, which the settings name.
"""

from collections.abc import Callable

from shardapi import EventType, Routes, ShardApp, hookimpl
from shardapi.outbox.figures import Figures

from . import commands
from .desk import EXTENSION, Desk
from .settings import Settings as Settings
from .transitions import TYPES

COLLECTORS = "prometheus_collectors"

discord = Routes("discord", cli_group="discord")
discord.cli.help = "See to what a Discord channel is told."
for command in commands.ALL:
    discord.cli.add_command(command)


@hookimpl
def shardapi_events() -> list[EventType]:
    """How the messages fare."""
    return TYPES


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The commands, and the outbox of this shard; there are no routes."""
    desk = app.extensions[EXTENSION] = Desk(app.shard)
    desk.check_events()
    app.extensions.setdefault(COLLECTORS, []).append(Figures(desk.outbox))
    return [discord]


@hookimpl
def shardapi_tasks(app: ShardApp) -> list[Callable[[], None]]:
    """Tells the channel."""
    desk: Desk = app.extensions[EXTENSION]
    return [desk.run]

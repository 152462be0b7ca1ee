"""Commands of plugins: what stands in their Blueprint.cli is a command of `shardapi`, on the shard of its settings."""

import copy
from collections.abc import Mapping
from typing import Any

import click

from ..config import load
from .options import assembled, config_options, environ_of, existing, lenient, one_line, with_config

_settings = config_options(
    click.Command(
        "settings",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
    )
)


class Main(click.Group):
    """Our own commands, and besides them those of the plugins that the settings enable.

    Plugins are only looked at where a command is not one of ours, and for --help.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line; which plugins there are depends on the options that follow its name."""
        if args and args[0] not in self.commands:
            given = _settings.make_context("settings", args[1:], resilient_parsing=True).params
            environ = environ_of(**given)
            ctx.meta[__name__] = _commands(environ)
            if args[0] not in ctx.meta[__name__] and _is_off(args[0], environ):
                why = f"the plugin {args[0]} is off, because [plugins] enabled does not name it"
                ctx.fail(f"No such command '{args[0]}': {why}.")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """One of ours, else a plugin's."""
        return super().get_command(ctx, name) or ctx.meta.get(__name__, {}).get(name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all; of ours alone where the settings cannot be used."""
        if __name__ not in ctx.meta:
            try:
                ctx.meta[__name__] = _commands(environ_of())
            except click.ClickException:
                ctx.meta[__name__] = {}
        return sorted({*super().list_commands(ctx), *ctx.meta[__name__]})


def _commands(environ: Mapping[str, str]) -> dict[str, click.Command]:
    """The commands of the plugins that run with these settings, by name."""
    with one_line(), assembled(lenient(load(environ=environ))) as app:
        for error in app.shard.problems.left_out:
            click.echo(f"{error}; it brings no commands", err=True)
        owners = app.shard.plugins.commands
        return {name: _bound(command, owners.get(name, "")) for name, command in app.cli.commands.items()}


def _is_off(name: str, environ: Mapping[str, str]) -> bool:
    """Whether there is a plugin of this name which these settings do not enable."""
    from ..installed import candidates, chosen

    settings = load(environ=environ)
    return name in candidates(settings) and name not in {one.name for one in chosen(settings)}


def _bound(command: click.Command, plugin: str) -> click.Command:
    """The same command with --config and --data-dir; it runs in the app's context, with the Shard as its object."""
    bound = copy.copy(command)
    if isinstance(bound, click.Group):
        bound.commands = {name: _bound(one, plugin) for name, one in bound.commands.items()}
        return bound

    @with_config
    @click.pass_context
    def run(ctx: click.Context, /, settings: Any, **given: Any) -> Any:
        with existing(settings) as app, app.app_context():
            for error in app.shard.problems.left_out:
                if error.plugin == plugin:  # it could be looked at, but does not run on this store
                    raise click.ClickException(str(error))
            ctx.obj = app.shard
            return ctx.invoke(command.callback or _nothing, **given)

    bound.params = [*command.params, *reversed(run.__click_params__)]  # type: ignore[attr-defined]
    bound.callback = run
    return bound


def _nothing() -> None:
    """What a command without a callback does."""

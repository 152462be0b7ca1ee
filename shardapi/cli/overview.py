"""`shardapi plugins`, `openapi` and `config`: what there is and what it opens."""

import click

from ..config import Config
from .options import as_json, assembled, say, with_config


@click.group()
def plugins() -> None:
    """See which plugins there are."""


@plugins.command("list")
@as_json
@with_config
def list_plugins(settings: Config, as_json: bool) -> None:
    """List every plugin that is installed, whether it runs, and what it opens.

    [plugins] enabled in the settings says which run; without it, all that came with shardapi.
    """
    from ..plugins import candidates

    with assembled(settings) as app:
        loaded = app.shard.plugins
    running = {plugin.name: plugin for plugin in loaded.loaded}
    facts = []
    for name, candidate in sorted(candidates(settings).items()):
        plugin = running.get(name)
        routes = [f"{route.method} {route.rule}" for route in loaded.routes if route.plugin == name]
        commands = [f"shardapi {command}" for command, owner in loaded.commands.items() if owner == name]
        facts.append(
            {
                "name": name,
                "enabled": plugin is not None,
                "bundled": candidate.bundled,
                "distribution": plugin.distribution if plugin else "",
                "version": plugin.version if plugin else "",
                "routes": routes,
                "commands": commands,
            }
        )
        if not as_json:
            click.echo(f"{name:14} {'on ' if plugin else 'off'}  {', '.join([*routes, *commands])}".rstrip())
    if as_json:
        say(facts)


@click.command()
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as it does anyway.")
@with_config
def openapi(settings: Config) -> None:
    """Print the OpenAPI 3.1 document of the enabled plugins, as /api/v1/openapi.json answers it."""
    from ..openapi import document

    with assembled(settings) as app:
        say(document(app.shard))


@click.group("config")
def config_group() -> None:
    """Look at the settings."""


@config_group.command("check")
@as_json
@with_config
def check_config(settings: Config, as_json: bool) -> None:
    """Check the settings as `serve` would; one line and exit status 1 if they cannot be used.

    Every plugin is loaded and its settings are read; the data folder is not touched.
    """
    with assembled(settings) as app:
        names = [plugin.name for plugin in app.shard.plugins.loaded]
    if as_json:
        say({"ok": True, "dataDir": str(settings.folder), "bind": settings.server.bind, "plugins": names})
        return
    click.echo(f"The settings are fine: {settings.server.bind}, data in {settings.folder}.")
    click.echo(f"Plugins: {', '.join(names)}")

"""`shardapi openapi` and `config`: the API as a document, and whether the settings can be used."""

import click

from ..config import GUESSABLE, Config
from .options import as_json, assembled, foreseen, one_line, say, with_config


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
@click.option("--quiet", is_flag=True, help="Say nothing if they are fine.")
@as_json
@with_config
def check_config(settings: Config, quiet: bool, as_json: bool) -> None:
    """Check the settings as `serve` would; one line and exit status 1 if they cannot be used.

    Every plugin is loaded and its settings are read; where the store is to be upgraded, that is tried on a copy of it.
    Of the data folder it only reads, also which tables belong to plugins that do not run: their data is kept.
    """
    from ..store import kept_tables

    with assembled(settings, trying=True) as app:
        names = [plugin.name for plugin in app.shard.plugins.loaded]
        problems = [str(error) for error in app.shard.problems.left_out]
    with one_line(foreseen):
        kept = {name: tables for name, tables in kept_tables(settings.folder).items() if name not in names}
    if settings.guessable:
        click.echo(f"Warning: {GUESSABLE}.", err=True)
    if quiet:
        return
    if as_json:
        facts = {"dataDir": str(settings.folder), "bind": settings.server.bind, "plugins": names}
        say({"ok": True, **facts, "problems": problems, "kept": kept})
        return
    click.echo(f"The settings are fine: {settings.server.bind}, data in {settings.folder}.")
    click.echo(f"Plugins: {', '.join(names)}")
    for problem in problems:
        click.echo(f"Left out: {problem}")
    for name, tables in kept.items():
        click.echo(f"Kept: {', '.join(tables)} of {name}, which does not run")

"""`shardapi plugins`: what there is, what each opens, and what would not start."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from ..config import Config, ConfigError
from .options import as_json, assembled, lenient, say, with_config


@click.group()
def plugins() -> None:
    """See which plugins there are."""


@plugins.command("list")
@as_json
@with_config
def list_plugins(settings: Config, as_json: bool) -> None:
    """List every plugin that is installed, whether it runs, and what it opens.

    [plugins] enabled in the settings says which run; without it, all that came with shardapi, which "*" in it stands
    for. What a plugin has stored stays when it is switched off: its tables are shown as kept.
    """
    from ..inventory import inventory
    from ..store import kept_tables

    with assembled(lenient(settings), trying=True) as app:
        facts = inventory(app.shard, kept_tables(settings.folder))
    if as_json:
        say(facts)
        return
    for one in facts:
        _show(one)


@plugins.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@as_json
@with_config
def check_plugins(settings: Config, names: tuple[str, ...], as_json: bool) -> None:
    """Tell what the plugins of the settings would open; with names, what these would.

    Each is loaded and attached to a shard that is thrown away, its migrations tried on a copy of the store where there
    is one; the data folder is not touched. Exit status 1 if any cannot run.
    """
    from ..inventory import running

    if names:
        settings = _enabling(settings, names)
    with assembled(lenient(settings), trying=True) as app:
        shard = app.shard
        wrong = shard.problems.left_out
    would = [running(shard, plugin.name) for plugin in shard.plugins.loaded]
    if as_json:
        said = [{"plugin": error.plugin, "problem": str(error)} for error in wrong]
        say({"ok": not wrong, "plugins": would, "problems": said})
    else:
        for one in would:
            _show(one)
        for error in wrong:
            click.echo(f"Error: {error}", err=True)
    if wrong:
        click.get_current_context().exit(1)


@plugins.command("new")
@click.argument("name")
@click.option("--single-file", is_flag=True, help="One .py file for the folder of [plugins] dir.")
@click.option("--into", metavar="DIR", help="Where to write it (default: ./shardapi-NAME, or [plugins] dir).")
@with_config
def new_plugin(settings: Config, name: str, single_file: bool, into: str | None) -> None:
    """Write a new plugin that works, to be changed into yours.

    A package with a route, an event, a setting, a table with its migration, a command, a metric, tests that pass, and
    a README that says where to go on; or with --single-file the smallest plugin there is.
    """
    from ..scaffold import write_file, write_package

    usual = settings.plugins.dir or "." if single_file else f"shardapi-{name.replace('_', '-')}"
    folder = Path(into or usual).expanduser()
    try:
        if single_file:
            _tell_file(write_file(name, folder), settings)
        else:
            _tell_package(name, folder, write_package(name, folder))
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from None


def _tell_file(path: Path, settings: Config) -> None:
    from ..installed import USUAL

    click.echo(f"Wrote {path}")
    folder = settings.plugins.dir and Path(settings.plugins.dir).expanduser()
    if not folder or path.parent.resolve() != folder.resolve():
        click.echo(f'It runs where the settings say [plugins] dir = "{path.parent.absolute()}".')
    if settings.plugins.enabled is not None and not {path.stem, USUAL} & set(settings.plugins.enabled):
        click.echo(f"Add {path.stem} to [plugins] enabled.")
    click.echo(f"See what it opens: shardapi plugins check {path.stem}")


def _tell_package(name: str, folder: Path, written: Sequence[Path]) -> None:
    for path in written:
        click.echo(f"Wrote {path}")
    click.echo(f"\nTest it:  cd {folder} && pip install -e '.[test]' && pytest")
    click.echo(
        f'Run it:   [plugins] enabled = ["*", "{name}"]; shardapi plugins check {name} tells what it opens.'
    )


def _enabling(settings: Config, names: Sequence[str]) -> Config:
    replace = msgspec.structs.replace
    return replace(settings, plugins=replace(settings.plugins, enabled=tuple(names)))


def _show(facts: dict[str, Any]) -> None:
    from ..inventory import LABELS

    state = "on" if facts["enabled"] else "off"
    origin = " ".join(filter(None, (facts["distribution"], facts["version"])))
    bundled = ", bundled" if facts["bundled"] else ""
    click.echo(f"{facts['name']:14} {state:4} {origin or 'not installed'}{bundled}")
    for label in LABELS:
        if facts[label]:
            click.echo(f"    {label:12} {', '.join(facts[label])}")
    if facts["kept"]:
        click.echo(f"    {'kept':12} {', '.join(facts['kept'])} (its data stays in the store)")
    if facts.get("problem"):
        click.echo(f"    {'problem':12} {facts['problem']}")

"""`shardapi plugins`: what there is, what each opens, and what would not start."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ..config import Config
from .options import as_json, assembled, lenient, say, with_config

if TYPE_CHECKING:
    from ..installed import Candidate
    from ..plugins import Opened
    from ..shard import Shard

LABELS = ("routes", "scopes", "events", "commands", "tables", "subscribers", "tasks", "guards")


@click.group()
def plugins() -> None:
    """See which plugins there are."""


@plugins.command("list")
@as_json
@with_config
def list_plugins(settings: Config, as_json: bool) -> None:
    """List every plugin that is installed, whether it runs, and what it opens.

    [plugins] enabled in the settings says which run; without it, all that came with shardapi. What a plugin has
    stored stays when it is switched off: its tables are shown as kept.
    """
    from ..installed import candidates
    from ..store import kept_tables

    kept = kept_tables(settings.folder)
    with assembled(lenient(settings)) as app:
        shard = app.shard
        wrong = {where.plugin: where.what for where, _ in shard.problems.now()}
    found = candidates(settings)
    facts = [
        _facts(name, found.get(name), shard, wrong.get(name, ""), kept.get(name, []))
        for name in sorted({*found, *wrong, *kept})
    ]
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

    Each is loaded and attached to a shard that is thrown away; the data folder is not touched. Exit status 1 if
    any cannot run.
    """
    if names:
        settings = _enabling(settings, names)
    with assembled(lenient(settings)) as app:
        shard = app.shard
        wrong = shard.problems.left_out
    running = [_running(plugin.name, shard) for plugin in shard.plugins.loaded]
    if as_json:
        said = [{"plugin": error.plugin, "problem": str(error)} for error in wrong]
        say({"ok": not wrong, "plugins": running, "problems": said})
    else:
        for one in running:
            _show(one)
        for error in wrong:
            click.echo(f"Error: {error}", err=True)
    if wrong:
        click.get_current_context().exit(1)


def _enabling(settings: Config, names: Sequence[str]) -> Config:
    replace = msgspec.structs.replace
    return replace(settings, plugins=replace(settings.plugins, enabled=tuple(names)))


def _facts(
    name: str, candidate: "Candidate | None", shard: "Shard", problem: str, kept: list[str]
) -> dict[str, Any]:
    """What is told of a plugin, whether it runs or not."""
    if name in shard.plugins.opened:
        return _running(name, shard)
    return {
        "name": name,
        "enabled": False,
        "bundled": candidate is not None and candidate.bundled,
        "distribution": candidate.distribution if candidate else "",
        "version": candidate.version if candidate else "",
        **{label: [] for label in LABELS},
        "kept": kept,
        **({"problem": problem} if problem else {}),
    }


def _running(name: str, shard: "Shard") -> dict[str, Any]:
    plugin = next(one for one in shard.plugins.loaded if one.name == name)
    return {
        "name": name,
        "enabled": True,
        "bundled": plugin.bundled,
        "distribution": plugin.distribution,
        "version": plugin.version,
        **_opened(shard.plugins.opened[name]),
        "kept": [],
    }


def _opened(opened: "Opened") -> dict[str, list[str]]:
    from ..auth import PUBLIC

    return {
        **{label: list(getattr(opened, label)) for label in LABELS},
        "routes": [f"{route.method} {route.rule}" for route in opened.routes],
        "scopes": sorted({route.scope for route in opened.routes} - {PUBLIC}),
        "commands": [f"shardapi {name}" for name in opened.commands],
    }


def _show(facts: dict[str, Any]) -> None:
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

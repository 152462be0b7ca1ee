"""`shardapi doctor`: what is wrong, or soon will be, and what to do about it."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ..config import Config, ConfigError, load
from .options import as_json, config_options, environ_of, say

if TYPE_CHECKING:
    from ..doctor import Case, Finding

COLOURS = {"ok": "green", "info": "blue", "warn": "yellow", "error": "red"}
ERRORS, WARNINGS = 2, 1


@click.command()
@click.option(
    "--full", is_flag=True, help="Check every row of the store against every index; a large one takes long."
)
@click.option("--strict", is_flag=True, help="End with 1 if there are warnings and no errors.")
@click.option(
    "--backups",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where backups lie (default: shardapi-backups beside the data folder).",
)
@as_json
@config_options
@click.pass_context
def doctor(
    ctx: click.Context,
    file: str | None,
    data_dir: str | None,
    full: bool,
    strict: bool,
    backups: Path | None,
    as_json: bool,
) -> None:
    """Look at everything a shard depends on, and say of each thing that is wrong what to do.

    That is the settings, the store, files and disk, the clock, the running server, its public URL with the proxy and
    its certificate, webhooks, plugins, backups and systemd. It changes nothing, and works without a server too; what
    it may not look at is an error. Run it as root or as the shard's own user, with the same settings as the server.

    Exit status: 0 without errors, 2 with an error, and with --strict 1 with a warning.
    """
    from ..doctor import Case, examine

    environ = environ_of(file, data_dir)
    try:
        settings, problem = load(environ=environ), ""
    except ConfigError as error:
        settings, problem = Config(data_dir=environ.get("SHARDAPI_DATA_DIR", Config().data_dir)), str(error)
    named = "SHARDAPI_DATA_DIR" in environ
    case = Case(settings, environ.get("SHARDAPI_CONFIG", ""), problem, full, backups, named)
    found = []
    for finding in examine(case):
        found.append(finding)
        if not as_json:
            _show(finding)
    counts: Counter[str] = Counter(finding.level for finding in found)
    if as_json:
        say({**_summary(case, counts), "findings": msgspec.to_builtins(found)})
    else:
        click.echo(_sum(counts))
    ctx.exit(ERRORS if counts["error"] else WARNINGS if strict and counts["warn"] else 0)


def _show(finding: "Finding") -> None:
    level = click.style(f"{finding.level:5}", fg=COLOURS[finding.level], bold=finding.level == "error")
    click.echo(f"{level}  {finding.name:22}  {_plain(finding.what)}")
    if finding.do:
        click.echo(f"{'':5}  {'':22}  {click.style('→', dim=True)} {_plain(finding.do)}")


def _plain(text: str) -> str:
    """One line without control characters: names and answers of others may have any."""
    return "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))


def _summary(case: "Case", counts: Counter[str]) -> dict[str, Any]:
    return {
        "ok": not counts["error"],
        "dataDir": str(case.folder),
        "errors": counts["error"],
        "warnings": counts["warn"],
    }


def _sum(counts: Counter[str]) -> str:
    said = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for word, count in (("error", counts["error"]), ("warning", counts["warn"]))
        if count
    ]
    return "\n" + (" and ".join(said) if said else "All is well.")

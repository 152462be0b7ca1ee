"""`shardapi export` and `import`: a shard as lines of JSON, to be moved to another machine."""

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from ..config import Config
from .backup import count, gently, word
from .options import as_json, foreseen, one_line, say, with_config

if TYPE_CHECKING:
    from ..moving.load import Moved


@click.command("export")
@click.argument("target", metavar="[FILE]", default="-")
@click.option("--events", is_flag=True, help="The event log too.")
@as_json
@with_config
def export_shard(settings: Config, target: str, events: bool, as_json: bool) -> None:
    """Write the shard as lines of JSON to FILE or standard output, while the server runs or not.

    \b
      shardapi export shard.jsonl
      shardapi export | ssh other shardapi import - --data-dir /var/lib/shardapi

    Guild by guild: nets, assignments, rules, the archive and its journal, keys as digests, webhooks, the audit, and
    the tables of every plugin, of those that do not run too; without --events as if the log's events were all
    forgotten. What a plugin keeps in files is not in it. It is a secret: the signing secret is in it, because the
    secrets of webhooks are encrypted with that. To keep what you have, rather take `shardapi backup`.

    \b
    Each line is an object with a type:
      export   the first: format, version, guilds, events (whether the log is in it)
      signing  secrets, the newest first
      schema   kind, name, sql: a table, index, trigger or view
      row      table, values: first those of no guild
      guild    id: the rows after it are this guild's
      end      the last: rows, how many there were
    In a value, {"base64": "…"} is bytes.
    """
    with one_line(foreseen):
        if target == "-":
            gently(lambda: _to_output(settings, events))
        else:
            told = gently(lambda: _to_file(settings, Path(target), events))
    if target == "-":
        return
    if as_json:
        say({"file": target, "guilds": told.guilds, "rows": told.rows, "lines": told.lines, "events": events})
    else:
        click.echo(f"{target}: {count(told.guilds, 'guild')}, {count(told.rows, 'row')}. It is a secret.")


def _to_output(settings: Config, events: bool) -> None:
    from ..moving.export import export
    from ..snapshot import BackupError

    try:
        export(settings, sys.stdout.buffer, events)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # who reads has had enough
    except OSError as error:
        raise BackupError(f"{error.filename or 'standard output'}: {error.strerror}") from None


def _to_file(settings: Config, path: Path, events: bool) -> Any:
    from ..backup import drafting, sync
    from ..moving.export import export
    from ..snapshot import BackupError

    if path.exists():
        raise BackupError(f"{path} is there; it stays as it is")
    try:
        with drafting(path.parent, ".shardapi-export-") as draft:
            handle = os.open(draft / "export", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                told = export(settings, out, events)
                out.flush()
                os.fsync(handle)
            os.replace(draft / "export", path)
            sync(path.parent)
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}; nothing was exported") from None
    return told


@click.command("import")
@click.argument("source", metavar="FILE")
@click.option("--check", is_flag=True, help="Only look FILE through; nothing is imported.")
@click.option("--force", is_flag=True, help="Over a shard that is there; it is kept aside.")
@as_json
@with_config
def import_shard(settings: Config, source: str, check: bool, force: bool, as_json: bool) -> None:
    """Make the data folder the shard that FILE, written by `shardapi export`, holds; no server may run on it.

    FILE may be -, for standard input. Every line is checked before anything is put in place; an error names its
    line. Keys, operators' tokens, public links and webhooks go on to work; the event stream begins a new epoch, so
    that readers from before get a gap. Stop the shard that was exported: two of them deliver every webhook twice.
    """
    from ..moving.load import load

    with one_line(foreseen):
        if source == "-":
            moved = load(settings, "standard input", sys.stdin.buffer, force, check)
        else:
            with _opened(Path(source)) as lines:
                moved = load(settings, source, lines, force, check)
    if as_json:
        say(_facts(settings, moved))
        return
    guilds = ", ".join(word(one.name) for one in moved.facts.guilds)
    does = "can be imported" if check else f"is imported into {settings.folder}"
    click.echo(f"{source} {does}: {guilds} with {count(moved.facts.keys, 'key')}, {count(moved.rows, 'row')}")
    if moved.aside is not None:
        click.echo(f"What was there is kept in {moved.aside}")
    if moved.secret_differs:
        click.echo(f"Warning: {SECRET_DIFFERS}", err=True)


SECRET_DIFFERS = (
    "signing_secret in the settings is not the export's: operators' tokens, public links and the secrets of webhooks"
    " are lost, unless what is in signing.secret of the data folder is put after it"
)


def _opened(path: Path) -> IO[bytes]:
    from ..snapshot import BackupError

    try:
        return path.open("rb")
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from None


def _facts(settings: Config, moved: "Moved") -> dict[str, Any]:
    return {
        "dataDir": str(settings.folder),
        "version": moved.head.version,
        "guilds": [{"id": one.id, "name": one.name} for one in moved.facts.guilds],
        "keys": moved.facts.keys,
        "rows": moved.rows,
        "events": moved.head.events,
        "replaced": str(moved.aside or ""),
        "warnings": [SECRET_DIFFERS] if moved.secret_differs else [],
    }

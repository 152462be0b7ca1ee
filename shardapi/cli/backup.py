"""`shardapi backup` and `restore`: the whole shard as one file, and that file as a shard again."""

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..config import Config
from .options import Refused, as_json, foreseen, one_line, say, with_config

if TYPE_CHECKING:
    from ..backup import Made, Manifest
    from ..restore import Restored

T = TypeVar("T")

NICE = 10  # beside a server on the same core, the server first


@click.command()
@click.argument("target", metavar="FILE|DIRECTORY", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write into DIRECTORY, the date in the name, and keep the last N.",
)
@as_json
@with_config
@click.pass_obj
def backup(
    environ: dict[str, str], /, settings: Config, target: Path, keep: int | None, as_json: bool
) -> None:
    """Write the whole shard to FILE, while the server runs or not.

    \b
      shardapi backup shard.zip
      shardapi backup --keep 14 /var/backups/shardapi    for a timer

    The file holds the store as it was at one moment, the signing secret, the settings file for reading, and the
    files of plugins. It is read back and checked before it gets its name; an older backup of that name stays until
    then. It is a secret: who has it can sign tokens for the shard, so only its owner may read it. Keep it on another
    machine, and try `shardapi restore --check FILE` there. Where the signing secret is nowhere to be found it is made
    without, no older one is removed, and the exit status is 1.
    """
    from .. import backup, retention

    removed: list[Path] = []
    file = environ.get("SHARDAPI_CONFIG", "")
    with one_line(foreseen):
        if keep is None:
            made = gently(lambda: backup.make(settings, target, read_from=file))
        else:
            made, removed = gently(lambda: retention.make_dated(settings, target, keep, file))
    if as_json:
        say({**_made(made), "removed": [str(path) for path in removed]})
    else:
        _tell_made(made, removed)
    if not made.has_secret:
        raise Refused(_without_secret(settings, made.path))


def _tell_made(made: "Made", removed: list[Path]) -> None:
    whole = "whole" if made.has_secret else "without its signing secret"
    click.echo(f"{made.path}: {size(made.size)} in {made.ms / 1000:.1f} s, {whole}: {_holds(made.manifest)}")
    for path in removed:
        click.echo(f"Removed {path}")


def _without_secret(settings: Config, path: Path) -> str:
    return (
        f"{path} has no signing secret, because {settings.folder / 'signing.secret'} is not there or empty: restored"
        " from it, operators' tokens, public links and the secrets of webhooks are lost. Put the file back from an"
        " older backup, none of which was removed, or name the secret with SHARDAPI_SIGNING_SECRET_FILE"
    )


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only verify FILE; nothing is restored.")
@click.option("--force", is_flag=True, help="Over a shard that is there; it is kept aside.")
@as_json
@with_config
def restore(settings: Config, source: Path, check: bool, force: bool, as_json: bool) -> None:
    """Make the data folder what the backup FILE holds; no server may run on it.

    FILE is verified first: that it is whole, and not of a newer version. The event stream goes on in a new epoch:
    readers from before get a gap instead of wrong events. Who was connected then is told as gone at the next start,
    and webhooks deliver again what they had not had when the backup was made.

    Whatever was revoked, rotated or changed since is as it was then, the panel's password and the public token too.
    Keys and operators of whom the replaced store knows that are named; revoke them anew before you start the shard.
    Settings stay as they are: those of then can be read with `unzip -p FILE settings.toml`.
    """
    from .. import restore

    with one_line(foreseen):
        if check:
            manifest = restore.verify(settings, source)
        else:
            done = restore.restore(settings, source, force)
    if check:
        _tell_whole(source, manifest, as_json)
        return
    if as_json:
        say(_restored(settings, source, done))
        return
    click.echo(f"Restored into {settings.folder}: {_holds(done.manifest)}, as of {done.manifest.made_at}")
    if done.aside is not None:
        click.echo(f"What was there is kept in {done.aside}")
    for line in _warnings(done):
        click.echo(f"Warning: {line}", err=True)


def _tell_whole(file: Path, manifest: "Manifest", as_json: bool) -> None:
    if as_json:
        say({"file": str(file), **_facts(manifest)})
        return
    click.echo(f"{file} is whole: {_holds(manifest)}, made {manifest.made_at} by version {manifest.version}")


def _warnings(done: "Restored") -> list[str]:
    """What an owner has to look at after a restore."""
    unknown = "" if done.compared else "; which, is not known here: see shardapi keys list"
    lines = [
        f"all that was revoked, rotated or changed after {done.manifest.made_at} is as it was then: keys, operators'"
        f" tokens, the public token, the panel's password{unknown}"
    ]
    lines += [
        f"the key {one.id} ({word(one.name)}) was revoked since, and is good again: shardapi keys revoke {one.id}"
        for one in done.keys
    ]
    lines += [
        f"tokens of {one.id or 'everyone'} were revoked since, and are good again:"
        f" shardapi operators revoke {one.id or 'all'}"
        for one in done.operators
    ]
    if done.without_secret:
        lines.append(
            "there is no signing secret, in the backup or here: operators' tokens, public links and the secrets of"
            " webhooks are lost, unless signing.secret is put into the data folder before the start"
        )
    if done.secret_differs:
        lines.append(
            "signing_secret in the settings is not the backup's: operators' tokens, public links and the secrets of"
            " webhooks are lost, unless what is in signing.secret of the data folder is put after it"
        )
    return lines


def _restored(settings: Config, file: Path, done: "Restored") -> dict[str, Any]:
    return {
        "file": str(file),
        "dataDir": str(settings.folder),
        **_facts(done.manifest),
        "epoch": done.epoch,
        "replaced": str(done.aside or ""),
        "keysGoodAgain": [{"id": one.id, "name": one.name} for one in done.keys],
        "operatorsGoodAgain": [one.id or "all" for one in done.operators],
        "warnings": _warnings(done),
    }


def gently(work: Callable[[], T]) -> T:
    """Do what takes long in a thread of lower priority: a server on the same core comes first."""

    def lower() -> None:
        with suppress(OSError):  # which a unit of systemd may forbid
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)

    with ThreadPoolExecutor(1, initializer=lower) as pool:
        return pool.submit(work).result()


def _made(made: "Made") -> dict[str, Any]:
    return {"file": str(made.path), "bytes": made.size, "ms": made.ms, **_facts(made.manifest)}


def _facts(manifest: "Manifest") -> dict[str, Any]:
    return {
        "madeAt": manifest.made_at,
        "version": manifest.version,
        "guilds": [{"id": one.id, "name": one.name} for one in manifest.store.guilds],
        "keys": manifest.store.keys,
        "lastEvent": manifest.store.last_event,
        "files": [{"name": one.name, "bytes": one.bytes, "sha256": one.sha256} for one in manifest.files],
    }


def _holds(manifest: "Manifest") -> str:
    guilds = ", ".join(word(one.name) for one in manifest.store.guilds)
    return f"{guilds} with {count(manifest.store.keys, 'key')} and {size(manifest.files[0].bytes)} of store"


def word(text: str) -> str:
    """A text as it may stand on a terminal."""
    return text if text.isprintable() else json.dumps(text)


def size(octets: int) -> str:
    """Bytes as people say them."""
    return f"{octets / 1e6:.1f} MB" if octets >= 100_000 else f"{octets / 1e3:.1f} kB"


def count(number: int, what: str) -> str:
    """So many of something."""
    return f"{number} {what}{'' if number == 1 else 's'}"

"""`shardapi install-systemd`: the units of this installation, and what to run then."""

import json
import os
import shlex
from pathlib import Path

import click

from .. import config, units
from ..config import ConfigError
from ..units import Place
from .options import one_line

THIS_MACHINE = ["127.0.0.1", "::1"]


@click.command("install-systemd")
@click.option("--user", is_flag=True, help="For your own systemd, without root: a shard that is yours.")
@click.option(
    "--dir", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Only write them, here."
)
@click.option("--force", is_flag=True, help="Replace units that say something else.")
@click.option(
    "--public-url",
    default="",
    metavar="URL",
    help="Begin the settings with this, for a proxy on this machine that clients reach there.",
)
@click.option("--config", "file", metavar="FILE", help="The settings (default: /etc/shardapi/shardapi.toml).")
@click.option("--data-dir", metavar="DIR", help="The data folder (default: /var/lib/shardapi).")
def install_systemd(
    user: bool,
    folder: Path | None,
    force: bool,
    public_url: str,
    file: str | None,
    data_dir: str | None,
) -> None:
    """Write systemd's units for this installation, and say what to run.

    A service and its socket, a backup each night, and templates for several shards on one machine. What lies there
    already and says something else is left alone, unless --force is given: your own changes belong into
    `systemctl edit shardapi`.
    """
    with one_line():
        place = _place(user, file, data_dir)
        if public_url:
            _check_new(place, public_url, folder)
        settings = config.load(place.settings if place.settings.exists() else None, environ={})
        if data_dir is None and settings.data_dir != config.Config().data_dir and not user:
            place = place._replace(data=settings.folder)
        texts = units.filled(place, settings)
        if obstacle := units.obstacle(place):
            if folder is None:
                raise ConfigError(obstacle)
            click.echo(f"Mind: {obstacle}", err=True)
        target = folder or (
            _home("XDG_CONFIG_HOME", ".config") / "systemd/user" if user else units.SYSTEM_FOLDER
        )
        _write(target, texts, force)
        made = folder is None and _example(place, public_url)
    _tell(place, target, made, folder is not None)


def _place(user: bool, file: str | None, data_dir: str | None) -> Place:
    settings = (
        _home("XDG_CONFIG_HOME", ".config") / "shardapi/shardapi.toml" if user else units.SYSTEM_SETTINGS
    )
    data = _home("XDG_DATA_HOME", ".local/share") / "shardapi" if user else None
    return Place(
        program=units.program(),
        share=units.share(),
        settings=Path(file).absolute() if file else settings,
        data=Path(data_dir).absolute() if data_dir else data,
        user=user,
    )


def _home(variable: str, default: str) -> Path:
    given = os.environ.get(variable, "")
    return Path(given) if given.startswith("/") else Path.home() / default


def _write(folder: Path, texts: dict[str, str], force: bool) -> None:
    """Write them all, or none. Raises ConfigError."""
    others = [name for name, text in texts.items() if _said(folder / name) not in (None, text)]
    if others and not force:
        raise ConfigError(
            f"{folder} has {', '.join(others)} already, and they say something else; --force replaces them"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            draft = folder / f".{name}.new"
            draft.write_text(text, "utf-8")
            draft.chmod(0o644)
            draft.rename(folder / name)
    except OSError as error:
        hint = "run it as root, or with --user for a shard of your own, or look at them first with --dir DIR"
        more = f"; {hint}" if isinstance(error, PermissionError) else ""
        raise ConfigError(f"{error.filename or folder}: {error.strerror}{more}") from None


def _said(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _check_new(place: Place, public_url: str, folder: Path | None) -> None:
    """Raises ConfigError if a public URL cannot be used, or there are no settings to be begun with it."""
    config.load(environ={"SHARDAPI_SERVER__PUBLIC_URL": public_url})
    if folder is not None:
        raise ConfigError("--public-url begins the settings, which --dir leaves alone")
    if place.settings.exists():
        raise ConfigError(f"{place.settings} is there already: set server.public_url in it")


def _example(place: Place, public_url: str) -> bool:
    """Begin the settings with the manual, where there are none; whether it did."""
    if place.settings.exists():
        return False
    folder = place.settings.parent
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = (place.share / "conf" / "shardapi.toml").read_text("utf-8")
        if public_url:
            text = text.replace('#public_url = ""', f"public_url = {json.dumps(public_url)}")
            text = text.replace("#trusted_proxies = []", f"trusted_proxies = {json.dumps(THIS_MACHINE)}")
        place.settings.write_text(text, "utf-8")
        if not place.user:  # whatever root's umask is, the user of the service reads them
            place.settings.chmod(0o644)
            if new:
                folder.chmod(0o755)
    except OSError as error:
        raise ConfigError(f"{error.filename or place.settings}: {error.strerror}") from None
    return True


def _tell(place: Place, target: Path, made: bool, looking: bool) -> None:
    systemctl = "systemctl --user" if place.user else "systemctl"
    data = place.data or units.STATE / "shardapi"
    click.echo(f"The units are in {target}.")
    if looking:
        click.echo("To use them, copy them to where systemd looks, or run this without --dir.")
        return
    new = ", new, with every setting explained" if made else ""
    click.echo(f"Settings: {place.settings}{new}. Data: {data}.")
    click.echo("\nNow run:\n")
    program = shlex.quote(str(place.program))
    for line in (
        f"{systemctl} daemon-reload",
        f"{systemctl} enable --now shardapi.service shardapi-backup.timer",
        *(["loginctl enable-linger"] if place.user else []),
        f"{program} keys create owner --all-scopes --config {place.settings} --data-dir {data}",
        f"{program} doctor --config {place.settings} --data-dir {data}",
    ):
        click.echo(f"  {line}")
    click.echo(
        f"\nThe key is the first one, and the last line says what is amiss. Then: `{systemctl} reload shardapi` takes"
        f" new settings, `journalctl{' --user' if place.user else ''} -u shardapi` has the log."
    )

"""The command line: every command works whether or not the server runs."""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from . import clock, config
from .config import Config, ConfigError

GUNICORN = ("-m", "gunicorn", "-c", "python:shardapi.server")
LOCK_PATIENCE_SECONDS = 5.0
PORT_PATIENCE_SECONDS = 2.0


class Owner(click.Group):
    """A group whose foreseen errors are one line and an exit status, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from .errors import ApiError
        from .store import StoreTooNew

        try:
            return super().invoke(ctx)
        except (ConfigError, StoreTooNew) as error:
            raise click.ClickException(str(error)) from None
        except ApiError as error:
            raise click.ClickException(f"{error.detail} {error.hint}".strip()) from None


@click.group(cls=Owner, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shardapi")
def main() -> None:
    """Run and manage a private voice shard's Owner API.

    Settings come from the defaults, a TOML file, and SHARDAPI_* variables, each over the one before.
    """


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --config and --data-dir, and pass it the settings in force."""

    @click.option(
        "--config", "file", metavar="FILE", help="Settings as TOML (default: SHARDAPI_CONFIG, or none)."
    )
    @click.option("--data-dir", metavar="DIR", help="The data folder (default: ./shard-data).")
    @wraps(command)
    def loaded(*args: Any, file: str | None, data_dir: str | None, **kwargs: Any) -> Any:
        if file is not None:
            os.environ["SHARDAPI_CONFIG"] = str(Path(file).absolute())
        if data_dir is not None:
            os.environ["SHARDAPI_DATA_DIR"] = data_dir
        return command(*args, settings=config.load(), **kwargs)

    return loaded


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@contextmanager
def opened(settings: Config) -> Iterator[Any]:
    """The shard's app, open beside a running server."""
    from .app import create_app

    app = create_app(settings)
    try:
        yield app
    finally:
        app.shard.close()


def say(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


# -- serve


@main.command()
@click.option(
    "--bind", metavar="HOST:PORT", help="Where to listen (default: 127.0.0.1:25588; port 0: a free one)."
)
@with_config
def serve(settings: Config, bind: str | None) -> None:
    """Run the shard until it is told to stop.

    The first start makes the data folder, the store, the signing secret and the guild. On a terminal it also
    makes one owner key with all scopes and shows it once.
    """
    if bind is not None:
        os.environ["SHARDAPI_SERVER__BIND"] = bind
        settings = config.load()
    with opened(settings) as app:
        _check_folder_is_free(app.shard.store.folder)
        _check_port_is_free(settings.server.bind)
        _offer_first_key(app, settings)
    os.execv(sys.executable, [sys.executable, *GUNICORN])


def _check_folder_is_free(folder: Path) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    with open(folder / "serve.lock", "ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise click.ClickException(
                        f"another shardapi serves {folder}: one server per data folder"
                    ) from None
                time.sleep(0.1)


def _check_port_is_free(bind: str) -> None:
    if bind.startswith(("unix:", "fd://")):
        return
    host, port = config.host_and_port(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"cannot listen on {bind}: {error.strerror}") from None


def _offer_first_key(app: Any, settings: Config) -> None:
    shard = app.shard
    if shard.keys.all():
        return
    if not sys.stdout.isatty():
        where = f" --data-dir {settings.folder}"
        click.echo(f"There is no key yet. Make one: shardapi keys create owner --all-scopes{where}", err=True)
        return
    _, secret = shard.keys.create("owner", shard.plugins.all_scopes)
    click.echo(f"Your owner key, shown this once:\n\n  {secret}\n\nTry it:\n")
    click.echo(f'  curl -H "Authorization: Bearer {secret}" {shard.base_url}/api/v1/status\n')


# -- keys


@main.group()
def keys() -> None:
    """Make, list and revoke the keys of bots and dashboards."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, metavar="S", help="A scope, such as read:status; repeat for more."
)
@click.option("--all-scopes", is_flag=True, help="Every scope there is now, those of enabled plugins too.")
@click.option("--bundle", type=click.Choice(["dashboard", "bot", "ops"]), help="A usual set of scopes.")
@click.option(
    "--expires-days", type=click.FloatRange(min=0, min_open=True), help="End it by itself after N days."
)
@as_json
@with_config
def create_key(
    settings: Config,
    name: str,
    scopes: tuple[str, ...],
    all_scopes: bool,
    bundle: str | None,
    expires_days: float | None,
    as_json: bool,
) -> None:
    """Make a key called NAME; its secret is shown once, and kept only as a digest.

    Say what it may do with --scope, --bundle or --all-scopes. A running server takes it at once.
    """
    from .auth import BUNDLES

    if not name.strip() or len(name) > 64:
        raise click.UsageError("a key's name has 1 to 64 characters")
    if sum((bool(scopes), all_scopes, bundle is not None)) != 1:
        raise click.UsageError("say what the key may do: --scope S, --bundle NAME or --all-scopes")
    with opened(settings) as app:
        known = app.shard.plugins.all_scopes
        for scope in scopes:
            if scope not in known:
                raise click.UsageError(f"there is no scope {scope}; there are: {', '.join(sorted(known))}")
        granted = known if all_scopes else scopes or BUNDLES[bundle or "bot"]
        ends = clock.now() + int(expires_days * 86_400_000) if expires_days else 0
        key, secret = app.shard.keys.create(name.strip(), granted, expires_at=ends)
        if as_json:
            say({**_key_facts(key), "secret": secret})
            return
        click.echo(f"{secret}\n", nl=True)
        click.echo(f"id      {key.id}\nname    {key.name}\nexpires {clock.iso(ends) or 'never'}", err=True)
        click.echo("scopes  " + "\n        ".join(sorted(key.scopes)), err=True)
        click.echo("\nThis is the only time the secret is shown.", err=True)


@keys.command("list")
@as_json
@with_config
def list_keys(settings: Config, as_json: bool) -> None:
    """List all keys with their state; never their secrets."""
    with opened(settings) as app:
        found = app.shard.keys.all()
    if as_json:
        say([_key_facts(key) for key in found])
        return
    for key in found:
        last = clock.iso(key.last_used_at) or "never used"
        click.echo(f"{key.id}  {_state(key):8} {last:24}  {key.name}  [{' '.join(sorted(key.scopes))}]")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@with_config
def revoke_key(settings: Config, key_id: str) -> None:
    """End the key ID; its open streams close within a second."""
    with opened(settings) as app:
        if not app.shard.keys.revoke(key_id):
            raise click.ClickException(f"there is no live key {key_id}; see: shardapi keys list")
    click.echo(f"{key_id} is revoked.")


def _state(key: Any) -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.ended(clock.now()) else "live"


def _key_facts(key: Any) -> dict[str, Any]:
    return {
        "id": key.id,
        "kind": key.kind,
        "name": key.name,
        "guildId": key.guild,
        "scopes": sorted(key.scopes),
        "state": _state(key),
        "createdAt": clock.iso(key.created_at),
        "expiresAt": clock.iso(key.expires_at),
        "lastUsedAt": clock.iso(key.last_used_at),
        "revokedAt": clock.iso(key.revoked_at),
    }


# -- operators


@main.group()
def operators() -> None:
    """Let operators' clients in."""


@operators.command("token")
@click.argument("user_id")
@click.option("--name", required=True, help="The display name.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A Discord role id; repeat for more.")
@click.option("--expires-days", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True)
@as_json
@with_config
def operator_token(
    settings: Config, user_id: str, name: str, roles: tuple[str, ...], expires_days: float, as_json: bool
) -> None:
    """Print a token with which the operator USER_ID connects to /ws."""
    import re

    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", user_id):
        raise click.UsageError("a user id is 1 to 64 of A-Z a-z 0-9 _ . : -")
    if not name.strip() or len(name) > 64:
        raise click.UsageError("a display name has 1 to 64 characters")
    with opened(settings) as app:
        shard = app.shard
        token = shard.central.operator_token(user_id, name.strip(), roles, expires_days)
        facts = {
            "token": token,
            "userId": user_id,
            "displayName": name.strip(),
            "roles": list(roles),
            "guildId": shard.guild_id,
            "expiresAt": clock.iso(clock.now() + int(expires_days * 86_400_000)),
        }
    if as_json:
        say(facts)
    else:
        click.echo(token)


# -- what there is


@main.group()
def plugins() -> None:
    """See which plugins there are."""


@plugins.command("list")
@as_json
@with_config
def list_plugins(settings: Config, as_json: bool) -> None:
    """List the plugins with what each one opens."""
    from .plugins import candidates

    with opened(settings) as app:
        loaded = app.shard.plugins
        facts = [
            {
                "name": plugin.name,
                "enabled": True,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "bundled": plugin.bundled,
                "routes": [f"{one.method} {one.rule}" for one in loaded.routes if one.plugin == plugin.name],
            }
            for plugin in loaded.loaded
        ]
    on = {one["name"] for one in facts}
    facts += [
        {"name": name, "enabled": False, "bundled": one.bundled, "routes": []}
        for name, one in sorted(candidates(settings).items())
        if name not in on
    ]
    if as_json:
        say(facts)
        return
    for one in facts:
        click.echo(f"{one['name']:14} {'on ' if one['enabled'] else 'off'}  {', '.join(one['routes'])}")


@main.command()
@with_config
def openapi(settings: Config) -> None:
    """Print the OpenAPI document of the enabled plugins."""
    from .openapi import document

    with opened(settings) as app:
        say(document(app.shard))


@main.group("config")
def config_group() -> None:
    """Look at the settings."""


@config_group.command("check")
@as_json
@with_config
def check_config(settings: Config, as_json: bool) -> None:
    """Check the settings as `serve` would, and say what they open; exit status 1 if they cannot be used."""
    from .plugins import Plugins

    loaded = Plugins(settings)
    facts = {
        "ok": True,
        "dataDir": str(settings.folder),
        "bind": settings.server.bind,
        "plugins": [plugin.name for plugin in loaded.loaded],
    }
    if as_json:
        say(facts)
        return
    click.echo(f"The settings are fine: {settings.server.bind}, data in {settings.folder}.")
    click.echo(f"Plugins: {', '.join(facts['plugins'])}")  # type: ignore[arg-type]


@main.command()
@click.option("-n", "--last", default=20, show_default=True, help="Begin with so many past events.")
@click.option("--types", "patterns", default="", help="Only these types, such as user.*,ptt.start.")
@click.option("--no-follow", is_flag=True, help="Print what there is and end.")
@as_json
@with_config
def tail(settings: Config, last: int, patterns: str, no_follow: bool, as_json: bool) -> None:
    """Watch the event log; reads the store, so it needs no server and no key."""
    from .events import matches

    wanted = [one.strip() for one in patterns.split(",") if one.strip()] or ["*"]
    with opened(settings) as app:
        log, place = app.shard.events, 0
        place = app.shard.store.read(lambda: log.place_before_last(last))
        try:
            while True:
                for event in log.page(place, 2**63 - 1):
                    place = event.number
                    if matches(event.type, wanted):
                        _print_event(event.envelope, as_json)
                if no_follow:
                    return
                time.sleep(0.2)
        except (KeyboardInterrupt, BrokenPipeError):
            sys.stderr.close()


def _print_event(envelope: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(envelope, ensure_ascii=False))
    else:
        data = "  ".join(f"{name}={value}" for name, value in envelope["data"].items())
        click.echo(f"{envelope['at']}  {envelope['type']:20} {data}".rstrip())
    sys.stdout.flush()

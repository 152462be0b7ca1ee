"""The command line: every command works whether or not the server runs."""

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from . import clock, config
from .config import Config, ConfigError
from .launch import launch

if TYPE_CHECKING:
    from .app import ShardApp
    from .auth import Key

DAY_MS = 86_400_000


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shardapi")
def main() -> None:
    """Run and manage a private voice shard's Owner API.

    Settings come from the defaults, a TOML file, and SHARDAPI_* variables, each over the one before. Every
    command works beside a running server and without one.
    """


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --config and --data-dir, and pass it the settings in force."""

    @click.option(
        "--config", "file", metavar="FILE", help="Settings as TOML (default: SHARDAPI_CONFIG, or none)."
    )
    @click.option("--data-dir", metavar="DIR", help="The data folder (default: ./shard-data).")
    @wraps(command)
    def loaded(*args: Any, file: str | None, data_dir: str | None, **kwargs: Any) -> Any:
        environ = dict(os.environ)
        if file is not None:
            environ["SHARDAPI_CONFIG"] = str(Path(file).absolute())
        if data_dir is not None:
            environ["SHARDAPI_DATA_DIR"] = str(Path(data_dir).absolute())
        if kwargs.get("bind"):
            environ["SHARDAPI_SERVER__BIND"] = kwargs["bind"]
        click.get_current_context().obj = environ
        with one_line():
            return command(*args, settings=config.load(environ=environ), **kwargs)

    return loaded


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@contextmanager
def one_line(errors: Callable[[], tuple[type[Exception], ...]] = lambda: (ConfigError,)) -> Iterator[None]:
    """Tell a foreseen error in one line, with exit status 1."""
    try:
        yield
    except errors() as error:
        raise click.ClickException(" ".join(str(error).split())) from None


def foreseen() -> tuple[type[Exception], ...]:
    """What opening and writing a shard may raise that its owner can mend."""
    from peewee import DatabaseError

    from .errors import ApiError
    from .store import StoreTooNew

    return ConfigError, ApiError, DatabaseError, StoreTooNew


@contextmanager
def opened(settings: Config) -> "Iterator[ShardApp]":
    """The shard, open beside a running server."""
    from .app import create_app

    with one_line(foreseen):
        app = create_app(settings)
        try:
            yield app
        finally:
            app.shard.close()


@contextmanager
def assembled(settings: Config) -> "Iterator[ShardApp]":
    """The app as `serve` would make it, on a store that is thrown away: for what does not need the data."""
    with (
        tempfile.TemporaryDirectory(prefix="shardapi-") as name,
        opened(msgspec.structs.replace(settings, data_dir=name)) as app,
    ):
        yield app


def say(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


# -- serve


@main.command()
@click.option(
    "--bind", metavar="HOST:PORT", help="Where to listen (default: 127.0.0.1:25588; port 0: a free one)."
)
@with_config
@click.pass_obj
def serve(environ: dict[str, str], settings: Config, bind: str | None) -> None:
    """Run the shard until it is told to stop.

    The first start makes the data folder, the store, the signing secret and the guild. On a terminal it also
    makes one owner key with all scopes and shows it once. TERM and Ctrl-C end it, HUP begins it anew without
    refusing a request.
    """
    launch(settings, environ)


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
@click.option("--service", is_flag=True, help="A service key: it only listens on /ws, and has no scopes.")
@click.option(
    "--expires-days",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="End it by itself after N days.",
)
@as_json
@with_config
def create_key(
    settings: Config,
    name: str,
    scopes: tuple[str, ...],
    all_scopes: bool,
    bundle: str | None,
    service: bool,
    expires_days: float | None,
    as_json: bool,
) -> None:
    """Make a key called NAME; its secret is shown once, and kept only as a digest.

    Say what it may do with --scope, --bundle or --all-scopes; give a bot the least it can do its job with. With
    --service it opens the operators' gateway instead, to listen: its id is the user id to put on nets. A running
    server takes the key at once. The secret alone is on standard output:

    \b
      KEY=$(shardapi keys create my-bot --scope read:status --scope write:nets)
    """
    from .auth import BUNDLES

    name = _checked_name(name, "a key's name")
    if [bool(scopes), all_scopes, bundle is not None, service].count(True) != 1:
        raise click.UsageError("say what the key may do: --scope S, --bundle NAME, --all-scopes or --service")
    with opened(settings) as app:
        known = app.shard.plugins.all_scopes
        for scope in scopes:
            if scope not in known:
                raise click.ClickException(
                    f"there is no scope {scope}; there are: {', '.join(sorted(known))}"
                )
        granted = known if all_scopes else BUNDLES[bundle] if bundle else scopes
        ends = clock.now() + int(expires_days * DAY_MS) if expires_days else 0
        kind = "service" if service else "owner"
        key, secret = app.shard.keys.create(name, granted, kind, expires_at=ends)
    if as_json:
        say({**_key_facts(key), "secret": secret})
        return
    click.echo(secret)
    click.echo(f"\nid       {key.id}\nname     {key.name}\nexpires  {clock.iso(ends) or 'never'}", err=True)
    click.echo("scopes   " + ("\n         ".join(sorted(key.scopes)) or "none: it listens on /ws"), err=True)
    click.echo("\nThe secret is shown this once.", err=True)


@keys.command("list")
@as_json
@with_config
def list_keys(settings: Config, as_json: bool) -> None:
    """List all keys, the oldest first, ended ones too; never their secrets."""
    with opened(settings) as app:
        found = app.shard.keys.all()
    if as_json:
        say([_key_facts(key) for key in found])
        return
    for key in found:
        used = clock.iso(key.last_used_at) or "never used"
        opens = "/ws" if key.kind == "service" else " ".join(sorted(key.scopes))
        click.echo(f"{key.id}  {_state(key):8} {used:24}  {key.name}  [{opens}]")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@as_json
@with_config
def revoke_key(settings: Config, key_id: str, as_json: bool) -> None:
    """End the key ID for good; a running server refuses it and closes its streams and sockets within a second."""
    with opened(settings) as app:
        if not app.shard.keys.revoke(key_id):
            raise click.ClickException(f"there is no live key {key_id}; see: shardapi keys list")
        key = next(key for key in app.shard.keys.all() if key.id == key_id)
    if as_json:
        say(_key_facts(key))
    else:
        click.echo(f"{key_id} ({key.name}) is revoked.")


def _checked_name(name: str, what: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise click.UsageError(f"{what} has 1 to 64 characters, none of them a control character")
    return name


def _state(key: "Key") -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.ended(clock.now()) else "live"


def _key_facts(key: "Key") -> dict[str, Any]:
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
    """Let operators' clients in, see who is there, and send them away."""


@operators.command("token")
@click.argument("user_id")
@click.option("--name", required=True, help="The display name.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A Discord role id; repeat for more.")
@click.option(
    "--expires-days",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    default=30.0,
    help="End it by itself after N days (default: 30).",
)
@as_json
@with_config
def operator_token(
    settings: Config, user_id: str, name: str, roles: tuple[str, ...], expires_days: float, as_json: bool
) -> None:
    """Print a token with which the operator USER_ID connects to /ws.

    It is signed with the shard's own secret and says who they are, which roles they hold and when it ends. A
    client shows it as `Authorization: Bearer TOKEN`.
    """
    _check_user_id(user_id)
    name = _checked_name(name, "a display name")
    with opened(settings) as app:
        shard = app.shard
        token = shard.central.operator_token(user_id, name, roles, expires_days)
    if not as_json:
        click.echo(token)
        return
    say(
        {
            "token": token,
            "userId": user_id,
            "displayName": name,
            "roles": list(roles),
            "guildId": shard.guild_id,
            "expiresAt": clock.iso(clock.now() + int(expires_days * DAY_MS)),
        }
    )


@operators.command("revoke")
@click.argument("user_id", metavar="USER_ID|all")
@as_json
@with_config
def revoke_operator(settings: Config, user_id: str, as_json: bool) -> None:
    """Refuse the tokens that USER_ID, or everyone, has now.

    A running server closes their sockets within a second. A token made afterwards is good. Service keys end with
    `shardapi keys revoke`.
    """
    from .operators import EVERYONE

    _check_user_id(user_id)
    with opened(settings) as app:
        at = app.shard.operators.revoke(EVERYONE if user_id == "all" else user_id)
    if as_json:
        say({"userId": user_id, "revokedAt": clock.iso(at * 1000)})
    else:
        click.echo(f"The tokens of {'everyone' if user_id == 'all' else user_id} are revoked.")


@operators.command("list")
@as_json
@with_config
def list_operators(settings: Config, as_json: bool) -> None:
    """List who is connected, the first to join first.

    Reads the store, so it asks no server; while none runs, nobody is connected.
    """
    with opened(settings) as app:
        found = app.shard.operators.connected()
        names = {uid: net.name for uid, net in app.shard.guild.nets.items()}
    if as_json:
        say(
            [
                {
                    "userId": one.user_id,
                    "displayName": one.display_name,
                    "transport": one.transport,
                    "since": clock.iso(one.since),
                    "service": one.service,
                    "transmitting": list(one.talking),
                }
                for one in found
            ]
        )
        return
    for one in found:
        talks = ", ".join(names.get(uid, uid) for uid in one.talking)
        listens = "  (listens)" if one.service else ""
        click.echo(f"{one.user_id:20}  {clock.iso(one.since)}  {one.display_name}{listens}  {talks}".rstrip())


def _check_user_id(user_id: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", user_id):
        raise click.UsageError("a user id is 1 to 64 of A-Z a-z 0-9 _ . : -")


# -- what there is


@main.group()
def plugins() -> None:
    """See which plugins there are."""


@plugins.command("list")
@as_json
@with_config
def list_plugins(settings: Config, as_json: bool) -> None:
    """List every plugin that is installed, whether it runs, and what it opens.

    [plugins] enabled in the settings says which run; without it, all that came with shardapi.
    """
    from .plugins import candidates

    with assembled(settings) as app:
        loaded = app.shard.plugins
    running = {plugin.name: plugin for plugin in loaded.loaded}
    facts = []
    for name, candidate in sorted(candidates(settings).items()):
        plugin = running.get(name)
        routes = [f"{route.method} {route.rule}" for route in loaded.routes if route.plugin == name]
        facts.append(
            {
                "name": name,
                "enabled": plugin is not None,
                "bundled": candidate.bundled,
                "distribution": plugin.distribution if plugin else "",
                "version": plugin.version if plugin else "",
                "routes": routes,
            }
        )
        if not as_json:
            click.echo(f"{name:14} {'on ' if plugin else 'off'}  {', '.join(routes)}".rstrip())
    if as_json:
        say(facts)


@main.command()
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as it does anyway.")
@with_config
def openapi(settings: Config) -> None:
    """Print the OpenAPI 3.1 document of the enabled plugins, as /api/v1/openapi.json answers it."""
    from .openapi import document

    with assembled(settings) as app:
        say(document(app.shard))


@main.group("config")
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


# -- simulated operators


@main.command()
@click.option(
    "--operators", type=click.IntRange(1, 5000), default=24, metavar="N", help="How many (default: 24)."
)
@click.option(
    "--seed", type=int, metavar="N", help="The same seed, the same plot (default: another each time)."
)
@click.option(
    "--bind",
    default="127.0.0.1:25588",
    metavar="HOST:PORT",
    help="Where to listen (default: 127.0.0.1:25588; port 0: a free one).",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the data here (default: nowhere).",
)
def demo(operators: int, seed: int | None, bind: str, data_dir: Path | None) -> None:
    """Run a shard full of simulated operators, to look at and to try a bot on.

    They join, talk in turns, change nets and leave, over real connections. Prints where to look and a key.
    Takes no settings but these. Ctrl-C ends all of it.
    """
    from random import randrange

    from .demo import run

    with one_line(foreseen):
        run(operators, randrange(10_000) if seed is None else seed, bind, data_dir and data_dir.absolute())


@main.command()
@click.option("--url", required=True, metavar="URL", help="The shard, such as http://127.0.0.1:25588.")
@click.option(
    "--script", "path", required=True, type=click.Path(path_type=Path), metavar="FILE", help="What they do."
)
@click.option(
    "--seed", type=int, metavar="N", help="Of all that the script leaves open (default: the script's)."
)
@click.option(
    "--speed", type=click.FloatRange(0, min_open=True), default=1.0, metavar="X", help="X times as fast."
)
@click.option("--key", default="", metavar="SECRET", help="A key with read:status and write:assignments.")
@as_json
@with_config
def simulate(
    settings: Config, url: str, path: Path, seed: int | None, speed: float, key: str, as_json: bool
) -> None:
    """Have simulated operators do what a script says; the same seed, the same events in the same order.

    The script, in TOML or JSON, names the operators by their user ids, and says who does what at which second:

    \b
      seed = 7
      [operators.viper]
      name = "Viper 1"                 # all three may be left out
      roles = ["880000000000000001"]
      token = "..."
      [operators.raven]
      [[steps]]
      at = 0
      join = ["viper", "raven"]        # one user id or a list
      [[steps]]
      at = 1.5
      talk = "viper"
      net = "Strike"                   # its name, its uid or its slot
      seconds = 2.5                    # else as long as people talk
      [[steps]]
      at = 5
      chat = ["viper", "raven"]        # they take turns for so long
      net = "Strike"
      seconds = 30
      [[steps]]
      at = 36
      assign = "raven"                 # and unassign; these need a key
      net = "Recon"
      [[steps]]
      at = 40
      leave = "viper"                  # at the end everyone leaves

    Tokens and a key that are not given are made for the time of the run from the shard's data, where --data-dir
    or --config says it is. Exit status 1 if the shard refused a step.
    """
    import asyncio

    from .folder import STORE
    from .script import ScriptError, read
    from .simulator import Done, Simulator, access

    refused = False

    def told(done: Done) -> None:
        nonlocal refused
        refused = refused or bool(done.refused)
        step = done.step
        if as_json:
            click.echo(json.dumps({**msgspec.structs.asdict(step), "refused": done.refused}))
            return
        click.echo(f"{step.at:9.3f}  {step.do:9} {step.user}  {step.net}  {done.refused}".rstrip())

    with one_line(lambda: (ScriptError, *foreseen())):
        script = read(path)
        data = settings if (settings.folder / STORE).exists() else None
        with access(script.operators, script.needs_key and not key, data) as (tokens, minted):
            simulator = Simulator(url, tokens, key or minted, told)
            asyncio.run(simulator.run(script.plan(seed), speed))
    if refused:
        click.get_current_context().exit(1)


# -- tail


@main.command()
@click.option(
    "-n", "--last", type=click.IntRange(min=0), default=20, help="Begin N events ago (default: 20)."
)
@click.option("--types", default="", metavar="T,…", help="Only these types, such as user.*,ptt.start.")
@click.option(
    "--net",
    "nets",
    multiple=True,
    metavar="NET",
    help="Only what names this net (name, uid or slot); repeat for more.",
)
@click.option(
    "--user",
    "users",
    multiple=True,
    metavar="USER",
    help="Only this user (display name or id); repeat for more.",
)
@click.option("--no-follow", is_flag=True, help="Print what there is, and end.")
@as_json
@with_config
def tail(
    settings: Config,
    last: int,
    types: str,
    nets: tuple[str, ...],
    users: tuple[str, ...],
    no_follow: bool,
    as_json: bool,
) -> None:
    """Watch the events as they happen; Ctrl-C ends it.

    Reads the store, so it needs no server and no key. In colour on a terminal, unless NO_COLOR is set. With --json
    each line is one event as the stream has it.
    """
    from .tail import Wanted, follow

    patterns = [one.strip() for one in types.split(",") if one.strip()]
    with one_line(foreseen), opened(settings) as app:
        follow(app.shard, Wanted(patterns, nets, users), last, not no_follow, as_json)

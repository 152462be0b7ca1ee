"""The program `shardapi` and its commands."""

import click

from ..config import Config
from . import backup, doctor, keys, moving, operators, overview, plugins, simulate, systemd
from .launch import launch
from .options import as_json, existing, foreseen, one_line, with_config
from .plugged import Main


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shardapi")
def main() -> None:
    """Run and manage a private voice shard's Owner API.

    Settings come from the defaults, a TOML file, and SHARDAPI_* variables, each over the one before. Every
    command works beside a running server and without one.
    """


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


@main.command("tail")
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
def watch(
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
    with one_line(foreseen), existing(settings) as app:
        follow(app.shard, Wanted(patterns, nets, users), last, not no_follow, as_json)


for command in (
    keys.keys,
    operators.operators,
    plugins.plugins,
    overview.openapi,
    overview.config_group,
    systemd.install_systemd,
    doctor.doctor,
    simulate.demo,
    simulate.simulate,
    backup.backup,
    backup.restore,
    moving.export_shard,
    moving.import_shard,
):
    main.add_command(command)

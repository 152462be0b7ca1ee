"""`shardapi maintenance`: the window on the command line, whether or not the server runs."""

import click

from shardapi import Shard, clock
from shardapi.cli.options import as_json, say

from .settings import Settings
from .window import Span, keep, kept, told


@click.command("show")
@as_json
@click.pass_obj
def show(shard: Shard, as_json: bool) -> None:
    """Tell whether there is a window."""
    _print(shard.store.read(lambda: kept(shard.guild_id)), as_json)


@click.command("start")
@click.argument("minutes", type=click.IntRange(min=1))
@click.option("--why", default="", help="What those who are refused are told.")
@as_json
@click.pass_obj
def start(shard: Shard, minutes: int, why: str, as_json: bool) -> None:
    """Refuse changes from now on for so many minutes; a running server knows within a second."""
    longest = shard.settings(Settings).longest_minutes
    if minutes > longest:
        raise click.UsageError(f"a window has at most {longest} minutes")
    now = clock.now()
    _keep(shard, Span(now, now + minutes * 60_000, why[:200]), as_json)


@click.command("end")
@as_json
@click.pass_obj
def end(shard: Shard, as_json: bool) -> None:
    """Allow changes again."""
    _keep(shard, Span(), as_json)


def _keep(shard: Shard, span: Span, as_json: bool) -> None:
    after, _ = shard.writer.write(lambda: keep(shard.guild_id, span), tell=told)
    _print(after, as_json)


def _print(span: Span, as_json: bool) -> None:
    on = span.holds(clock.now())
    starts_at, ends_at = clock.iso(span.starts_at), clock.iso(span.ends_at)
    if as_json:
        say({"on": on, "startsAt": starts_at, "endsAt": ends_at, "why": span.why})
    elif span.ends_at > clock.now():
        click.echo(f"{starts_at} to {ends_at}{' (now)' if on else ''}  {span.why}".rstrip())
    else:
        click.echo("There is no window.")

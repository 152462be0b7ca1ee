"""`shardapi discord`: how the channel fares, a test message, beginning anew, and what was refused."""

import click

from shardapi import Shard
from shardapi.cli.options import as_json, say
from shardapi.clock import iso

from .desk import Desk


@click.command("status")
@as_json
@click.pass_obj
def status(shard: Shard, as_json: bool) -> None:
    """Show which channel is told what, and how that fares."""
    desk = Desk.current()
    row, parked, retrying = desk.row()
    state = desk.outbox.state(row)
    facts = {
        "url": row.url,
        "events": list(desk.settings.events),
        "enabled": row.enabled,
        "state": state,
        "disabledReason": row.disabled,
        "failures": row.failures,
        "failingSince": iso(row.failing_since),
        "lastDeliveryAt": iso(row.last_delivery_at),
        "lastStatus": row.last_status,
        "lastError": row.last_error,
        "nextAttemptAt": iso(row.next_at),
        "lastGapAt": iso(row.gap_at),
        "parked": parked,
        "retrying": retrying,
    }
    if as_json:
        return say(facts)
    click.echo(f"{row.url} is told {' '.join(desk.settings.events)}")
    if not row.enabled:
        click.echo(f"It is disabled ({row.disabled}): `shardapi discord enable` once that is mended.")
    elif row.failures:
        click.echo(f"{row.failures} failures, last {row.last_status or row.last_error}.")
    if row.next_at:
        click.echo(f"Its messages wait; the next try is at {iso(row.next_at)}.")
    if row.gap_at:
        click.echo(f"It has missed events, last {iso(row.gap_at)}: the log did not keep them.")
    if parked:
        click.echo(f"{parked} events were refused: `shardapi discord replay` tells them again.")
    if retrying:
        click.echo(f"{retrying} events that were refused are tried again.")


@click.command("test")
@as_json
@click.pass_obj
def test(shard: Shard, as_json: bool) -> None:
    """Send the channel a message, from here; exits with 1 if it is not taken."""
    result = Desk.current().test()
    if as_json:
        say(
            {
                "delivered": result.taken,
                "status": result.status,
                "durationMs": result.ms,
                "error": result.error,
            }
        )
    elif result.taken:
        click.echo(f"Discord took it ({result.ms} ms): look into the channel.")
    elif result.status:
        click.echo(f"Discord answered {result.status}{WHY.get(result.status, '')}.")
    else:
        click.echo(f"Discord did not answer: {result.error}.")
    if not result.taken:
        raise SystemExit(1)


WHY = {
    401: ": the URL's token is not right",
    404: ": there is no such webhook any more",
    429: ": too many messages at once, try again in a while",
}


@click.command("enable")
@as_json
@click.pass_obj
def enable(shard: Shard, as_json: bool) -> None:
    """Tell the channel again what happens, from where it was; a running server begins within a second."""
    changed = Desk.current().enable()
    if as_json:
        return say({"changed": changed})
    click.echo("The channel is told again." if changed else "It was not disabled.")


@click.command("replay")
@as_json
@click.pass_obj
def replay(shard: Shard, as_json: bool) -> None:
    """Tell the channel again what it has refused; a running server begins within a second."""
    count = Desk.current().replay()
    if as_json:
        return say({"parked": count})
    click.echo(f"{count} events are told again." if count else "Nothing was refused.")


ALL = (status, test, enable, replay)

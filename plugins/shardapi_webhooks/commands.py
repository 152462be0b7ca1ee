"""`shardapi webhooks`: the webhooks, a test delivery, and what is to be sent again."""

import click
import msgspec

from shardapi import Shard
from shardapi.cli.options import as_json, say

from .registry import Registry
from .shown import WebhookShown


@click.command("list")
@as_json
@click.pass_obj
def list_(shard: Shard, as_json: bool) -> None:
    """List the webhooks and how they fare."""
    found = Registry.current().all()
    if as_json:
        return say({"webhooks": msgspec.to_builtins(found), "events": sorted(shard.events.types)})
    if not found:
        click.echo("There are no webhooks: POST /api/v1/webhooks registers one.")
    for webhook in found:
        click.echo(_line(webhook))


def _line(webhook: WebhookShown) -> str:
    state = webhook.disabled_reason and f"disabled ({webhook.disabled_reason})" or webhook.state
    if webhook.state == "held":
        state = f"held (next try {webhook.next_attempt_at})"
    parts = [webhook.id, state, webhook.url, " ".join(webhook.events) or "all but ptt.*"]
    if webhook.failures:
        parts.append(f"{webhook.failures} failures, last {webhook.last_status or webhook.last_error}")
    if webhook.parked:
        parts.append(f"{webhook.parked} parked")
    if webhook.retrying:
        parts.append(f"{webhook.retrying} tried again")
    return "  ".join(parts)


@click.command("test")
@click.argument("id_", metavar="ID")
@as_json
@click.pass_obj
def test(shard: Shard, id_: str, as_json: bool) -> None:
    """Send webhook ID one event of the type webhook.test, from here; exits with 1 if it is not taken."""
    result = Registry.current().test(id_)
    if as_json:
        say(
            {
                "id": id_,
                "delivered": result.taken,
                "status": result.status,
                "durationMs": result.ms,
                "error": result.error,
            }
        )
    else:
        said = f"answered {result.status}" if result.status else f"did not answer: {result.error}"
        click.echo(f"{id_} {said} ({result.ms} ms)")
    if not result.taken:
        raise SystemExit(1)


@click.command("replay")
@click.argument("id_", metavar="ID")
@click.option("--since", default="", metavar="ID|TIME", help="Send again what came after this event or time.")
@as_json
@click.pass_obj
def replay(shard: Shard, id_: str, since: str, as_json: bool) -> None:
    """Send webhook ID events again: what is parked, or with --since all that came after.

    A running server begins within a second; without one, the next one does.
    """
    registry = Registry.current()
    row, after, parked = shard.writer.write(lambda: registry.replay(id_, since))
    if as_json:
        return say({"id": id_, "since": after, "parked": parked})
    what = f"all after {after}" if after else f"{parked} parked events"
    when = "" if row.enabled else f", but it is disabled: not before POST /api/v1/webhooks/{id_}/enable"
    click.echo(f"{id_} is sent again {what}{when}")


ALL = (list_, test, replay)

"""`shardapi keys`: the keys of bots and dashboards."""

from typing import TYPE_CHECKING, Any

import click

from .. import clock
from ..config import Config
from ..folder import holds
from .options import Days, as_json, checked_name, existing, opened, say, with_config

if TYPE_CHECKING:
    from ..auth import Key

DAY_MS = 86_400_000


@click.group()
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
    type=Days(),
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
    from ..auth import BUNDLES

    name = checked_name(name, "a key's name")
    if [bool(scopes), all_scopes, bundle is not None, service].count(True) != 1:
        raise click.UsageError("say what the key may do: --scope S, --bundle NAME, --all-scopes or --service")
    begun = not holds(settings.folder)
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
    if begun:
        click.echo(f"There was no shard in {settings.folder}; one is begun.", err=True)
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
    with existing(settings) as app:
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
    with existing(settings) as app:
        if not app.shard.keys.revoke(key_id):
            raise click.ClickException(f"there is no live key {key_id}; see: shardapi keys list")
        key = next(key for key in app.shard.keys.all() if key.id == key_id)
    if as_json:
        say(_key_facts(key))
    else:
        click.echo(f"{key_id} ({key.name}) is revoked.")


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

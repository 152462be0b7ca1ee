"""`shardapi operators`: who may connect, and who is."""

import re

import click

from .. import clock
from ..config import Config
from .options import Days, as_json, checked_name, existing, say, with_config

DAY_MS = 86_400_000


@click.group()
def operators() -> None:
    """Let operators' clients in, see who is there, and send them away."""


@operators.command("token")
@click.argument("user_id")
@click.option("--name", required=True, help="The display name.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A Discord role id; repeat for more.")
@click.option(
    "--expires-days",
    type=Days(),
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
    _check_id(user_id, "a user id")
    name = checked_name(name, "a display name")
    for role in roles:
        _check_id(role, "a role")
    with existing(settings) as app:
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
    from ..operators import EVERYONE

    _check_id(user_id, "a user id")
    with existing(settings) as app:
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
    with existing(settings) as app:
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


def _check_id(text: str, what: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text):
        raise click.UsageError(f"{what} is 1 to 64 of A-Z a-z 0-9 _ . : -")

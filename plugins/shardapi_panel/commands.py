"""`shardapi panel`: links to sign in with, the password, and who is signed in."""

import sys
from unicodedata import category

import click
import flask

from shardapi import Shard, clock
from shardapi.cli.options import as_json, say

from .blueprint import panel
from .door import LONGEST_PASSWORD, OWNER, SHORTEST_PASSWORD, Door
from .guard import SESSIONS
from .sessions import Sessions
from .signin import DOOR


def _door() -> Door:
    found: Door = flask.current_app.extensions[DOOR]
    return found


def _sessions() -> Sessions:
    found: Sessions = flask.current_app.extensions[SESSIONS]
    return found


@panel.cli.command("link")
@click.option("--name", default=OWNER, metavar="WHO", help=f"Whom the audit names (default: {OWNER}).")
@as_json
@click.pass_obj
def link(shard: Shard, name: str, as_json: bool) -> None:
    """Print a link that opens the panel once, within ten minutes.

    Nothing is used up before its button is pressed, so a chat may look at it.
    """
    name = name.strip()
    if not 1 <= len(name) <= 40 or any(category(one) in ("Cc", "Cs") for one in name):
        raise click.UsageError("WHO has 1 to 40 characters, none of them a control character")
    url = f"{shard.base_url}/panel/sign-in#{_door().make_link(name)}"
    if as_json:
        say({"url": url, "name": name, "guildId": shard.guild_id})
    else:
        click.echo(url)


@panel.cli.command("password")
@click.option("--remove", is_flag=True, help="Let nobody in by a password any more.")
@as_json
@click.pass_obj
def password(shard: Shard, remove: bool, as_json: bool) -> None:
    """Set the password of the panel, and end all sessions.

    Asks for it on a terminal; else its first line on standard input is the password. It is kept hashed.
    """
    if remove:
        _door().remove_password()
    else:
        _door().set_password(_new_password())
    ended = _sessions().end_all()
    if as_json:
        say({"password": not remove, "sessionsEnded": ended, "guildId": shard.guild_id})
        return
    click.echo(f"The password is {'removed' if remove else 'set'}; {ended} sessions ended.")


def _new_password() -> str:
    if sys.stdin.isatty():
        given: str = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST_PASSWORD <= len(given) <= LONGEST_PASSWORD:
        raise click.UsageError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return given


@panel.cli.command("sessions")
@click.option("--end", "end_id", metavar="ID|all", help="End that one, or all.")
@as_json
def sessions(end_id: str | None, as_json: bool) -> None:
    """List who is signed in to the panel, or end it; a running server follows within a second."""
    known = _sessions()
    if end_id == "all":
        known.end_all()
    elif end_id and not known.end(end_id):
        raise click.ClickException(f"there is no session {end_id}; see: shardapi panel sessions")
    found = known.all()
    if as_json:
        say(
            [
                {
                    "id": one.id,
                    "name": one.who,
                    "by": one.way,
                    "signedInAt": clock.iso(one.signed_in_at),
                    "lastUsedAt": clock.iso(one.last_used_at),
                    "address": one.address,
                    "browser": one.agent,
                }
                for one in found
            ]
        )
        return
    if not found:
        click.echo("Nobody is signed in.")
    for one in found:
        click.echo(f"{one.id}  {clock.iso(one.last_used_at)}  {one.address:20}  {one.who}")

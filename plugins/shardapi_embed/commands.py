"""`shardapi public-token`: the links for the org's website, and new ones in their place."""

import click

from shardapi import Shard
from shardapi.cli.options import as_json, say

from .site import Site


@click.command("show")
@as_json
@click.pass_obj
def show(shard: Shard, as_json: bool) -> None:
    """Show the token, its links, and what to paste into a page.

    Whoever has a link sees which nets there are and how many are on them; never who. The token stays the same until it
    is rotated.
    """
    _print(Site.of(shard), as_json)


@click.command("rotate")
@as_json
@click.pass_obj
def rotate(shard: Shard, as_json: bool) -> None:
    """End every token there is, and show the new one.

    A running server refuses the old ones within a second; caches between it and a reader may hold an answer for five
    more.
    """
    site = Site.of(shard)
    site.tokens.rotate()
    _print(site, as_json)


def _print(site: Site, as_json: bool) -> None:
    links = site.links()
    if as_json:
        say(
            {
                "token": links.token,
                "statusUrl": links.status_url,
                "widgetUrl": links.widget_url,
                "expiresAt": links.expires_at,
                "guildId": site.shard.guild_id,
            }
        )
        return
    click.echo(f"token    {links.token}")
    click.echo(f"status   {links.status_url}")
    click.echo(f"widget   {links.widget_url}")
    click.echo(f"expires  {links.expires_at or 'never'}")
    click.echo(f"\nPaste this into the page:\n\n  {links.embed_code}")

"""GET /public-token, /embed/status, /embed/widget: what is live, for the org's website, without a key."""

from typing import Annotated

import flask
import msgspec

from shardapi import PUBLIC, ApiError, Call, NoBody, Query, Routes, Shard, ShardApp, Write, hookimpl
from shardapi.errors import INVALID_VALUE, PUBLIC_TOKEN_ENDED, PUBLIC_TOKEN_INVALID, FieldError

from .commands import rotate, show
from .live import LiveAnswer
from .page import THEMES
from .settings import Settings as Settings
from .site import EXTENSION, STATUS, WIDGET, LinksAnswer, LinksRotated, Site

embed = Routes("embed", cli_group="public-token")
embed.cli.help = "See or rotate the link for the org's website."
for command in (show, rotate):
    embed.cli.add_command(command)

ANYWHERE = ("Access-Control-Allow-Origin", "*")
NO_ANSWER, FRESH = (ANYWHERE,), (ANYWHERE, ("Cache-Control", "public, max-age=5"))
HEADERS = {
    "Cache-Control": "An answer is good for five seconds.",
    "Access-Control-Allow-Origin": "Any page may read it, errors too.",
}
REFUSALS = (PUBLIC_TOKEN_INVALID, PUBLIC_TOKEN_ENDED)


class TokenQuery(Query, kw_only=True):
    """What the link of a site carries."""

    schema_extra = {"required": ["token"]}

    token: Annotated[str, msgspec.Meta(description="The public token.")] = ""


class WidgetQuery(TokenQuery, kw_only=True):
    """What the link of a widget carries."""

    theme: Annotated[
        str,
        msgspec.Meta(
            description="Colours; auto is what the reader's system prefers.",
            extra_json_schema={"enum": list(THEMES)},
        ),
    ] = THEMES[0]


@embed.get("/public-token", scope="read:status")
def read_token(shard: Shard) -> LinksAnswer:
    """The public token and its links, the same until it is rotated: they show numbers and nets, never people."""
    return Site.of(shard).links()


@embed.post(
    "/public-token/rotate",
    scope="manage:features",
    examples={"answer": {"action": "public-token.rotate"}},
)
def rotate_token(body: NoBody, write: Write, shard: Shard) -> LinksRotated:
    """End every public token there is and show the new one; pages with an old link show nothing any more."""
    return Site.of(shard).rotate(write)


@embed.get(STATUS, scope=PUBLIC, errors=REFUSALS, headers=HEADERS)
def read_status(call: Call, query: TokenQuery) -> LiveAnswer:
    """The operation, the nets and how many are on them, for anyone with the public token; nobody's id or name."""
    call.headers = NO_ANSWER
    site: Site = flask.current_app.extensions[EXTENSION]
    site.tokens.check(query.token)
    call.headers = FRESH
    return site.live.renew().body  # type: ignore[return-value]


@embed.get(
    WIDGET,
    scope=PUBLIC,
    errors=(*REFUSALS, INVALID_VALUE),
    media_type="text/html",
    headers={"Content-Security-Policy": "What the page may do, and which sites may frame it."},
    examples={"answer": '<!doctype html>\n<html lang="en" data-theme="auto">…</html>\n'},
)
def read_widget(call: Call, shard: Shard, query: WidgetQuery) -> flask.Response:
    """A page for a frame on the org's website: what the status says, readable without JavaScript and live with it."""
    site, known = Site.of(shard), query.theme in THEMES
    theme = query.theme if known else THEMES[0]
    try:
        site.tokens.check(query.token)
        if not known:
            raise INVALID_VALUE(
                f"theme is {', '.join(THEMES[:-1])} or {THEMES[-1]}.",
                errors=(FieldError("theme", "is not one of them"),),
            )
    except ApiError as error:
        if "text/html" not in call.environ.get("HTTP_ACCEPT", ""):
            raise
        page = site.page.refusal(error, theme)
        return flask.Response(page, error.kind.status, {**site.page.headers, **dict(error.headers)})
    live = site.live.renew()
    if theme not in live.pages:
        live.pages[theme] = site.page.widget(live.answer, theme)
    return flask.Response(live.pages[theme], 200, {**site.page.headers, **dict(FRESH)})


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The routes, and what they keep for this shard."""
    app.extensions[EXTENSION] = Site(app.shard)
    return [embed]

"""/docs: the reference of this very shard, its events and errors, guides to start with, and a form to try each call."""

from typing import Annotated

import flask
import msgspec

from shardapi import PUBLIC, Call, Query, Routes, ShardApp, errors, hookimpl

from .site import EXTENSION, Made, Site

ROOT = "/docs"
docs = Routes("docs", url_prefix="", static_folder="static", static_url_path=f"{ROOT}/static")

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
TOLD = {"Content-Security-Policy": "What the page may do: nothing but ask this shard."}
LONGEST_QUERY = 200


class SearchQuery(Query, kw_only=True):
    """What is looked for."""

    q: Annotated[str, msgspec.Meta(description="Words, or their beginnings")] = ""


@docs.get(ROOT, scope=PUBLIC, media_type="text/html", headers=TOLD)
def home(call: Call) -> flask.Response:
    """Where to begin."""
    return _answer(call, _site().page(""))


@docs.get(f"{ROOT}/search", scope=PUBLIC, media_type="text/html", headers=TOLD)
def search(call: Call, query: SearchQuery) -> flask.Response:
    """What the docs say of some words, for readers without a script."""
    return _answer(call, _site().search(query.q[:LONGEST_QUERY]))


@docs.get(f"{ROOT}/index.json", scope=PUBLIC)
def index(call: Call) -> flask.Response:
    """Every place of the docs, for the page's script."""
    return _answer(call, _site().index())


@docs.get(f"{ROOT}/calls.json", scope=PUBLIC)
def calls(call: Call) -> flask.Response:
    """Every call, for the form that tries it."""
    return _answer(call, _site().calls())


@docs.get(
    f"{ROOT}/<path:page>", scope=PUBLIC, media_type="text/html", headers=TOLD, errors=[errors.NOT_FOUND]
)
def read(call: Call, page: Annotated[str, msgspec.Meta(description="The page's name")]) -> flask.Response:
    """A guide, the calls of a plugin, the event types, the errors, the scopes; or `all` of it to be printed."""
    made = _site().page(page)
    if made is not None or "text/html" in call.environ.get("HTTP_ACCEPT", ""):
        return _answer(call, made)
    raise errors.NOT_FOUND("The docs have no such page.", hint=f"GET {ROOT} is where they begin.")


def _site() -> Site:
    site: Site = flask.current_app.extensions[EXTENSION]
    return site


def _answer(call: Call, made: Made | None) -> flask.Response:
    """A page as it was compressed, to whoever takes it so; 304 to whoever has it."""
    status = 200 if made is not None else 404
    made = made if made is not None else _site().missing()
    headers = {**HEADERS, "Content-Type": made.kind, "ETag": f'"{made.tag}"'}
    if status == 200 and headers["ETag"] in call.environ.get("HTTP_IF_NONE_MATCH", ""):
        return flask.Response(None, 304, headers)
    if "gzip" not in call.environ.get("HTTP_ACCEPT_ENCODING", ""):
        return flask.Response(made.plain, status, headers)
    return flask.Response(made.body, status, {**headers, "Content-Encoding": "gzip"})


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The pages; none is made before the first is asked for."""
    app.extensions[EXTENSION] = Site(app)
    return [docs]

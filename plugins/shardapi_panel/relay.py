"""The API and its stream for the scripts of pages: they show the session's cookie, and the token for a change."""

from typing import Any
from urllib.parse import quote

import flask

from shardapi.errors import TOO_MANY_STREAMS
from shardapi.hub import Filter
from shardapi.streaming import StreamResponse, greeting

from . import csrf
from .api import inside, this_session, this_shard
from .blueprint import panel
from .failures import problem
from .guard import sessions
from .signin import SIGNED_OUT

PREFIX = "/panel/api"
PASSED_ON = (
    *("Accept", "Content-Type", "If-Match", "If-None-Match"),
    *("Idempotency-Key", "X-Audit-Log-Reason"),
)
OURS = ("content-length", "x-request-id")
MOST_STREAMS = 20  # of one session
LONGEST = 2000


@panel.route("/api/<path:path>", methods=["GET", "POST", "PATCH", "DELETE"])
def relay(path: str) -> Any:
    """What the API answers to the same call."""
    request = flask.request
    raw = request.environ["PATH_INFO"].removeprefix(PREFIX).encode("latin-1")
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    query = request.query_string.decode("latin-1")
    reply = inside().call(request.method, quote(raw), query, request.get_data(), headers)
    said = [(name, value) for name, value in reply.headers if name.lower() not in OURS]
    return flask.Response(reply.body, reply.status, said)


@panel.get("/stream")
def stream() -> Any:
    """Events as they happen, until the session ends; `types` as GET /api/v1/stream has it."""
    request, shard, session = flask.request, this_shard(), this_session()
    types = {part.strip() for part in request.args.get("types", "")[:LONGEST].split(",")} - {""}
    nets = {part.strip() for part in request.args.get("nets", "")[:LONGEST].split(",")} - {""}
    since = (request.headers.get("Last-Event-ID") or request.args.get("since", ""))[:100]
    cursor, gap = shard.events.cursor(since) if since else (None, b"")
    if not sessions().alive(session):  # it may have been ended while the log was read
        return problem(SIGNED_OUT())
    if shard.hub.open_streams(session.streams) >= MOST_STREAMS:
        raise TOO_MANY_STREAMS(
            f"This session has {MOST_STREAMS} streams open, which is the most it may have.",
            hint="Close a tab of the panel.",
        )
    wanted = Filter(tuple(sorted(types)), tuple(sorted(nets)))
    return StreamResponse(shard.hub, session.streams, cursor, wanted, greeting(shard) + gap)


@panel.get("/session")
def session() -> Any:
    """Who is signed in here, and the token for changes; 401 for nobody."""
    return {"ok": True, "name": this_session().who, "csrfToken": csrf.token()}

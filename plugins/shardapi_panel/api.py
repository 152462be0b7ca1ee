"""The Owner API as the panel's pages call it: in process, as the panel's own actor."""

from typing import Any, cast
from urllib.parse import urlencode

import flask
import msgspec

from shardapi import Key, Shard, ShardApp
from shardapi.auth import PANEL
from shardapi.inside import Inside, outer_call
from shardapi.limits import Limit

from .sessions import Session

LIMIT = "panel.limit"  # among the app's extensions


class Refusal(Exception):
    """Raised when the API refuses a call; `problem` is its document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail", ""))
        self.status, self.problem = status, problem


class Api:
    """Calls for one request of a browser."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """GET; `path` is what follows /api/v1, as in a URL. Raises Refusal."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """POST; see `call` for the options."""
        return self.call("POST", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """PATCH; see `call` for the options."""
        return self.call("PATCH", path, body, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """DELETE; see `call` for the options."""
        return self.call("DELETE", path, body, **options)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        dry_run: bool = False,
        if_match: str = "",
        idempotency_key: str = "",
        reason: str = "",
    ) -> dict[str, Any]:
        """One call and what it answers; a parameter of the query that is a list is repeated. Raises Refusal."""
        asked = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        if dry_run:
            asked["dryRun"] = "true"
        named = {"If-Match": if_match, "Idempotency-Key": idempotency_key, "X-Audit-Log-Reason": reason}
        headers = {name: value.encode().decode("latin-1") for name, value in named.items() if value}
        data = b"" if body is None else msgspec.json.encode(body)
        reply = self.inside.call(method, path, urlencode(asked, doseq=True), data, headers)
        if reply.status >= 400:
            raise Refusal(reply.status, reply.json())
        return cast(dict[str, Any], reply.json())


def this_app() -> ShardApp:
    """The app of this request."""
    return cast(ShardApp, flask.current_app._get_current_object())  # type: ignore[attr-defined]


def this_shard() -> Shard:
    """The shard of this request."""
    return this_app().shard


def this_session() -> Session:
    """Who asks."""
    session: Session = flask.g.panel_session
    return session


def inside() -> Inside:
    """The way in for this request: the panel's actor, with the browser's address and the request's id."""
    if "panel_inside" not in flask.g:
        app, session = this_app(), this_session()
        limit: Limit = app.extensions[LIMIT]
        call = outer_call(flask.request.environ)
        flask.g.panel_inside = Inside(app, call, actor(app.shard, session.who), limit, session.id)
    found: Inside = flask.g.panel_inside
    return found


def api() -> Api:
    """The API for this request."""
    return Api(inside())


def actor(shard: Shard, who: str) -> Key:
    """The panel's own actor, as the audit names it; it may do everything."""
    return Key(
        PANEL,
        PANEL,
        f"panel: {who}",
        shard.guild_id,
        frozenset(shard.plugins.all_scopes),
        *(0, 0, 0, 0),
    )

"""Calls of the API from inside its process: by an actor without a secret, through all that a call goes through."""

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from .auditlog import INSERT, row_of
from .auth import Key
from .dispatch import CALL, Headers
from .errors import NOT_FOUND
from .limits import Limit, subnet
from .routes import API_PREFIX, Call, Route
from .store import many

if TYPE_CHECKING:
    from .app import ShardApp

PLAIN = {"Content-Type": "CONTENT_TYPE", "Content-Length": "CONTENT_LENGTH"}
STREAM = "text/event-stream"


class Reply(NamedTuple):
    """What the API answers."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Inside:
    """What one request from outside calls inside, as the actor `key`; `limit` counts its calls for `who`."""

    def __init__(self, app: "ShardApp", outer: Call, key: Key, limit: Limit, who: str) -> None:
        self.app, self.outer, self.limit, self.who = app, outer, limit, who
        outer.key = key

    def call(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One call; `path` is what follows /api/v1, percent-encoded as in a URL."""
        environ = {
            **self._surroundings(),
            "REQUEST_METHOD": method,
            "PATH_INFO": API_PREFIX + unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
        }
        for name, value in (headers or {}).items():
            environ[PLAIN.get(name) or f"HTTP_{name.upper().replace('-', '_')}"] = value
        call = Call(self.app.shard, environ)
        call.request_id, call.key = self.outer.request_id, self.outer.key
        answered = self.app.dispatch.answer(call, self._admit)
        if answered is None:
            raise NOT_FOUND("Only the API is called from inside.")
        response, status, head, data = answered
        if response is None:
            return Reply(status, head, data)
        return Reply(status, [*response.headers, *call.headers], response.get_data())

    def _surroundings(self) -> dict[str, Any]:
        outer = self.outer.environ
        kept = {name: value for name, value in outer.items() if name.startswith(("SERVER_", "wsgi."))}
        return {
            **kept,
            "SCRIPT_NAME": "",
            "HTTP_HOST": outer.get("HTTP_HOST", ""),
            "REMOTE_ADDR": self.outer.address,
        }

    def _admit(self, call: Call, route: Route) -> None:
        if route.websocket or route.media_type == STREAM:
            raise NOT_FOUND("A stream does not come through here.", hint="Open it by itself.")
        window = self.limit.spend(self.who)
        call.headers = self.limit.headers(window)
        assert call.key is not None
        call.key.need(route.scope)

    def record(self, path: str) -> None:
        """Audit what the actor does beside the API, under a path that tells it; runs in the write that does it."""
        self.outer.path = path
        many(INSERT, [row_of(self.outer, 200, "")])

    def note(self, path: str, status: int = 200, code: str = "") -> None:
        """Audit what the actor did, or was refused, beside the API; it is on disk within a second."""
        self.outer.path = path
        self.app.shard.audit.note(row_of(self.outer, status, code))


def outer_call(environ: Mapping[str, Any]) -> Call:
    """The Call of a request whose view is Flask's own."""
    call: Call = environ[CALL]
    return call


def note_stranger(call: Call, status: int, code: str) -> None:
    """Audit that somebody unknown was refused, as calls without a valid key are."""
    call.address = subnet(call.address)
    call.shard.audit.note_failure(call.address, row_of(call, status, code))

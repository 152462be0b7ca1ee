"""The opening handshake: whether a request may become a WebSocket, and whose token it shows."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import flask
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader, InvalidMethod, InvalidProtocol, InvalidUpgrade
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from shardapi.auth import bearer
from shardapi.errors import INVALID_VALUE, ORIGIN_REFUSED, UPGRADE_REQUIRED
from shardapi.routes import Call
from shardapi.worker import Taken, take, takeable

from .connection import LARGEST_MESSAGE, WebSocket, frames_log

SUBPROTOCOL = Subprotocol("bearer")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
OUR_KIND = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse


def accept(environ: dict[str, Any]) -> tuple[ServerProtocol, Response]:
    """A new WebSocket's protocol and the answer that begins it. Raises upgrade_required, invalid_value."""
    protocol = ServerProtocol(
        state=State.OPEN, select_subprotocol=_select, max_size=LARGEST_MESSAGE, logger=frames_log
    )
    reply = protocol.accept(_request(environ))
    error = protocol.handshake_exc
    if error is None and takeable(environ) and not _has_body(environ):
        return protocol, reply
    other_version = isinstance(error, InvalidHeader) and error.name == "Sec-WebSocket-Version"
    no_upgrade = isinstance(error, InvalidMethod | InvalidProtocol | InvalidUpgrade)
    if no_upgrade or other_version or not takeable(environ):
        raise UPGRADE_REQUIRED(
            "This address speaks WebSocket (RFC 6455) only.",
            hint="Connect with a WebSocket client.",
            headers=OUR_KIND,
        )
    raise INVALID_VALUE(f"The WebSocket handshake is not valid: {error or 'it has a body'}.")


def _request(environ: dict[str, Any]) -> Request:
    headers = Headers()
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers[name[5:].replace("_", "-")] = value
    return Request(environ["PATH_INFO"], headers, environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"])


def _has_body(environ: dict[str, Any]) -> bool:
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ


def _select(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def token(call: Call) -> str:
    """The token: an Authorization header, else the subprotocol after `bearer`, else ?token=."""
    secret = bearer(call.environ.get("HTTP_AUTHORIZATION"))
    if secret:
        return secret
    protocols: str = call.environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")
    offered = [one.strip() for one in protocols.split(",")]
    if SUBPROTOCOL in offered[:-1]:
        return offered[offered.index(SUBPROTOCOL) + 1]
    return call.query().get("token", [""])[-1]


def check_origin(environ: dict[str, Any], public_url: str, allowed: Iterable[str]) -> None:
    """Raises origin_refused for a web page that is neither ours nor allowed; other clients send no Origin."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or _normal(origin) in map(_normal, allowed):
        return
    scheme, authority = _normal(origin)
    ours = urlsplit(public_url).netloc or environ.get("HTTP_HOST", "")
    if not authority or authority != _without_default_port(ours.lower(), scheme):
        raise ORIGIN_REFUSED(
            "Pages of this origin may not connect.", hint="The owner can add it to [plugins.gateway] origins."
        )


def _normal(origin: str) -> tuple[str, str]:
    """Scheme and authority, ("", "") for an origin that is none, such as `null`."""
    try:
        parts = urlsplit(origin.strip().lower())
    except ValueError:
        return "", ""
    return parts.scheme, _without_default_port(parts.netloc, parts.scheme)


def _without_default_port(authority: str, scheme: str) -> str:
    return authority.removesuffix(DEFAULT_PORTS.get(scheme, ":"))


class Upgrade(flask.Response):
    """The answer that gives the connection away."""

    outlives = True

    def __init__(self, socket: WebSocket, reply: Response) -> None:
        super().__init__(status=101)
        self.headers.clear()
        self.socket, self.reply = socket, reply

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Take the connection out of its request and start the WebSocket on it."""
        for name, value in self.headers.items():
            self.reply.headers[name] = value
        start_response("101 Switching Protocols", [])
        self.socket.line = environ.pop("shardapi.line", None)
        self.socket.start(take(environ), self.reply.serialize())
        return Taken()

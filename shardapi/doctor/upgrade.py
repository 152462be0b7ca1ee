"""Whether a WebSocket comes through: one is opened with a token made for a minute, and closed before it joins."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from .. import clock
from ..central import OPERATOR
from . import ask
from .ask import Door
from .case import Case
from .finding import Finding, error, ok

WHO = "doctor"
UPGRADE_REQUIRED = 426
REVOKED = "SELECT max(at) FROM revoked_operator WHERE guild = ? AND user IN ('', ?)"
DO = "Have it pass Upgrade and Connection, with HTTP/1.1: see the examples in conf/."


def look(case: Case, door: Door) -> Iterator[Finding]:
    """Open one through the proxy and wait for the greeting."""
    parts = urlsplit(door.url)
    url = urlunsplit((parts.scheme.replace("http", "ws"), parts.netloc, parts.path + "/ws", "", ""))
    fields = {"Authorization": f"Bearer {_token(case)}"}
    try:
        with connect(url, additional_headers=fields, proxy=None, open_timeout=ask.PATIENCE_SECONDS) as socket:
            said = msgspec.json.decode(socket.recv(ask.PATIENCE_SECONDS))
    except InvalidStatus as refused:
        yield _refused(refused)
        return
    except (OSError, InvalidHandshake, WebSocketException, msgspec.DecodeError) as problem:
        yield error("public.websocket", f"no WebSocket comes through: {ask.why(problem)}", DO)
        return
    if isinstance(said, dict) and said.get("type") == "hello":
        yield ok("public.websocket", "operators' WebSockets come through")
    else:
        yield error("public.websocket", "a WebSocket comes through, but not to this shard", DO)


def _refused(refused: InvalidStatus) -> Finding:
    status = refused.response.status_code
    if status == UPGRADE_REQUIRED:
        what = "the proxy does not pass the upgrade on: no operator can connect"
        return error("public.websocket", what, DO)
    return error("public.websocket", f"a WebSocket is answered {status}: no operator can connect", DO)


def _token(case: Case) -> str:
    """As the embedded central signs them; nothing of it is kept."""
    now = clock.now() // 1000
    revoked = case.rows(REVOKED, (case.guild_id, WHO))
    claims = {
        "userId": WHO,
        "displayName": WHO,
        "roles": [],
        "guildId": case.guild_id,
        "iat": now,
        "exp": now + 60,
        "after": max((int(row[0]) for row in revoked if row[0] is not None), default=-1),
    }
    return case.tokens.sign(OPERATOR, claims)

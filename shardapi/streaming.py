"""An answer that becomes an event stream: it leaves its request, and the hub writes to it from then on."""

import random
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.wsgi import ClosingIterator

from .hub import Filter, Hub
from .requestlog import LINE
from .worker import Taken, date, take, takeable

if TYPE_CHECKING:
    from .shard import Shard

RETRY_MS = (2000, 5000)  # when readers come back; at random, so that not all do at once after a restart


def greeting(shard: "Shard") -> bytes:
    """What a stream begins with: whose events they are, and when to come back."""
    return b": events of guild %s\nretry: %d\n" % (shard.guild_id.encode(), random.randint(*RETRY_MS))


class StreamResponse(flask.Response):
    """`opening`, then events for `who`: the hub takes the socket, or where there is none, yields the bytes."""

    automatically_set_content_length = False
    outlives = True

    def __init__(self, hub: Hub, who: str, cursor: int | None, wanted: Filter, opening: bytes) -> None:
        super().__init__(
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self.hub, self.who, self.cursor, self.wanted, self.opening = hub, who, cursor, wanted, opening

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = self.get_wsgi_headers(environ).to_wsgi_list()
        start_response(self.status, headers)  # where the socket is taken, for the access log alone
        line = environ.pop(LINE, None)
        if environ["REQUEST_METHOD"] == "HEAD":
            if line is not None:
                line.end()
            return []
        if not takeable(environ):
            frames = self.hub.frames(self.who, self.cursor, self.wanted, line)
            return ClosingIterator(chain((self.opening,), frames), frames.close)
        fields = [
            f"{name}: {value}\r\n" for name, value in (("Date", date()), ("Connection", "close"), *headers)
        ]
        head = f"HTTP/1.1 {self.status}\r\n{''.join(fields)}\r\n".encode("latin-1")
        self.hub.subscribe(take(environ), self.who, self.cursor, self.wanted, head + self.opening, line)
        return Taken()

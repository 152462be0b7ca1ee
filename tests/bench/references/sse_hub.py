"""The hub in a Flask application that has nothing else."""

from __future__ import annotations

import itertools

import flask
from sse_events import application

from shardapi.eventlog import Logged
from shardapi.hub import ALL, Hub
from shardapi.streaming import StreamResponse

numbers = itertools.count(1)


class NoLog:
    """A log that nobody resumes from."""

    epoch, oldest, newest = "0a1b2c3d", 1, 0

    def page(self, after: int, upto: int, limit: int) -> list[Logged]:
        return []

    def cursor(self, text: str) -> tuple[int, bytes]:
        return 0, b""


hub = Hub(NoLog())
app = application(lambda _, block: hub.publish([Logged(next(numbers), "ptt.start", "", block)]))


@app.get("/stream")
def stream() -> flask.Response:
    """The socket leaves the request."""
    return StreamResponse(hub, "key", None, ALL, b": welcome\n")


@app.get("/closed")
def closed() -> dict[str, int]:
    """Why streams were closed."""
    return dict(hub.closed)

"""What the two Flask applications of the stream benchmark share: events of 290 bytes, made at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Callable

import flask
import gevent

HEAD = b'id: 0a1b2c3d-%09d\nevent: ptt.start\ndata: {"id":"0a1b2c3d-%09d","at":%020d,"data":{"text":"'
TAIL = b'"}}\n\n'
SIZE = 290
STATUS = b"{" + b'"status":"as large as a real one",' * 44 + b'"ok":true}'


def event(number: int) -> bytes:
    """One event, with the time in it."""
    head = HEAD % (number, number, time.monotonic_ns())
    return head + b"x" * (SIZE - len(head) - len(TAIL)) + TAIL


def produce(rate: float, seconds: float, publish: Callable[[int, bytes], None]) -> None:
    """Publish so many a second, those that are due by the millisecond at once."""
    began, number = time.monotonic(), 0
    while (past := time.monotonic() - began) < seconds:
        while number < past * rate:
            number += 1
            publish(number, event(number))
        gevent.sleep(0.001)


def application(publish: Callable[[int, bytes], None]) -> flask.Flask:
    """An application with `/rest`, and `/produce`, which starts the events."""
    app = flask.Flask("bench")

    @app.get("/rest")
    def rest() -> flask.Response:
        return flask.Response(STATUS, content_type="application/json")

    @app.get("/produce")
    def start() -> str:
        asked = flask.request.args
        gevent.spawn(produce, float(asked["rate"]), float(asked["seconds"]), publish)
        return "begun"

    return app

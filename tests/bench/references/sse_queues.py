"""The usual way: a generator with a queue for each subscriber, the event formatted once."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import flask
from sse_events import application

queues: set[queue.Queue[bytes]] = set()


def publish(_: int, block: bytes) -> None:
    """Put it in each queue."""
    for one in queues:
        one.put(block)


app = application(publish)


@app.get("/stream")
def stream() -> flask.Response:
    """A generator that waits for its queue."""

    def events() -> Iterator[bytes]:
        mine: queue.Queue[bytes] = queue.Queue()
        queues.add(mine)
        try:
            yield b": welcome\n"
            while True:
                yield mine.get()
        finally:
            queues.discard(mine)

    return flask.Response(events(), mimetype="text/event-stream")

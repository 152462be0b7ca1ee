"""A WSGI application with nothing but a stream, for the tests of the hub under a real gunicorn."""

import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import gevent
from memory_log import MemoryLog

from shardapi.hub import Hub
from shardapi.worker import Taken, take

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: welcome\n"
log = MemoryLog(latency=0.002)
hub = Hub(log, tick=0.01, ring_bytes=60_000, recent=50)
log.on_commit.append(hub.publish)


def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """`/stream?since=NUMBER`; anything else: how many streams are open, and why others were closed."""
    if environ["PATH_INFO"] == "/stream":
        since = parse_qs(environ["QUERY_STRING"]).get("since")
        start("200 OK", [])
        sock = take(environ)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        hub.subscribe(sock, "key", int(since[0]) if since else None, head=HEAD)
        return Taken()
    body = f"{len(hub)} {dict(hub.closed)}".encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def produce(worker: Any) -> None:
    """Log about a thousand events a second, unevenly."""

    def run() -> None:
        while True:
            log.append(*["tick"] * (log.newest % 7 + 1), size=log.newest % 300)
            gevent.sleep(0.004)

    gevent.spawn(run)


app.start, app.retire = produce, hub.close  # type: ignore[attr-defined]

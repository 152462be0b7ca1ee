"""A WSGI application of many small answers, for the tests that run it under a real gunicorn."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.event import Event

from shardapi import worker
from shardapi.worker import Taken, take, vital

Environ = dict[str, Any]
Start = Callable[..., Any]
said: list[str] = []
busied: list[bool] = []
opened = Event()


def app(environ: Environ, start: Start) -> Iterable[bytes]:
    """Answer by the name in the path."""
    return ANSWERS.get(environ["PATH_INFO"], missing)(environ, start)


def begun(worker: Any) -> None:
    """Called by the worker once the application is loaded."""
    said.append(type(worker).__name__)


def retired() -> None:
    """Called by the worker when it is to end; takes a moment, as a real one does."""
    gevent.sleep(0.05)
    print("retired", flush=True)


app.start, app.retire = begun, retired  # type: ignore[attr-defined]


def echo(environ: Environ, start: Start) -> Iterable[bytes]:
    """What the server made of the request."""
    seen: Environ = {name: value for name, value in environ.items() if isinstance(value, str)}
    try:
        seen["body"] = environ["wsgi.input"].read().decode("latin-1")
    except Exception as error:
        seen["body"] = type(error).__name__
    return whole(json.dumps(seen).encode(), start)


def whole(body: bytes, start: Start) -> Iterable[bytes]:
    """One piece of announced length."""
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def hooks(environ: Environ, start: Start) -> Iterable[bytes]:
    """What `start` was called with."""
    return whole(json.dumps(said).encode(), start)


def chunks(environ: Environ, start: Start) -> Iterable[bytes]:
    """No announced length."""
    start("200 OK", [("Content-Type", "text/plain")])
    yield from (b"one", b"", b"two")


def short(environ: Environ, start: Start) -> Iterable[bytes]:
    """Less than announced."""
    start("200 OK", [("Content-Length", "100")])
    return [b"abc"]


def breaks(environ: Environ, start: Start) -> Iterable[bytes]:
    """An error in mid-body."""
    start("200 OK", [("Content-Length", "100")])
    yield b"abc"
    raise RuntimeError("in mid-body")


def fails(environ: Environ, start: Start) -> Iterable[bytes]:
    """An error before the answer."""
    raise RuntimeError("before the answer")


def slow(environ: Environ, start: Start) -> Iterable[bytes]:
    """An answer that takes half a second of waiting."""
    gevent.sleep(0.5)
    return whole(b"slow", start)


def gate(environ: Environ, start: Start) -> Iterable[bytes]:
    """A piece at once, and the rest when the gate is opened; the busy ones are counted anew."""
    opened.clear()
    start("200 OK", [("Content-Type", "text/plain")])
    yield b"waits"
    opened.wait()
    busied.clear()
    yield b"opened"


def open_(environ: Environ, start: Start) -> Iterable[bytes]:
    """Open the gate."""
    opened.set()
    return whole(b"open", start)


def count(environ: Environ, start: Start) -> Iterable[bytes]:
    """How many busy answers there have been since the gate was opened."""
    return whole(b"%d busy" % len(busied), start)


def busy(environ: Environ, start: Start) -> Iterable[bytes]:
    """An answer that takes 2 ms of the core."""
    busied.append(True)
    until = time.perf_counter() + 0.002
    while time.perf_counter() < until:
        pass
    return whole(b"busy", start)


def waits(environ: Environ, start: Start) -> Iterable[bytes]:
    """A piece at once, and the rest after so many seconds."""
    start("200 OK", [("Content-Type", "text/plain")])
    yield b"waits"
    gevent.sleep(float(environ["QUERY_STRING"]))
    yield b"over"


def large(environ: Environ, start: Start) -> Iterable[bytes]:
    """More than all buffers on the way hold."""
    return whole(b"x" * (16 << 20), start)


def hurry(environ: Environ, start: Start) -> Iterable[bytes]:
    """From now on an answer has to be read within half a second."""
    worker.SEND_SECONDS = 0.5
    return whole(b"hurry", start)


def hangs(environ: Environ, start: Start) -> Iterable[bytes]:
    """A loop that lets nobody else run."""
    while True:
        pass


def missing(environ: Environ, start: Start) -> Iterable[bytes]:
    """Nothing by that name."""
    start("404 Not Found", [("Content-Length", "0")])
    return [b""]


def taken(environ: Environ, start: Start) -> Iterable[bytes]:
    """The socket leaves the request and is written to later."""
    start("200 OK", [])
    sock = take(environ)

    def later() -> None:
        gevent.sleep(0.05)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nmine now")
        sock.close()

    gevent.spawn(later)
    return Taken()


def death(environ: Environ, start: Start) -> Iterable[bytes]:
    """A greenlet that the worker cannot do without dies."""

    def dying() -> None:
        raise RuntimeError("died") if environ["QUERY_STRING"] == "" else gevent.GreenletExit

    vital(gevent.spawn(dying))
    vital(gevent.spawn(gevent.sleep))  # comes to its own end
    return whole(b"", start)


ANSWERS: dict[str, Callable[[Environ, Start], Iterable[bytes]]] = {
    "/echo": echo,
    "/hooks": hooks,
    "/chunks": chunks,
    "/short": short,
    "/breaks": breaks,
    "/fails": fails,
    "/slow": slow,
    "/gate": gate,
    "/open": open_,
    "/count": count,
    "/busy": busy,
    "/waits": waits,
    "/large": large,
    "/hurry": hurry,
    "/hangs": hangs,
    "/taken": taken,
    "/death": death,
}

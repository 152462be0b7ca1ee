"""What `shardapi doctor` asks a running shard, at any path and through any proxy: how its request arrived here.

The question is a token signed with the shard's own secret and good for a minute, so that nobody else can ask. The
answer is signed too, so that nobody else can give it. Nothing is written, and nothing but the request is told of.
"""

import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
import msgspec

from . import clock
from .tokens import LEEWAY_SECONDS, BadToken, Tokens
from .worker import Taken, date, take, takeable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

    from .routes import Call

VERSION = version("shardapi")
HEADER, ENVIRON = "X-Shardapi-Probe", "HTTP_X_SHARDAPI_PROBE"
ASKED, ANSWERED = "probe", "probe answer"
STREAM = "text/event-stream"
LIFE_SECONDS = 60
GAP_SECONDS = (
    2.0  # between the two lines of a stream: whoever holds back the first for so long holds back events
)


class Seen(msgspec.Struct, rename="camel", kw_only=True):
    """One request as it arrived, and by whom it is answered."""

    nonce: str
    version: str
    host: str
    address: str
    peer: str
    port: str
    forwarded: bool
    files: int
    most_files: int


def question(tokens: Tokens, nonce: str) -> str:
    """The header's value."""
    return tokens.sign(ASKED, {"nonce": nonce, "exp": clock.now() // 1000 + LIFE_SECONDS})


def read(tokens: Tokens, body: bytes, nonce: str) -> Seen:
    """An answer to the question with this nonce. Raises BadToken."""
    try:
        seen = msgspec.convert(tokens.read(ANSWERED, body.decode("ascii").strip()), Seen)
    except (UnicodeDecodeError, msgspec.ValidationError):
        raise BadToken("that is no answer of this shard") from None
    if seen.nonce != nonce:
        raise BadToken("that is the answer to another question")
    return seen


def asked(call: "Call") -> str:
    """The nonce of a question that is genuine, else ""."""
    try:
        said = call.shard.tokens.read(ASKED, call.environ[ENVIRON])
    except BadToken:
        return ""
    fresh = (
        isinstance(said.get("exp"), int)
        and said["exp"] <= clock.now() // 1000 + LIFE_SECONDS + LEEWAY_SECONDS
    )
    return str(said.get("nonce", "")) if fresh else ""


def answer(call: "Call", nonce: str, address: str, start: "StartResponse") -> Iterable[bytes]:
    """How the request arrived; for one that wants events two lines instead, the second with the time it was sent."""
    environ, headers = call.environ, [("Cache-Control", "no-store"), ("X-Request-Id", call.request_id)]
    if environ.get("HTTP_ACCEPT") == STREAM:
        return _stream(environ, [("Content-Type", STREAM), ("X-Accel-Buffering", "no"), *headers], start)
    seen = Seen(
        nonce=nonce,
        version=VERSION,
        host=environ.get("HTTP_HOST", ""),
        address=address,
        peer=environ.get("REMOTE_ADDR", ""),
        port=str(environ.get("REMOTE_PORT", "")),
        forwarded="HTTP_X_FORWARDED_FOR" in environ,
        files=len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        most_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )
    body = call.shard.tokens.sign(ANSWERED, msgspec.to_builtins(seen)).encode()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def _stream(
    environ: dict[str, Any], headers: list[tuple[str, str]], start: "StartResponse"
) -> Iterable[bytes]:
    """Framed as an event stream is, without a length and not in chunks: some proxies hold back only those."""
    start("200 OK", headers)
    if not takeable(environ):
        return _two_lines()
    fields = [f"{name}: {value}\r\n" for name, value in (("Date", date()), ("Connection", "close"), *headers)]
    head = f"HTTP/1.1 200 OK\r\n{''.join(fields)}\r\n".encode("latin-1")
    gevent.spawn(_send, take(environ), head)
    return Taken()


def _send(sock: gevent.socket.socket, head: bytes) -> None:
    with sock, suppress(OSError):
        sock.sendall(head)
        for line in _two_lines():
            sock.sendall(line)


def _two_lines() -> Iterator[bytes]:
    yield b": probe\n"
    gevent.sleep(GAP_SECONDS)
    yield b": %d\n" % time.monotonic_ns()  # of the machine, so that who asks here can compare

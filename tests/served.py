"""A real gunicorn with the product's worker, on a port the kernel picks, for the tests that need one."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")
HERE = Path(__file__).resolve().parent
LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)")
SETTINGS = (
    *("--worker-class", "shardapi.worker.Worker", "--bind", "127.0.0.1:0", "--worker-connections", "4096"),
    *("--keep-alive", "20", "--graceful-timeout", "8", "--http-parser", "python", "--forwarder-headers", ""),
    *("--limit-request-line", "4094", "--limit-request-fields", "64", "--no-control-socket"),
)


def eventually(probe: Callable[[], T], seconds: float = 30) -> T:
    """Ask until the answer is true."""
    until = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < until, f"still not: {probe}"
        time.sleep(0.01)
    return answer


class Served:
    """An application under gunicorn; a context manager."""

    def __init__(self, app: str, log: Path, *settings: str) -> None:
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *SETTINGS, *settings, app],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        self.port = int(eventually(self._listening)[1])
        self.answer(b"GET / HTTP/1.0\r\n\r\n")
        return self

    def _listening(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.said()
        return LISTENING.search(self.said())

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def said(self) -> str:
        """All it printed and logged so far."""
        return self.log.read_text()

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def answer(self, request: bytes) -> bytes:
        """All that comes on a new connection until the server closes it."""
        with self.connect() as sock:
            sock.sendall(request)
            return rest(sock)


def rest(sock: socket.socket) -> bytes:
    """What is read until the end, or until a reset."""
    read = b""
    try:
        while data := sock.recv(65536):
            read += data
    except ConnectionResetError:
        pass
    return read


def one(sock: socket.socket, until: bytes = b"\r\n\r\n") -> bytes:
    """What is read until it ends so."""
    read = b""
    while not read.endswith(until):
        data = sock.recv(65536)
        assert data, f"closed after {read!r}"
        read += data
    return read

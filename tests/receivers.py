"""Receivers of webhooks for the tests: HTTP servers in threads that keep what they were sent and answer as told."""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Delivery(NamedTuple):
    """One delivery as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        """What it is called on every attempt."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """The envelope."""
        found: dict[str, Any] = json.loads(self.body)
        return found


Says = tuple[int, dict[str, str], bytes]
Answering = Callable[[Delivery], int | Says]


class Receiver:
    """A receiver on a port that the kernel picks; `answers` says what, a status or (status, headers, body)."""

    def __init__(
        self,
        answers: Answering = lambda delivery: 204,
        port: int = 0,
        got: list[Delivery] | None = None,
    ) -> None:
        self.answers = answers
        self.got: list[Delivery] = [] if got is None else got
        self._news = threading.Condition()
        self._open: set[socket.socket] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver._open.add(self.connection)

            def finish(self) -> None:
                receiver._open.discard(self.connection)
                with suppress(OSError):
                    super().finish()

            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.take(self, Delivery(self.path, headers, body, time.monotonic()))

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """The sender was killed, or has given up."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def take(self, handler: BaseHTTPRequestHandler, delivery: Delivery) -> None:
        """Keep a delivery and answer it."""
        said = self.answers(delivery)
        status, headers, body = (said, {}, b"") if isinstance(said, int) else said
        with self._news:
            self.got.append(delivery)
            self._news.notify_all()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if status != 204:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def wait(self, condition: Callable[[list[Delivery]], Any], seconds: float = 30.0) -> list[Delivery]:
        """Wait until what came is as wanted; for tests in whose process no shard delivers."""
        with self._news:
            assert self._news.wait_for(lambda: condition(self.got), seconds), [one.event for one in self.got]
        return self.got

    @property
    def types(self) -> list[str]:
        """The types of what came, in its order."""
        return [one.event["type"] for one in self.got]

    def close(self) -> None:
        """Take nothing any more; the port is closed, and so is every connection."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

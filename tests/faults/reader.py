"""A reader of the event stream as bots have them: it resumes after what it has seen, whatever happens."""

import http.client
import json
import socket
import threading
import time
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

from shardapi.testing import Server


class Reader:
    """Follows a server's stream in a thread of its own; `events` are the envelopes in the order they came."""

    def __init__(self, server: Server, key: str, since: str = "") -> None:
        self.server, self.key, self.last = server, key, since
        self.events: list[dict[str, Any]] = []
        self.connects = self.refusals = 0
        self._socket: socket.socket | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        server.wait(lambda: self.connects, "the stream to open")

    def _run(self) -> None:
        while not self._ended:
            with suppress(OSError, http.client.HTTPException):
                self._follow()
            time.sleep(0.01)

    def _follow(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=30)
        with closing(connection):
            connection.connect()
            self._socket = connection.sock
            headers = {"Authorization": f"Bearer {self.key}"}
            if self.last:
                headers["Last-Event-ID"] = self.last
            connection.request("GET", "/api/v1/stream", headers=headers)
            with connection.getresponse() as answer:
                self.refusals += answer.status != 200
                if answer.status == 200:
                    self._read(answer)

    def _read(self, answer: http.client.HTTPResponse) -> None:
        self.connects += 1
        block: list[str] = []
        while line := answer.readline():
            if line != b"\n":
                block.append(line.decode().rstrip("\n"))
                continue
            self._take(dict(part.split(": ", 1) for part in block if part[:1] not in (":", "")))
            block = []

    def _take(self, fields: dict[str, str]) -> None:
        event = json.loads(fields["data"])
        assert (event["id"], event["type"]) == (fields["id"], fields["event"])
        self.last = event["id"]
        self.events.append(event)

    @property
    def numbers(self) -> list[int]:
        """The numbers in the ids, in the order they came."""
        return [int(event["id"].rpartition("-")[2]) for event in self.events]

    def of(self, *types: str) -> list[dict[str, Any]]:
        """The events of these types."""
        return [event for event in self.events if event["type"] in types]

    def close(self) -> None:
        """Leave."""
        self._ended = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        assert not self._thread.is_alive()

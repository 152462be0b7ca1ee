"""A receiver that answers 204 as fast as Python can, counts, and notes how late deliveries were.

GET answers {count, seconds, late}: the time from the first delivery to the last, and milliseconds since each event's
`at` of the last 1,000; DELETE begins anew.
"""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections import deque
from datetime import datetime

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
AT = re.compile(rb'"at":"([^"]+)"')
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Tally:
    """What came."""

    def __init__(self) -> None:
        self.count, self.first, self.last = 0, 0.0, 0.0
        self.late: deque[tuple[float, bytes]] = deque(maxlen=1000)

    def note(self, request: bytes) -> None:
        """One delivery."""
        now = time.time()
        self.first = self.first or now
        self.count, self.last = self.count + 1, now
        self.late.append((now, request))

    def told(self) -> bytes:
        """The answer to GET."""
        found = [(now, AT.search(request)) for now, request in self.late]
        at = [(now, datetime.fromisoformat(one[1].decode()).timestamp()) for now, one in found if one]
        late = [(now - then) * 1000 for now, then in at]
        body = json.dumps({"count": self.count, "seconds": self.last - self.first, "late": late}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Sink:
    """One thread, one epoll: what a receiver costs must not be what is measured."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.open: dict[int, tuple[socket.socket, bytes]] = {}

    def run(self) -> None:
        """Serve for ever."""
        print(f"http://127.0.0.1:{self.listener.getsockname()[1]}", flush=True)
        while True:
            for number, _ in self.poll.poll():
                if number == self.listener.fileno():
                    connection, _ = self.listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.open[connection.fileno()] = connection, b""
                    self.poll.register(connection, select.EPOLLIN)
                else:
                    self.read(number)

    def read(self, number: int) -> None:
        """Answer what has come on one connection."""
        connection, buffer = self.open[number]
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            del self.open[number]
            return connection.close()
        buffer += data
        while (end := buffer.find(b"\r\n\r\n") + 4) >= 4:
            length = LENGTH.search(buffer, 0, end)
            whole = end + (int(length[1]) if length else 0)
            if len(buffer) < whole:
                break
            connection.sendall(self.answer(buffer[:whole]))
            buffer = buffer[whole:]
        self.open[number] = connection, buffer

    def answer(self, request: bytes) -> bytes:
        """What one request is answered."""
        if request.startswith(b"POST"):
            self.tally.note(request)
            return TAKEN
        if request.startswith(b"DELETE"):
            self.tally = Tally()
        return self.tally.told()


Sink().run()

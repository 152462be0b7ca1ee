"""Clients who take their time: heads that do not end, bodies that trickle, answers that are not read."""

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle, islice

HEAD = b"GET /api/v1/status HTTP/1.1\r\nHost: shard.example.com\r\nX-Slow: "
BODY = (
    "POST /api/v1/nets HTTP/1.1\r\nHost: shard.example.com\r\nAuthorization: Bearer {}\r\n"
    "Content-Length: 400000\r\n\r\n"
)
READ = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: shard.example.com\r\n\r\n" * 4
ADDRESSES = [f"127.0.{net}.{host}" for net in range(10, 20) for host in range(1, 200)]
BYTE_EVERY = 1.0  # seconds
SMALL = 4096
SEGMENT = 1460  # bytes: Ethernet's


class Slow:
    """So many connections to a port, of these kinds in turn; who is cut comes back. A context manager.

    Each has its own second in which it sends its byte, as clients have who know nothing of each other.
    """

    def __init__(
        self, port: int, count: int, kinds: tuple[str, ...], key: str = "", returns: int = 200
    ) -> None:
        self.port, self.count, self.returns = port, count, returns
        self.first = {"heads": HEAD, "bodies": BODY.format(key).encode(), "readers": READ}
        self.cut = 0
        self._turns = cycle(kinds)
        self._from = cycle(ADDRESSES)
        self._open: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._drips: deque[tuple[float, socket.socket]] = deque()  # when each sends next
        self._back = time.monotonic()

    def __enter__(self) -> "Slow":
        while len(self._open) < self.count:
            for _ in range(min(50, self.count - len(self._open))):
                self._come()
            self.turn()
        return self

    def __exit__(self, *error: object) -> None:
        for sock in self._open.values():
            sock.close()
        self._epoll.close()

    def _come(self) -> None:
        kind = next(self._turns)
        sock = socket.socket()
        if kind == "readers":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        # With the 64 KiB of loopback a proxy's kernel would take 700 KB for each reader, in its first ten segments.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        sock.bind((next(self._from), 0))
        sock.settimeout(10)
        sock.connect(("127.0.0.1", self.port))
        sock.setblocking(False)
        with suppress(OSError):
            sock.send(self.first[kind])
        self._open[sock.fileno()] = sock
        if kind != "readers":
            self._drips.append((time.monotonic() + BYTE_EVERY, sock))
        # What comes for a reader stays where it is; only that the other end has gone is heard of.
        self._epoll.register(sock, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)

    def turn(self) -> None:
        """Send what is due, see who was cut, and have some of them come back."""
        for fd, _ in self._epoll.poll(0, 1024):
            self._leave(fd)
        now = time.monotonic()
        while self._drips and self._drips[0][0] <= now:
            self._send(self._drips.popleft()[1])
        missing = self.count - len(self._open)
        due = int((now - self._back) * self.returns)
        if due:
            self._back = now
            for _ in islice(range(missing), due):
                self._come()

    def _send(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        if fd < 0:
            return  # it has left
        try:
            sock.send(b"x")
        except OSError:
            self._leave(fd)
        else:
            self._drips.append((time.monotonic() + BYTE_EVERY, sock))

    def _leave(self, fd: int) -> None:
        sock = self._open.pop(fd)
        self._epoll.unregister(fd)
        sock.close()
        self.cut += 1

    def go_on(self, seconds: float, also: Callable[[], None] = lambda: None) -> None:
        """Go on for a while; `also` is called each time around."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn()
            also()
            time.sleep(0.005)

    @property
    def there(self) -> int:
        """How many are connected."""
        return len(self._open)

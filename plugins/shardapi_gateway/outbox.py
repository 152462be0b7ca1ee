"""What waits to be sent on a socket whose peer reads slower than we write."""

import errno
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent

QUEUE_BYTES = 256 * 1024
QUEUE_SECONDS = 2.0
WRITABLE = 2  # libev's EV_WRITE
UNREACHABLE = {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}


def why(error: OSError) -> str:
    """The reason of an end that a socket tells of: the kernel may find a peer gone before our pings do."""
    return "timeout" if error.errno in UNREACHABLE else "closed"


class Outbox:
    """What the kernel would not take yet: sent in order as it does, given up when too much or too old.

    The frames and their times are in two queues: what the garbage collector looks through (a pair, a view) would be
    so much beside a hundred slow peers that each look holds up everyone.
    """

    __slots__ = (
        "_sock",
        "_frames",
        "_times",
        "_sent",
        "_size",
        "_drained",
        "_give_up",
        "_writable",
        "_watch",
    )

    def __init__(self, sock: Any, drained: Callable[[], None], give_up: Callable[[str], None]) -> None:
        self._sock, self._drained, self._give_up = sock, drained, give_up
        self._frames: deque[bytes] = deque()
        self._times: deque[float] = deque()
        self._sent = self._size = 0  # `_sent` is of the first frame
        loop = gevent.get_hub().loop
        self._writable = loop.io(sock.fileno(), WRITABLE)
        self._watch = loop.timer(QUEUE_SECONDS / 8, QUEUE_SECONDS / 8)
        self._writable.start(self._drain)
        self._watch.start(self._look)

    def put(self, data: bytes) -> None:
        """Queue a frame, or the rest of one."""
        self._frames.append(data)
        self._times.append(time.monotonic())
        self._size += len(data)
        if self._size > QUEUE_BYTES:
            self._give_up("slow")

    def close(self) -> None:
        """Stop sending."""
        self._writable.close()
        self._watch.close()

    def _look(self) -> None:
        if time.monotonic() - self._times[0] >= QUEUE_SECONDS:
            self._give_up("slow")

    def _drain(self) -> None:
        try:
            while self._frames:
                data = self._frames[0]
                sent = self._sock.send(memoryview(data)[self._sent :], 0, 0.0)
                self._size -= sent
                self._sent += sent
                if self._sent < len(data):
                    return
                self._frames.popleft()
                self._times.popleft()
                self._sent = 0
        except BlockingIOError:
            return
        except OSError as error:
            self._give_up(why(error))
            return
        self.close()
        self._drained()

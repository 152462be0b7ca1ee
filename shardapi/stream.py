"""One event stream: what it wants to hear, and where it stands."""

import _socket
import functools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import gevent.socket

from .eventlog import Logged
from .events import matches
from .ring import NOTICE

if TYPE_CHECKING:
    from .requestlog import Line

_named = functools.lru_cache(maxsize=4096)(matches)


class Filter(NamedTuple):
    """What a stream wants: patterns of types, and uids of nets for the events that name one; () is all."""

    types: tuple[str, ...] = ()
    nets: tuple[str, ...] = ()

    def admits(self, event: Logged) -> bool:
        """Whether the event passes."""
        if event.type == NOTICE:
            return True
        if self.nets and event.net and event.net not in self.nets:
            return False
        return not self.types or _named(event.type, self.types)


ALL = Filter()


class Channel:
    """The streams of one filter: a batch is made once for all of them."""

    def __init__(self, filter: Filter) -> None:
        self.filter, self.members = filter, 0
        self.live: set[Stream] = set()

    def batch(self, events: Sequence[Logged]) -> bytes:
        """What goes out to them of these events."""
        if self.filter == ALL:
            return b"".join([event.block for event in events])
        admits = self.filter.admits
        return b"".join([event.block for event in events if admits(event)])


class Stream:
    """One stream: a live one had all that was flushed; the rest is where one stands that is not live."""

    __slots__ = ("sock", "fd", "key", "channel", "rest", "cursor", "place", "stalled", "line")

    def __init__(self, sock: _socket.socket, key: str, channel: Channel, line: "Line | None" = None) -> None:
        self.sock, self.fd, self.key, self.channel = sock, sock.fileno(), key, channel
        self.rest: memoryview | None = None  # to be sent before anything else
        self.cursor: int | None = None  # while it reads history: the number it goes on after
        self.place = 0  # else: its next event in the ring
        self.stalled = False  # whether its socket took nothing since the last heartbeat
        self.line = line


class Frames:
    """A stream as an iterable of bytes; closing it ends the stream."""

    def __init__(self, sock: gevent.socket.socket) -> None:
        self._sock = sock

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with suppress(ConnectionResetError):
            if data := self._sock.recv(65_536):
                return bytes(data)
        raise StopIteration

    def close(self) -> None:
        """Leave."""
        self._sock.close()

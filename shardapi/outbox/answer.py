"""Reading what a receiver answers: its status, and enough of the rest to keep the connection."""

import re
from collections.abc import Callable
from typing import NamedTuple

MOST_BYTES = 64 * 1024
PIECE = 16 * 1024
STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: |\r?\n|$)")
FIELD = re.compile(
    rb"^(retry-after|content-length|transfer-encoding|connection"
    rb"|x-ratelimit-remaining|x-ratelimit-reset-after):([^\n]*)",  # in one go, however much there is of it
    re.I | re.M,
)
LENGTH = re.compile(rb"\d{1,18}")
ASKED = re.compile(rb'"retry_after"\s*:\s*(\d{1,6}(?:\.\d{1,6})?)')
MOST_SAID = 2048  # of a body, to look for what it asks for
MOST_SIZE = 256  # characters of a chunk's size and what is said of it
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]{0,%d}\r\n" % MOST_SIZE)

Receive = Callable[[int], bytes]


class Malformed(Exception):
    """Raised when what came is no answer."""


class Closed(Exception):
    """Raised when the connection ended before the first byte of an answer."""


class Head(NamedTuple):
    """What the head of an answer says; `keeps` is whether the connection stays open, if `body` ends on it.

    `pause` is how long to wait because nothing more would be taken before, as rate limits are told.
    """

    status: int
    retry_after: str
    keeps: bool
    length: int  # of the body; -1 if it comes in chunks, -2 if it ends with the connection
    pause: str


class Reader:
    """Reads one answer, at most 64 KiB of it."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._buffer, self._said = receive, b"", b""
        self.taken = 0

    def _more(self) -> bool:
        """Read on; False where the connection has ended or enough was read."""
        if self.taken >= MOST_BYTES:
            return False
        piece = self._receive(min(PIECE, MOST_BYTES - self.taken))
        self.taken += len(piece)
        self._buffer += piece
        return bool(piece)

    def head(self) -> Head:
        """The head of the final answer. Raises Closed, Malformed."""
        while True:
            end = self._end()
            while end < 0:
                if not self._more():
                    raise Malformed if self.taken else Closed
                end = self._end()
            head, self._buffer = self._buffer[:end], self._buffer[end:]
            found = _head(head)
            if found.status >= 200:
                return found

    def _end(self) -> int:
        at = self._buffer.find(b"\r\n\r\n")
        if at >= 0:
            return at + 4
        at = self._buffer.find(b"\n\n")
        return at + 2 if at >= 0 else -1

    def ends_here(self, head: Head) -> bool:
        """Whether the whole answer is here, and the connection can take the next request."""
        return head.keeps and head.length == len(self._buffer)

    def skip(self, head: Head) -> bool:
        """Read the body and forget it; True if the connection can take the next request."""
        if not head.keeps or head.length < -1 or head.length > MOST_BYTES:
            return False
        if head.length == -1:
            return self._skip_chunks()
        while len(self._buffer) < head.length:
            if not self._more():
                return False
        return len(self._buffer) == head.length

    def asked(self) -> str:
        """The seconds to wait that the body which was skipped asks for, as some do who send no Retry-After."""
        found = ASKED.search((self._said + self._buffer)[:MOST_SAID])
        return found[1].decode() if found is not None else ""

    def _skip_chunks(self) -> bool:
        while True:
            size = CHUNK.match(self._buffer)
            if size is not None:
                end = size.end() + int(size[1], 16) + 2
                if int(size[1], 16) == 0:
                    # Trailers, if there are any, are not worth a connection.
                    return self._fill(end) and self._buffer[size.end() :] == b"\r\n"
                if end > MOST_BYTES or not self._fill(end):
                    return False
                if len(self._said) < MOST_SAID:
                    self._said += self._buffer[size.end() : end - 2]
                self._buffer = self._buffer[end:]
            elif len(self._buffer) > 2 * MOST_SIZE or not self._more():
                return False

    def _fill(self, length: int) -> bool:
        while len(self._buffer) < length:
            if not self._more():
                return False
        return True


def _head(data: bytes) -> Head:
    status = STATUS.match(data)
    if status is None:
        raise Malformed
    fields = {name.lower(): value.strip(b" \t\r") for name, value in FIELD.findall(data)}
    code = int(status[2])
    keeps = status[1] == b"1" and b"close" not in fields.get(b"connection", b"").lower()
    length = -2
    if code in (204, 304):
        length = 0
    elif b"transfer-encoding" in fields:
        length = -1 if fields[b"transfer-encoding"].lower() == b"chunked" else -2
    elif LENGTH.fullmatch(fields.get(b"content-length", b"")):
        length = int(fields[b"content-length"])
    pause = (
        fields.get(b"x-ratelimit-reset-after", b"") if fields.get(b"x-ratelimit-remaining") == b"0" else b""
    )
    return Head(
        code,
        fields.get(b"retry-after", b"").decode("latin-1")[:64],
        keeps,
        length,
        pause.decode("latin-1")[:64],
    )

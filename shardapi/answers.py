"""Answers as they go over the wire: gunicorn's own, in one send where that can be."""

import errno
import functools
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from gunicorn.http import wsgi
from gunicorn.util import http_date

END_TO_END_NAMES = 200  # header names remembered as valid; an application sends a few dozen


class Answer(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response, its head and a body that is one chunk of known length sent at once."""

    turn: Callable[[], AbstractContextManager[object]] = nullcontext  # held while the client is slow to read
    _end_to_end: set[str] = set()
    headers_sent: bool

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Take the application's headers: values are checked all at once, names once in a process."""
        headers = list(headers)
        if not wsgi.HEADER_VALUE_RE.fullmatch("".join([value for _, value in headers])):
            return super().process_headers(headers)  # type: ignore[no-any-return]  # names the bad one
        for name, value in headers:
            if name in self._end_to_end:
                self.headers.append((name, value.strip(" \t")))
            else:
                self._meet(name, value)

    def _meet(self, name: str, value: str) -> None:
        if (name.lower(), value.lower()) == ("connection", "close"):
            self.force_close()
        before = len(self.headers)
        super().process_headers([(name, value)])
        special = name.lower() in ("content-length", "connection", "upgrade")
        if len(self.headers) > before and not special and len(self._end_to_end) < END_TO_END_NAMES:
            self._end_to_end.add(name)

    def default_headers(self) -> list[str]:
        """The status line and the server's own fields."""
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version
        head = [
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\n"
            f"Date: {date()}\r\nConnection: {connection}\r\n"
        ]
        if self.chunked:
            head.append("Transfer-Encoding: chunked\r\n")
        return head

    def write(self, arg: bytes) -> None:
        """Send a piece of the body, the head before it."""
        whole = isinstance(arg, bytes) and len(arg) == self.response_length
        if self.headers_sent or self._omits_body or not whole:
            super().write(arg)
            return
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        head = "".join(self.default_headers()) + fields + "\r\n"
        self.headers_sent = True  # before the send: an error in it must not start a second answer
        self.sent = len(arg)
        data = head.encode("latin-1") + arg
        try:
            sent = self.sock.send(data, 0, 0.0)  # sendall() asks for the buffer's size first: 7 us an answer
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_as_it_is_read(memoryview(data)[sent:])

    def _send_as_it_is_read(self, data: memoryview) -> None:
        with self.turn():
            self.sock.sendall(data)
            return
        raise BrokenPipeError(errno.EPIPE, "the client does not read")

    def write_all(self, body: Iterable[bytes]) -> None:
        """Send the whole body; a connection whose body is shorter than announced cannot be kept."""
        if isinstance(body, wsgi.FileWrapper):
            self.write_file(body)
        else:
            for piece in body:
                self.write(piece)
            if not self._omits_body and self.sent < (self.response_length or 0):
                self.force_close()
        self.close()


def date() -> str:
    """The time now as the Date field has it."""
    return _date(int(time.time()))


@functools.lru_cache(maxsize=1)
def _date(second: int) -> str:
    return str(http_date(second))

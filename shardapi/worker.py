"""gunicorn's gevent worker with fair turns, one send for an answer, and sockets that can be taken."""

import errno
import faulthandler
import functools
import logging
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from types import FrameType
from typing import Any

import gevent
import gevent.socket
from gunicorn.http import wsgi
from gunicorn.util import http_date
from gunicorn.workers.ggevent import GeventWorker

# What must not be read in a log: a token in a query, a credential in a header that is quoted.
SECRET = re.compile(r"(\btoken=|\bbearer[\s,]+)[^\s&,'\"]+", re.IGNORECASE)
LAST_CALL = 2.0  # seconds a kept-alive connection may still send a request after TERM or HUP
LATE = 0.25  # seconds that an idle connection may be closed late
END_TO_END_NAMES = 200  # header names remembered as valid; an application sends a few dozen

log = logging.getLogger("shardapi.worker")
_worker: "Worker | None" = None


class Turn(BaseException):
    """Held while one request head is read; the connection counts as idle meanwhile, and its time is limited."""

    def __init__(self, idle: dict[gevent.Greenlet, "Turn"], seconds: float) -> None:
        self.idle, self.ends = idle, time.monotonic() + seconds

    def __enter__(self) -> None:
        gevent.sleep(0)  # without it a busy connection starves the others: p99 490 ms instead of 16
        self.idle[gevent.getcurrent()] = self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self.idle.pop(gevent.getcurrent(), None)
        return error is self


class Discreet(logging.Filter):
    """Takes secrets out of what gunicorn logs: requests, broken ones too, and errors that quote them."""

    _format = logging.Formatter().formatException

    def filter(self, record: logging.LogRecord) -> bool:
        """Write the record anew."""
        record.msg, record.args = SECRET.sub(r"\1[redacted]", record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = SECRET.sub(r"\1[redacted]", self._format(record.exc_info))
        return True


class Answer(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response, its head and a body that is one chunk of known length sent at once."""

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
            self.sock.sendall(memoryview(data)[sent:])

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


class Worker(GeventWorker):  # type: ignore[misc]
    """What gunicorn's `-k` names; calls `start(worker)` and `retire()` of an application that has them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle: dict[gevent.Greenlet, Turn] = {}
        self._farewell: gevent.Greenlet | None = None

    def init_process(self) -> None:
        """Begin, in the new process."""
        global _worker
        _worker = self
        # A worker's settings never change; plain attributes save the look-ups, 10 us a request.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        for logger in (self.log.error_log, self.log.access_log):
            logger.addFilter(Discreet())
        super().init_process()

    def init_signals(self) -> None:
        """What signals do; where the master has to end this worker, its stack is told even from within C."""
        super().init_signals()
        faulthandler.enable(all_threads=False)  # which hands ABRT on to what was set before

    def load_wsgi(self) -> None:
        """Load the application and tell it that its worker is ready to run it."""
        super().load_wsgi()
        getattr(self.wsgi, "start", _nothing)(self)

    def run(self) -> None:
        """Serve until told to stop; the application's farewell is over before the process ends."""
        gevent.spawn(self._close_late)
        try:
            super().run()
        finally:
            self.retire().join(self.cfg.graceful_timeout)

    def retire(self) -> gevent.Greenlet:
        """Have the application let go of what it holds: once, in a greenlet of its own."""
        if self._farewell is None:
            self._farewell = gevent.spawn(getattr(getattr(self, "wsgi", None), "retire", _nothing))
        return self._farewell

    def timeout_ctx(self) -> Turn:
        """What gunicorn holds while it reads a request head."""
        return Turn(self.idle, self.cfg.keepalive if self.alive else LAST_CALL)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM: answer what is asked within the last call, then close what is idle."""
        super().handle_exit(sig, frame)
        self.retire()
        for turn in self.idle.values():
            turn.ends = min(turn.ends, time.monotonic() + LAST_CALL)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """QUIT or INT: the application's farewell, then the end."""
        self.alive = False
        quit = super().handle_quit
        self.retire().link(lambda _: quit(sig, frame))

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """ABRT, from the master, because the loop has stood for too long: end what runs, then this worker."""
        self.notify()  # else there is no time for a farewell
        getattr(getattr(self, "wsgi", None), "hung", _nothing)(frame)
        super().handle_abort(sig, frame)

    def _close_late(self) -> None:
        loop = gevent.get_hub().loop
        while True:  # one clock for all: a timer for each request costs more than the rest of its turn
            gevent.sleep(LATE)
            now = time.monotonic()
            for greenlet, turn in self.idle.items():
                if turn.ends <= now:
                    loop.run_callback(self._cut, greenlet, turn)

    def _cut(self, greenlet: gevent.Greenlet, turn: Turn) -> None:
        if self.idle.get(greenlet) is turn:  # else its request has come after all
            greenlet.throw(turn)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request; StopIteration ends the connection."""
        started = datetime.now()
        environ: dict[str, Any] = {}
        resp = None
        try:
            self.cfg.pre_request(self, req)
            resp, environ = wsgi.create(req, sock, addr, listener_name, self.cfg, Answer)
            environ["wsgi.multithread"] = True
            self._count()
            if not self.alive or not self.cfg.keepalive:
                resp.force_close()
            body = self.wsgi(environ, resp.start_response)
            try:
                resp.write_all(body)
            finally:
                self.log.access(resp, req, environ, datetime.now() - started)
                getattr(body, "close", _nothing)()
        except OSError:
            raise  # the client is gone: gunicorn says so, quietly
        except BaseException:
            if resp is None or not resp.headers_sent:
                raise  # answered with a 500 by gunicorn
            self.log.exception("Error handling request")
            _abort(sock)
            raise StopIteration from None
        finally:
            self._after(req, environ, resp)
        if resp.should_close():
            raise StopIteration

    def _count(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def _after(self, req: Any, environ: dict[str, Any], resp: Answer | None) -> None:
        try:
            self.cfg.post_request(self, req, environ, resp)
        except Exception:
            self.log.exception("Exception in post_request hook")


class Taken:
    """The body of an answer whose socket was taken: gunicorn ends the request as if the client had left."""

    def __iter__(self) -> Iterator[bytes]:
        raise BrokenPipeError(errno.EPIPE, "the socket was taken")


def takeable(environ: dict[str, Any]) -> bool:
    """Whether this request came over a plain connection of gunicorn's that its application may take."""
    sock = environ.get("gunicorn.socket")
    plain = sock is not None and not isinstance(sock, ssl.SSLSocket)
    return plain and str(environ["SERVER_PROTOCOL"]).startswith("HTTP/1.")


def take(environ: dict[str, Any]) -> gevent.socket.socket:
    """Take the connection out of its request; the caller owns the socket and answers with `Taken()`."""
    sock = environ["gunicorn.socket"]
    # detach() keeps the descriptor's number, so that no event loop is left watching a stale one.
    return gevent.socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())


def vital(greenlet: gevent.Greenlet) -> None:
    """End the worker if this greenlet dies of an error: gunicorn starts a fresh one."""
    greenlet.link_exception(_end)


def date() -> str:
    """The time now as the Date field has it."""
    return _date(int(time.time()))


@functools.lru_cache(maxsize=1)
def _date(second: int) -> str:
    return str(http_date(second))


def _end(greenlet: gevent.Greenlet) -> None:
    log.critical("%s died, so this worker ends", greenlet, exc_info=greenlet.exc_info)
    if _worker is not None:
        _worker.handle_exit(0, None)


def _abort(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def _nothing(*_: object) -> None:
    pass

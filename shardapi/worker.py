"""gunicorn's gevent worker with fair turns, places for all, and sockets that can be taken."""

import errno
import faulthandler
import logging
import math
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from types import FrameType
from typing import Any

import gevent
import gevent.socket
from gevent.server import StreamServer
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError
from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidHeader
from gunicorn.workers.ggevent import GeventWorker

from .answers import Answer as Answer
from .answers import date as date
from .board import BOOTED, SERVING, Board
from .redaction import redacted

LAST_CALL = 2.0  # seconds a kept-alive connection may still send a request after TERM or HUP
LATE = 0.25  # seconds that an idle connection may be closed late
SEND_SECONDS = 60.0  # for one answer: a client that reads byte by byte would hold its place for days
LINGER_SECONDS = 1.0  # for a client to read why it is turned away before its connection is reset
PATIENCE = 0.25  # seconds to wait for a place while others' answers come to where their clients hold them up
ACCEPTS = 8  # connections in one go; with gevent's 100 a crowd would hold all others up for 60 ms

log = logging.getLogger("shardapi.worker")
_worker: "Worker | None" = None


class Turn(BaseException):
    """Held while a client is waited for; its connection counts as idle meanwhile, and its time is limited."""

    def __init__(self, idle: dict[gevent.Greenlet, "Turn"], seconds: float) -> None:
        self.idle, self.ends = idle, time.monotonic() + seconds

    def __enter__(self) -> None:
        gevent.sleep(0)  # without it a busy connection starves the others: p99 490 ms instead of 16
        self.idle[gevent.getcurrent()] = self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self.idle.pop(gevent.getcurrent(), None)
        return error is self


class Reading(Turn):
    """Held while a client reads its answer, slower than it is sent."""


class NoHost(InvalidHeader):  # type: ignore[misc]
    """Raised for a request that does not say whom it is for."""

    def __str__(self) -> str:
        return "HTTP/1.1 needs a Host field"


class Discreet(logging.Filter):
    """Takes secrets out of what gunicorn logs: requests, broken ones too, and errors that quote them."""

    _format = logging.Formatter().formatException

    def filter(self, record: logging.LogRecord) -> bool:
        """Write the record anew."""
        record.msg, record.args = redacted(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redacted(self._format(record.exc_info))
        return True


class Worker(GeventWorker):  # type: ignore[misc]
    """What gunicorn's `-k` names; calls `start(worker)` and `retire()` of an application that has them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.board = Board()  # made in the master, which reads it
        self.idle: dict[gevent.Greenlet, Turn] = {}  # the one that waits for longest is the first
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
        stack = sys.stderr if self.board.stack is None else self.board.stack
        faulthandler.enable(stack, all_threads=False)  # which hands ABRT on to what was set before

    def load_wsgi(self) -> None:
        """Load the application and tell it that its worker is ready to run it."""
        try:
            super().load_wsgi()
        except AppImportError as error:
            self.board.refuse(str(error).removeprefix("Error: "))
            if getattr(self.app, "on_trial", False):
                sys.exit(Arbiter.APP_LOAD_ERROR)  # the master says why
            raise
        from .places import SPARE, Places  # imports more than may be before the worker has patched

        networks = self.cfg.forwarded_allow_networks()
        self.places = Places(self.worker_connections, networks, self._make_room)
        self.worker_connections += SPARE
        Answer.turn = staticmethod(lambda: Reading(self.idle, SEND_SECONDS))
        StreamServer.max_accept = ACCEPTS
        getattr(self.wsgi, "start", _nothing)(self)

    def serving(self) -> None:
        """Called by the application once it does all that it is for."""
        self.board.state = SERVING
        os.kill(self.ppid, signal.SIGCHLD)  # else the master looks in a second

    def run(self) -> None:
        """Serve until told to stop; the application's farewell is over before the process ends."""
        self.board.state = max(self.board.state, BOOTED)
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
            # Here and not as TERM comes: a turn may have begun and not be among these then.
            last = math.inf if self.alive else now + LAST_CALL
            for greenlet, turn in self.idle.items():
                if turn.ends > last and not isinstance(turn, Reading):
                    turn.ends = last
                if turn.ends <= now:
                    loop.run_callback(self._cut, greenlet, turn)

    def _cut(self, greenlet: gevent.Greenlet, turn: Turn) -> None:
        if self.idle.get(greenlet) is turn:  # else its request has come after all
            greenlet.throw(turn)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection, if there is a place for it."""
        client.settimeout(SEND_SECONDS)
        try:
            who = self._place(addr[0] if addr else "", client.fileno())
        except Exception as error:
            self.handle_error(None, client, addr, error)
            client.close()
            return
        try:
            super(GeventWorker, self).handle(listener, client, addr)
        finally:
            self.places.give_back(who)

    def _place(self, address: str, descriptor: int) -> str:
        """A place, which a crowd that comes at once may have to wait for. Raises Full, Crowded."""
        from .places import Full

        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.places.take(address, descriptor)
            except Full:
                if time.monotonic() >= until or descriptor > self.places.last_descriptor:
                    raise
            gevent.sleep(0.01)

    def _make_room(self, count: int) -> bool:
        """Have so many idle connections end, with those that are about to; False if there are not as many."""
        for greenlet, turn in self.idle.items():
            if turn.ends:
                turn.ends = 0.0
                gevent.get_hub().loop.run_callback(self._cut, greenlet, turn)
            count -= 1
            if not count:
                return True
        return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is no request, or has no place, as the application has it said."""
        refuse = getattr(self.wsgi, "refuse", None)
        if refuse is None:
            super().handle_error(req, client, addr, exc)
            return
        spare = client.fileno() <= self.places.last_descriptor
        with suppress(OSError), gevent.Timeout(LINGER_SECONDS if spare else 0.0, False):
            client.sendall(refuse(exc, addr[0] if addr else ""))
            client.shutdown(socket.SHUT_WR)
            while client.recv(8192):  # what is unread as it closes would reset it, and the answer be lost
                pass

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request; StopIteration ends the connection."""
        started = datetime.now()
        environ: dict[str, Any] = {}
        resp = None
        try:
            self.cfg.pre_request(self, req)
            resp, environ = wsgi.create(req, sock, addr, listener_name, self.cfg, Answer)
            environ["wsgi.multithread"] = True
            if "HTTP_HOST" not in environ and req.version >= (1, 1):
                raise NoHost("")
            self._count()
            if not self.alive or not self.cfg.keepalive:
                resp.force_close()
            body = self.wsgi(environ, resp.start_response)
            try:
                resp.write_all(body)
            finally:
                self.log.access(resp, req, environ, datetime.now() - started)
                getattr(body, "close", _nothing)()
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from None
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
    """End the worker if this greenlet dies, of an error or a GreenletExit: gunicorn starts a fresh one."""
    greenlet.link(_end)


def _end(greenlet: gevent.Greenlet) -> None:
    if greenlet.successful() and (not isinstance(greenlet.value, gevent.GreenletExit) or _retired()):
        return
    log.critical("%s died, so this worker ends", greenlet, exc_info=greenlet.exception or greenlet.value)
    if _worker is not None:
        _worker.handle_exit(0, None)


def _retired() -> bool:
    """Whether what runs here is told to end."""
    return _worker is None or _worker._farewell is not None


def _abort(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def _nothing(*_: object) -> None:
    pass

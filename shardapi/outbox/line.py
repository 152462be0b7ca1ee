"""One attempt to deliver: a POST to a judged address on a kept connection, with one deadline for all of it."""

import socket as plain
import ssl as plain_ssl
import time
from ipaddress import IPv6Address
from typing import NamedTuple

import gevent
from gevent import socket, ssl

from .answer import Closed, Head, Malformed, Reader
from .target import Address, Gate, Refused, Target, Unreachable, Unresolved

IDLE_SECONDS = 55.0  # receivers close what rests for a minute
KEEP_SECONDS = 300.0  # then the name is looked up again
FOR_OTHERS = 0.4  # of the time, for all addresses that do not take a connection but the last
BODY_SECONDS = 1.0  # for the rest of an answer whose status is known


class Result(NamedTuple):
    """What came of an attempt: the status (0: no answer), why there was none, how long it took, Retry-After.

    `pause` are the seconds until the receiver's rate limit has room again, where it says that it has none now.
    """

    status: int
    error: str
    ms: int
    retry_after: str = ""
    pause: str = ""

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


class Line:
    """The connection to one target, kept from one delivery to the next; used by one greenlet at a time."""

    def __init__(self, target: Target, gate: Gate, agent: str) -> None:
        self.target, self.gate = target, gate
        self._socket: socket.socket | None = None
        self._address: Address | None = None
        self._opened = self._used = 0.0
        self._head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n"
        ).encode("ascii")

    def post(self, fields: bytes, body: bytes, seconds: float) -> Result:
        """Deliver with these header fields, each ended by CRLF; is over within `seconds`, and raises no error."""
        began = time.monotonic()
        deadline = gevent.Timeout(seconds)
        request = b"%s%sContent-Length: %d\r\n\r\n%s" % (self._head, fields, len(body), body)
        try:
            with deadline:
                status, retry_after, pause = self._post(request, began + seconds)
        except gevent.Timeout as timeout:
            self.close()
            if timeout is not deadline:
                raise
            return Result(0, "timeout", _since(began))
        except (OSError, Malformed, Closed, Unreachable) as error:
            self.close()
            return Result(0, _class(error), _since(began))
        except BaseException:
            self.close()  # in the middle of an answer it is of no more use
            raise
        why = "" if 200 <= status < 300 else "refused"
        return Result(status, why, _since(began), retry_after, pause)

    def _post(self, request: bytes, ends: float) -> tuple[int, str, str]:
        now = time.monotonic()
        if now - self._used > IDLE_SECONDS or now - self._opened > KEEP_SECONDS:
            self.close()
        kept = self._socket is not None
        if self._address is not None:
            self.gate.judge(self._address)
        try:
            return self._exchange(request, ends)
        except Closed:
            if not kept:
                raise
            self.close()  # it was closed while it rested: the receiver has seen nothing of this
            return self._exchange(request, ends)

    def _exchange(self, request: bytes, ends: float) -> tuple[int, str, str]:
        sock = self._socket or self._connect(ends)
        reader = Reader(sock.recv)
        try:
            sent = sock.send(request)  # sendall() asks for the buffer's size first
            if sent < len(request):
                sock.sendall(request[sent:])
            head = reader.head()
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Malformed if reader.taken else Closed from error
        kept = reader.ends_here(head) or self._skip(reader, head, ends)
        if not kept:
            self.close()
        self._used = time.monotonic()
        asked = head.retry_after or (reader.asked() if head.status == 429 else "")
        return head.status, asked, head.pause

    def _skip(self, reader: Reader, head: Head, ends: float) -> bool:
        """Read the rest: the receiver has decided, and how it goes on about it can only cost the connection."""
        patience = max(0.001, min(BODY_SECONDS, ends - time.monotonic() - 0.05))
        try:
            with gevent.Timeout(patience, False):
                return reader.skip(head)
        except OSError:
            pass
        return False

    def _connect(self, ends: float) -> socket.socket:
        """A connection to the first judged address that takes one."""
        failed: OSError | None = None
        addresses = self.gate.addresses(self.target)
        patience = max(0.001, ends - time.monotonic()) * FOR_OTHERS / max(1, len(addresses) - 1)
        for address in addresses:
            family = plain.AF_INET6 if isinstance(address, IPv6Address) else plain.AF_INET
            sock = socket.socket(family, plain.SOCK_STREAM)
            try:
                if address is not addresses[-1]:
                    sock.settimeout(patience)
                sock.connect((str(address), self.target.port))
                sock.settimeout(None)
                sock.setsockopt(plain.IPPROTO_TCP, plain.TCP_NODELAY, 1)
                if self.target.scheme == "https":
                    # In two steps, so that it can be closed wherever the second one ends.
                    sock = _context().wrap_socket(
                        sock, server_hostname=self.target.host, do_handshake_on_connect=False
                    )
                    sock.do_handshake()
            except OSError as error:
                sock.close()
                failed = error
                continue
            except BaseException:
                sock.close()
                raise
            self._socket, self._address = sock, address
            self._opened = self._used = time.monotonic()
            return sock
        assert failed is not None
        raise failed

    def close(self) -> None:
        """Let the connection go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = self._address = None


_contexts: list[ssl.SSLContext] = []


def _context() -> ssl.SSLContext:
    """How receivers are to prove who they are; made once, because the authorities weigh some MiB."""
    if not _contexts:
        # gevent's class by its name: `create_default_context` takes the blocking one where nothing is patched.
        context = ssl.SSLContext(plain_ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        _contexts.append(context)
    return _contexts[0]


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _class(error: Exception) -> str:
    """What kept an answer from coming, in a word; never anything that the receiver said."""
    for kind, word in (
        (Refused, "address_refused"),
        (Unresolved, "unresolved"),
        (plain_ssl.SSLError, "tls"),
        (ConnectionRefusedError, "connection_refused"),
        (TimeoutError, "timeout"),
        (Malformed, "malformed_answer"),
        (Closed, "closed"),
    ):
        if isinstance(error, kind):
            return word
    return "connection_failed"

"""One WebSocket on a socket taken from its request: frames in and out, pings, and a bounded queue."""

import logging
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Any

import gevent
import gevent.socket
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from shardapi.presence import Message

from .outbox import Outbox, why
from .rounds import Rounds

HEARTBEAT_SECONDS = 8.0
MISSED_PONGS = 2
CLOSE_SECONDS = 5.0  # for the peer's part in a closing handshake
LARGEST_MESSAGE = 16 * 1024
READ_BYTES = 4096  # a few hundred of the smallest frames: what may hold up the loop at once
FRAMES, FRAMES_SECONDS = 20, 1.0
PAUSE_SECONDS = 0.1
HELD_BYTES = 32 * 1024  # half of what the kernel takes: more goes without waiting for a round
DISCONNECTED = 4001

ABRUPTLY = struct.pack("ii", 1, 0)  # SO_LINGER: close drops what is still unsent

log = logging.getLogger("shardapi.gateway")
frames_log = logging.getLogger("shardapi.gateway.frames")
frames_log.setLevel(logging.WARNING)  # at DEBUG it would tell what operators send


def encode(text: bytes) -> bytes:
    """A text message as the frame a server sends."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class Allowance:
    """So many within any so many seconds."""

    __slots__ = ("count", "seconds", "_taken")

    def __init__(self, count: int, seconds: float) -> None:
        self.count, self.seconds = count, seconds
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Take one; False if none is left."""
        now = time.monotonic()
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        if len(self._taken) >= self.count:
            return False
        self._taken.append(now)
        return True


class WebSocket:
    """A connection whose handshake was accepted; a subclass says what its messages mean.

    Writing never waits, so any greenlet may send, and the event loop too. Reading is done by one greenlet.
    """

    transport = "ws"
    rounds = Rounds()

    def __init__(self, protocol: ServerProtocol, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self.reason = ""
        self.line: Any = None  # its request's in the log, to be written when it ends
        self.heartbeat = heartbeat
        self._protocol = protocol
        self._sock: Any = None
        self._aborted = self._finishing = self._binary = False
        self._partial = bytearray()
        self._held = bytearray()  # until the next round
        self._outbox: Outbox | None = None
        self._allowance = Allowance(FRAMES, FRAMES_SECONDS)
        self._unanswered = 0
        self._timer: Any = None

    # -- for the subclass

    def opened(self) -> None:
        """Called first."""

    def received(self, text: bytes, hurried: bool) -> None:
        """Called for each text message; hurried, if it came over the limit of frames a second."""

    def received_binary(self) -> None:
        """Called for each binary message."""

    def ended(self, reason: str) -> None:
        """Called once, in a greenlet of its own."""

    # -- for everyone

    def start(self, sock: gevent.socket.socket, head: bytes) -> None:
        """Own this socket: send the answer to the upgrade, then read."""
        self._sock = sock
        self._timer = gevent.get_hub().loop.timer(self.heartbeat, self.heartbeat)
        self._timer.start(self._beat)
        self._write(head)
        self.opened()
        gevent.spawn(self._run)

    def send(self, message: Message) -> bool:
        """Send a message, in the next round if others were sent a moment ago, or queue it; False if it is ending."""
        if self.reason:
            return False
        if message.wire is None:
            message.wire = encode(message.text)
        if self.rounds.at_once(message) or self._outbox is not None:
            self._write(message.wire)
        else:
            self._hold(message.wire)
        return not self.reason  # writing may have found it gone

    def _hold(self, wire: bytes) -> None:
        if not self._held:
            self.rounds.join(self._release)
        self._held += wire
        if len(self._held) > HELD_BYTES:
            self._release()

    def say(self, text: bytes) -> None:
        """Send a text to this one peer."""
        if not self.reason:
            self._write(encode(text))

    def shut(self, code: int, why: str, reason: str) -> None:
        """Start the closing handshake; `reason` is what `ended` gets."""
        if self.reason:
            return
        if self._protocol.state is State.OPEN:  # else the peer has closed already, in the bytes being read
            self._protocol.send_close(code, why.encode()[:123].decode(errors="ignore"))
        self._end(reason)
        self._flush()

    def abort(self, reason: str) -> None:
        """End without a farewell, and drop what is unsent."""
        self._end(reason)
        self._aborted = True
        self._held.clear()
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)
            self._sock.shutdown(socket.SHUT_RDWR)  # the reader wakes and cleans up

    # -- reading

    def _run(self) -> None:
        try:
            while not self._aborted and (data := self._sock.recv(READ_BYTES)):
                if self._receive(data):
                    gevent.sleep(PAUSE_SECONDS)
        except OSError as error:
            self._end(why(error))
        except Exception:
            log.exception("a message could not be handled")
            self._protocol.fail(CloseCode.INTERNAL_ERROR)
            self._end("disconnect")
            self._flush()
        finally:
            self._end("closed")
            self._held.clear()
            self._timer.close()
            if self._outbox is not None:
                self._outbox.close()
            self._sock.close()

    def _receive(self, data: bytes) -> bool:
        """Take data in; True if the peer is to wait a moment before it is read again."""
        hurried = False
        self._protocol.receive_data(data)
        if self._protocol.state is State.OPEN:
            self._flush()  # pongs at once, but a close only behind the answers to what came before it
        for frame in self._protocol.events_received():
            if self.reason:
                break
            assert isinstance(frame, Frame)
            over = not self._allowance.take()
            hurried = hurried or over
            self._frame(frame, over)
        if self._protocol.state is not State.OPEN:
            self._end("closed" if self._protocol.close_rcvd else "disconnect")
        self._flush()
        return hurried

    def _frame(self, frame: Frame, hurried: bool) -> None:
        match frame.opcode:
            case Opcode.PONG:
                self._unanswered = 0
                return
            case Opcode.PING | Opcode.CLOSE:
                return  # the protocol answers them
            case Opcode.CONT:
                self._partial += frame.data
            case kind:
                self._binary, self._partial = kind is Opcode.BINARY, bytearray(frame.data)
        if not frame.fin:
            return
        data, self._partial = bytes(self._partial), bytearray()
        if self._binary:
            self.received_binary()
        elif _is_utf8(data):
            self.received(data, hurried)
        else:
            self._protocol.fail(CloseCode.INVALID_DATA, "not UTF-8")

    # -- writing

    def _release(self) -> None:
        if self._held:
            self._write(b"")

    def _write(self, data: bytes) -> None:
        if self._held:  # it came first
            data = bytes(self._held) + data
            self._held.clear()
        if self._outbox is not None:
            self._outbox.put(data)
            return
        try:
            sent = self._sock.send(data, 0, 0.0)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.abort(why(error))
            return
        if sent < len(data):
            self._outbox = Outbox(self._sock, self._drained, self.abort)
            self._outbox.put(data[sent:])

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._write(data)
            else:
                self._finish()

    def _finish(self) -> None:
        self._finishing = True
        if self._outbox is None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def _drained(self) -> None:
        self._outbox = None
        if self._finishing:
            self._finish()

    # -- life and end

    def _beat(self) -> None:
        if self._unanswered >= MISSED_PONGS:
            self.abort("timeout")
            return
        self._unanswered += 1
        self._protocol.send_ping(b"")
        self._flush()

    def _end(self, reason: str) -> None:
        if self.reason:
            return
        self.reason = reason
        self._timer.close()
        self._timer = gevent.get_hub().loop.timer(CLOSE_SECONDS)
        self._timer.start(self.abort, reason)
        if self.line is not None:
            self.line.end(reason)
        gevent.spawn(self.ended, reason)  # not here: the caller may be walking over its connections


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

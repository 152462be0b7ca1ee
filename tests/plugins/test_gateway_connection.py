"""The gateway's WebSocket on a socket pair: the protocol, pings, limits, and peers that do not read."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from shardapi.presence import Message
from shardapi_gateway import connection, outbox
from shardapi_gateway.connection import LARGEST_MESSAGE, Allowance, WebSocket, encode


class Echo(WebSocket):
    """Says back what it hears, and keeps how it ended."""

    def __init__(self, heartbeat: float) -> None:
        super().__init__(ServerProtocol(state=State.OPEN, max_size=LARGEST_MESSAGE), heartbeat)
        self.end = gevent.event.AsyncResult()
        self.hurried: list[bool] = []

    def received(self, text: bytes, hurried: bool) -> None:
        self.hurried.append(hurried)
        self.say(text)

    def received_binary(self) -> None:
        self.say(b"binary")

    def ended(self, reason: str) -> None:
        self.end.set(reason)


class Peer:
    """The other end, which speaks the protocol only as far as a test has it."""

    def __init__(self, sock: gevent.socket.socket) -> None:
        self.sock = sock
        self.protocol = ClientProtocol(parse_uri("ws://shard/"), state=State.OPEN, max_size=None)

    def send(self, *chunks: bytes) -> None:
        """Send pieces, each read on its own at the other end."""
        with suppress(BrokenPipeError):
            for chunk in chunks:
                self.sock.sendall(chunk)
                gevent.sleep(0)

    def frames(self) -> Iterator[str]:
        """What comes, each frame as a word and its payload, until the end."""
        while data := self.read():
            self.protocol.receive_data(data)
            for frame in self.protocol.events_received():
                assert isinstance(frame, Frame)
                yield described(frame)

    def read(self) -> bytes:
        """Some bytes; none at the end, also when it came as a reset."""
        try:
            return bytes(self.sock.recv(65536))
        except ConnectionResetError:
            return b""


def described(frame: Frame) -> str:
    if frame.opcode is Opcode.CLOSE:
        return f"close {Close.parse(bytes(frame.data)).code}"
    return f"{frame.opcode.name.lower()} {bytes(frame.data).decode()}".strip()


Open = Callable[..., tuple[Echo, Peer]]


@pytest.fixture
def pair() -> Iterator[Open]:
    """Makes a connection and its peer; both are closed when the peer is."""
    sockets: list[Any] = []

    def open_pair(heartbeat: float = 60) -> tuple[Echo, Peer]:
        ours, theirs = gevent.socket.socketpair()
        sockets.extend((ours, theirs))
        echo = Echo(heartbeat)
        echo.start(ours, b"")
        return echo, Peer(theirs)

    with gevent.Timeout(10):
        yield open_pair
        for sock in sockets[1::2]:
            sock.close()
        while any(sock.fileno() >= 0 for sock in sockets):
            gevent.sleep(0.001)


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """A frame, also one that must not be."""
    return head(opcode, len(data), fin=fin, rsv=rsv, masked=masked) + (mask(data) if masked else data)


def head(opcode: int, size: int, *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    first, bit = fin << 7 | rsv << 4 | opcode, masked << 7
    if size < 126:
        return struct.pack(">BB", first, bit | size)
    if size < 65536:
        return struct.pack(">BBH", first, bit | 126, size)
    return struct.pack(">BBQ", first, bit | 127, size)


def mask(data: bytes) -> bytes:
    key = os.urandom(4)
    return key + bytes(byte ^ key[place & 3] for place, byte in enumerate(data))


def closing(code: int, why: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + why)


CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GREEK = "κόσμε".encode()
SURROGATE = b"\xce\xba\xed\xa0\x80"
HALF = b"a" * (LARGEST_MESSAGE // 2)

PROBES: dict[str, tuple[list[bytes], list[str]]] = {
    "a text": ([frame(TEXT, b"hello")], ["text hello"]),
    "an empty text": ([frame(TEXT)], ["text"]),
    "a binary": ([frame(BINARY, b"\xff")], ["text binary"]),
    "the largest text": ([frame(TEXT, HALF * 2)], ["text " + "a" * LARGEST_MESSAGE]),
    "one byte too many": ([frame(TEXT, HALF * 2 + b"a")], ["close 1009"]),
    "a huge length and nothing more": ([head(BINARY, 1 << 40)], ["close 1009"]),
    "fragments too large together": (
        [frame(TEXT, HALF, fin=False), frame(CONT, HALF, fin=False), frame(CONT, b"a")],
        ["close 1009"],
    ),
    "two frames in one piece": ([frame(TEXT, b"a") + frame(TEXT, b"b")], ["text a", "text b"]),
    "a frame byte by byte": ([bytes([byte]) for byte in frame(TEXT, GREEK)], ["text κόσμε"]),
    "fragments with a ping between": (
        [frame(TEXT, b"abc", fin=False), frame(PING, b"p"), frame(CONT, b"def")],
        ["pong p", "text abcdef"],
    ),
    "a character split over fragments": (
        [frame(TEXT, GREEK[:3], fin=False), frame(CONT, GREEK[3:])],
        ["text κόσμε"],
    ),
    "empty fragments": (
        [frame(TEXT, fin=False), *[frame(CONT, fin=False)] * 9, frame(CONT)],
        ["text"],
    ),
    "a continuation of nothing": ([frame(CONT, b"a")], ["close 1002"]),
    "a text inside a fragmented one": ([frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], ["close 1002"]),
    "a ping": ([frame(PING, b"abcd")], ["pong abcd"]),
    "a ping that is too long": ([frame(PING, b"a" * 126)], ["close 1002"]),
    "a fragmented ping": ([frame(PING, b"a", fin=False)], ["close 1002"]),
    "a pong nobody asked for": ([frame(PONG, b"z")], []),
    "an unmasked frame": ([frame(TEXT, b"hello", masked=False)], ["close 1002"]),
    "a reserved bit": ([frame(TEXT, b"hello", rsv=4)], ["close 1002"]),
    "a reserved data opcode": ([frame(3, b"x")], ["close 1002"]),
    "a reserved control opcode": ([frame(11, b"x")], ["close 1002"]),
    "a surrogate": ([frame(TEXT, SURROGATE)], ["close 1007"]),
    "half a character": ([frame(TEXT, GREEK[:3])], ["close 1007"]),
    "a close": ([closing(1000)], ["close 1000"]),
    "a close of the application": ([closing(3000, b"bye")], ["close 3000"]),
    "an empty close": ([frame(CLOSE)], ["close 1005"]),
    "a close of one byte": ([frame(CLOSE, b"\x03")], ["close 1002"]),
    "a close code that is never sent": ([closing(1005)], ["close 1002"]),
    "a close code out of range": ([closing(999)], ["close 1002"]),
    "a close with a bad reason": ([closing(1000, SURROGATE)], ["close 1007"]),
    "a text after the close": ([closing(1000) + frame(TEXT, b"late")], ["close 1000"]),
    "a text before the close": ([frame(TEXT, b"last") + closing(1000)], ["text last", "close 1000"]),
    "a text before a bad frame": ([frame(TEXT, b"last") + frame(3)], ["text last", "close 1002"]),
}


@pytest.mark.parametrize("name", PROBES)
def test_frames_are_taken_as_the_protocol_has_it(name: str, pair: Open) -> None:
    chunks, expected = PROBES[name]
    _, peer = pair()
    peer.send(*chunks, frame(TEXT, b"end"))
    seen: list[str] = []
    for one in peer.frames():
        if one == "text end":
            break
        seen.append(one)
    assert seen == expected


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [(closing(1000), "closed"), (closing(1001), "closed"), (frame(3), "disconnect")],
    ids=["normal", "going away", "against the protocol"],
)
def test_the_end_has_a_reason(chunk: bytes, reason: str, pair: Open) -> None:
    echo, peer = pair()
    peer.send(chunk)
    assert echo.end.get() == reason


def test_a_peer_that_goes_without_a_word_has_closed(pair: Open) -> None:
    echo, peer = pair()
    peer.sock.close()
    assert echo.end.get() == "closed"


def test_a_peer_that_answers_no_ping_is_dropped(pair: Open) -> None:
    echo, peer = pair(heartbeat=0.05)
    assert list(peer.frames()) == ["ping", "ping"]
    assert echo.end.get() == "timeout"


def test_only_pongs_count_as_life(pair: Open) -> None:
    echo, peer = pair(heartbeat=0.05)
    while not echo.end.ready():
        peer.send(frame(TEXT, b"I am here"))
        gevent.sleep(0.01)
    assert echo.end.get() == "timeout"


def test_a_peer_that_answers_pings_stays(pair: Open) -> None:
    echo, peer = pair(heartbeat=0.2)
    frames = peer.frames()
    for _ in range(6):
        assert next(frames) == "ping"
        peer.send(frame(PONG))
    assert not echo.end.ready()


def test_a_closing_handshake_that_is_not_answered_is_over_soon(
    pair: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.05)
    echo, peer = pair()
    echo.shut(4001, "é" * 200, "disconnect")
    assert list(peer.frames()) == ["close 4001"]
    assert echo.end.get() == "disconnect"


def test_nothing_is_sent_after_a_close(pair: Open) -> None:
    echo, peer = pair()
    echo.shut(4001, "gone", "disconnect")
    echo.send(Message(b"late"))
    echo.say(b"late")
    echo.shut(1000, "again", "closed")
    peer.send(closing(4001))
    assert list(peer.frames()) == ["close 4001"]


def test_what_comes_after_our_close_is_not_heard(pair: Open) -> None:
    echo, peer = pair()
    echo.shut(4001, "gone", "disconnect")
    peer.send(frame(TEXT, b"one more thing"), closing(4001))
    assert list(peer.frames()) == ["close 4001"]
    assert echo.hurried == []


def test_an_unforeseen_error_closes_with_1011(
    pair: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Echo, "received", lambda *_: 1 / 0)
    echo, peer = pair()
    peer.send(frame(TEXT, b"hello"))
    assert list(peer.frames()) == ["close 1011"]
    assert "ZeroDivisionError" in caplog.text


def test_twenty_frames_a_second_are_heard_in_peace(pair: Open) -> None:
    echo, peer = pair()
    peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(25)))
    for one in peer.frames():
        if one == "text 24":
            break
    assert echo.hurried == [False] * 20 + [True] * 5


def test_an_allowance_comes_back_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    allowance = Allowance(2, 0.02)
    for now, taken in ((1.0, [True, True, False]), (1.019, [False]), (1.021, [True, True, False])):
        monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda now=now: now))
        assert [allowance.take() for _ in taken] == taken


def test_a_flood_leaves_the_loop_to_others(pair: Open) -> None:
    echo, peer = pair()
    flood = gevent.spawn(peer.send, frame(PONG) * 1_000_000)  # more than can be read in the time
    for _ in range(51):
        gevent.sleep(0.001)
    assert not flood.ready()
    flood.kill()
    echo.abort("closed")


def test_a_message_to_many_is_encoded_once(pair: Open) -> None:
    message = Message(b"hello")
    pairs = [pair() for _ in range(3)]
    for echo, _ in pairs:
        echo.send(message)
    assert [next(peer.frames()) for _, peer in pairs] == ["text hello"] * 3
    assert message.wire == encode(b"hello")


def test_a_peer_that_reads_late_gets_whole_frames_in_order(pair: Open) -> None:
    echo, peer = pair()
    texts = [b"%d:" % number + b"x" * 9000 for number in range(50)]
    for text in texts:
        echo.send(Message(text))
    assert echo._outbox is not None, "more than the kernel takes was meant to be sent"
    frames = peer.frames()
    assert [next(frames) for _ in texts] == [f"text {text.decode()}" for text in texts]
    peer.send(frame(TEXT, b"and on"))
    assert next(frames) == "text and on"
    assert echo._outbox is None


def test_a_close_waits_behind_what_is_queued(pair: Open) -> None:
    echo, peer = pair()
    texts = [b"x" * 9000] * 50
    for text in texts:
        echo.send(Message(text))
    echo.shut(1000, "", "closed")
    frames = peer.frames()
    assert [next(frames) for _ in texts] == ["text " + "x" * 9000] * 50
    assert next(frames) == "close 1000"
    peer.send(closing(1000))
    assert list(frames) == []


def test_a_failed_connection_ends_behind_what_is_queued(pair: Open) -> None:
    echo, peer = pair()
    for _ in range(50):
        echo.send(Message(b"x" * 9000))
    peer.send(frame(3))
    assert list(peer.frames()) == ["text " + "x" * 9000] * 50 + ["close 1002"]
    assert echo.end.get() == "disconnect"


def test_a_peer_too_slow_for_the_queue_is_closed(pair: Open) -> None:
    echo, peer = pair()
    other, reader = pair()
    message = Message(b"x" * 9000)
    for _ in range(200):
        echo.send(message)
        other.send(message)
        next(reader.frames())
    assert echo.end.get() == "slow"
    assert not other.end.ready()


def test_a_peer_that_lets_a_frame_grow_old_is_closed(pair: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "QUEUE_SECONDS", 0.2)
    echo, _ = pair()
    for _ in range(45):
        echo.send(Message(b"x" * 9000))
    assert echo._outbox is not None, "more than the kernel takes was meant to be sent"
    assert not echo.end.ready()
    assert echo.end.get() == "slow"


def test_a_send_to_a_peer_that_is_gone_is_no_error(pair: Open) -> None:
    echo, peer = pair()
    peer.sock.close()
    for _ in range(3):
        echo.send(Message(b"hello"))
    assert echo.end.get() == "closed"


def test_a_peer_that_goes_while_frames_are_queued_has_closed(pair: Open) -> None:
    echo, peer = pair()
    for _ in range(45):
        echo.send(Message(b"x" * 9000))
    peer.sock.close()
    assert echo.end.get() == "closed"

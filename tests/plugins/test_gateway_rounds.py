"""How messages to many are sent: one by itself at once, what comes fast joined, everything in order."""

from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest
from websockets.protocol import State
from websockets.server import ServerProtocol

from shardapi.presence import Message
from shardapi_gateway.connection import HELD_BYTES, WebSocket, encode
from shardapi_gateway.rounds import LONGEST_PAUSE, SLICE, Rounds


class Counting:
    """A socket that counts what it is given to send."""

    def __init__(self, sock: gevent.socket.socket) -> None:
        self.sock, self.sends = sock, 0

    def send(self, *arguments: Any) -> int:
        self.sends += 1
        return int(self.sock.send(*arguments))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class Connection(WebSocket):
    """A connection by itself, and what its peer has got."""

    def __init__(self, rounds: Rounds) -> None:
        super().__init__(ServerProtocol(state=State.OPEN))
        self.rounds = rounds
        self.over = gevent.event.Event()
        ours, self.peer = gevent.socket.socketpair()
        self.counting = Counting(ours)
        self.start(self.counting, b"")
        self.counting.sends = 0

    def ended(self, reason: str) -> None:
        self.over.set()

    def got(self) -> bytes:
        """What has been sent by now; looks without letting another greenlet run."""
        try:
            return bytes(self.peer.recv(1 << 20, gevent.socket.MSG_DONTWAIT))
        except BlockingIOError:
            return b""

    def quit(self) -> None:
        """Close both ends."""
        self.peer.close()
        self.over.wait()


@pytest.fixture
def connections() -> Iterator[list[Connection]]:
    """Three connections that share their rounds."""
    with gevent.Timeout(10):
        rounds = Rounds()
        made = [Connection(rounds) for _ in range(3)]
        yield made
        for one in made:
            one.quit()


def wires(*texts: bytes) -> bytes:
    return b"".join(map(encode, texts))


def test_a_message_by_itself_goes_at_once(connections: list[Connection]) -> None:
    message = Message(b"alone")
    for one in connections:
        one.send(message)
    assert [one.got() for one in connections] == [wires(b"alone")] * 3


def test_what_comes_fast_is_joined_for_each(connections: list[Connection]) -> None:
    texts = [b"%d" % number for number in range(50)]
    for text in texts:
        message = Message(text)
        for one in connections:
            one.send(message)
    assert [one.got() for one in connections] == [wires(texts[0])] * 3
    gevent.sleep(2 * LONGEST_PAUSE)
    assert [one.got() for one in connections] == [wires(*texts[1:])] * 3
    assert [one.counting.sends for one in connections] == [2, 2, 2]


def test_after_a_moment_of_calm_a_message_goes_at_once_again(connections: list[Connection]) -> None:
    one = connections[0]
    for text in (b"a", b"b"):
        one.send(Message(text))
    gevent.sleep(2 * LONGEST_PAUSE)
    assert one.got() == wires(b"a", b"b")
    one.send(Message(b"c"))
    assert one.got() == wires(b"c")


def test_messages_during_a_pause_wait_for_its_end_only(connections: list[Connection]) -> None:
    one = connections[0]
    for number in range(20):
        one.send(Message(b"%d" % number))
        gevent.sleep(0.001)
    gevent.sleep(2 * LONGEST_PAUSE)
    assert one.got() == wires(*(b"%d" % number for number in range(20)))


def test_an_answer_comes_behind_what_is_held(connections: list[Connection]) -> None:
    one = connections[0]
    for text in (b"a", b"b"):
        one.send(Message(text))
    one.say(b"answer")
    assert one.got() == wires(b"a", b"b", b"answer")


def test_a_close_comes_behind_what_is_held(connections: list[Connection]) -> None:
    one = connections[0]
    for text in (b"a", b"b"):
        one.send(Message(text))
    one.shut(1000, "", "closed")
    assert one.got() == wires(b"a", b"b") + b"\x88\x02\x03\xe8"


def test_what_is_held_is_dropped_with_the_connection(connections: list[Connection]) -> None:
    one, other, _ = connections
    for text in (b"a", b"b"):
        for each in (one, other):
            each.send(Message(text))
    one.abort("disconnect")
    gevent.sleep(2 * LONGEST_PAUSE)
    assert one.got() == wires(b"a")
    assert other.got() == wires(b"a", b"b")


def test_no_more_than_a_piece_is_held(connections: list[Connection]) -> None:
    one = connections[0]
    text = b"x" * (HELD_BYTES // 4)
    for _ in range(5):
        one.send(Message(text))
    assert one.got() == wires(*[text] * 5)


def test_a_message_to_very_many_leaves_the_loop_to_others_in_between() -> None:
    rounds, message, order = Rounds(), Message(b"all"), list[str]()
    for _ in range(3 * SLICE):
        if not rounds.at_once(message):
            rounds.join(lambda: order.append("sent"))
    assert rounds.at_once(message) is False
    gevent.spawn_later(1e-6, order.append, "other")
    with gevent.Timeout(10):
        while len(order) < 2 * SLICE + 1:
            gevent.sleep(0.001)
    assert order.index("other") <= SLICE

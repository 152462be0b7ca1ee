"""A crowd of operators on raw sockets, read by one loop: hundreds in one process, each able to misbehave."""

import ctypes
import errno
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from gateways import GUILD, SECRET, token

from shardapi.testing import Server

KNOWN = {
    "SHARDAPI_GUILD__ID": GUILD,
    "SHARDAPI_SIGNING_SECRET": SECRET,
    "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
}
BULK = 200
CONNECTING, UPGRADING, JOINING, JOINED, ENDED = "connecting", "upgrading", "joining", "joined", "ended"
TEXT, CLOSE, PING = 0x81, 0x88, 0x89
PINGED = bytes([PING, 0])
PONG, GOODBYE = b"\x8a\x80\0\0\0\0", b"\x88\x82\0\0\0\0\x03\xe8"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends a reset
SO_ATTACH_FILTER = 26
SMALL = 4096  # bytes
UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: shard\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Authorization: Bearer {}\r\n\r\n"
)


def frame(message: dict[str, Any]) -> bytes:
    """A message as a client sends it, masked with zeros."""
    text = json.dumps(message).encode()
    assert len(text) < 126
    return bytes([TEXT, 0x80 | len(text)]) + bytes(4) + text


class Peer:
    """One connection of an operator, as the other end has it; `status` is that of an answer that was no upgrade."""

    def __init__(self, user: str, sock: socket.socket) -> None:
        self.user, self.sock, self.fd = user, sock, sock.fileno()
        self.state, self.status, self.farewell = CONNECTING, 0, ""
        self.rest = b""
        self.skims = False  # reads what comes and does not look at it


class Crowd:
    """Connections to one server; nothing happens to them but in `turn`. A context manager."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.heard: Callable[[Peer, bytes], None] = lambda peer, text: None
        self.peers: dict[int, Peer] = {}
        self._epoll = select.epoll()
        self._silent: list[Peer] = []
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *error: object) -> None:
        self.forget()
        self._epoll.close()

    def forget(self) -> None:
        """Close everything, whatever the other end thinks of it."""
        for peer in [*self.peers.values(), *self._silent]:
            peer.sock.close()
        self.peers.clear()
        self._silent.clear()

    # -- coming

    def begin(self, user: str) -> Peer:
        """Have a user connect, and join as soon as they may."""
        if user not in self._tokens:
            self._tokens[user] = token(user, f"Operator {user}")
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        split = urlsplit(self.server.url)
        sock.connect_ex((split.hostname, split.port))
        peer = self.peers[sock.fileno()] = Peer(user, sock)
        self._epoll.register(sock, select.EPOLLOUT)
        return peer

    def enter(self, users: Iterable[str], seconds: float = 30.0) -> list[Peer]:
        """Have users join, and wait until they have."""
        users, peers = list(users), list[Peer]()
        for place in range(0, len(users), 100):  # all at once would be a storm
            peers.extend([self.begin(user) for user in users[place : place + 100]])
            self.until(lambda: all(peer.state in (JOINED, ENDED) for peer in peers), seconds)
        late = {(peer.state, peer.status) for peer in peers if peer.state != JOINED}
        assert not late, late
        return peers

    # -- reading

    def turn(self, timeout: float = 0.0) -> int:
        """Do what there is to do; waits for the first thing, and returns how many there were."""
        ready = self._epoll.poll(timeout, 512)
        for fd, _ in ready:
            peer = self.peers.get(fd)
            if peer is not None:
                try:
                    self._look_at(peer)
                except OSError as error:
                    peer.status = error.errno or 0
                    self._over(peer)
        return len(ready)

    def idle(self, seconds: float) -> None:
        """Read, and answer pings, for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.turn(min(left, 0.05))

    def until(self, condition: Callable[[], Any], seconds: float = 30.0) -> None:
        """Go on until it is so."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"still not after {seconds} s"
            self.turn(0.05)

    def _look_at(self, peer: Peer) -> None:
        if peer.state == CONNECTING:
            failed = peer.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise OSError(failed, os.strerror(failed))
            peer.sock.send(UPGRADE.format(self._tokens[peer.user]).encode())
            peer.state = UPGRADING
            self._epoll.modify(peer.fd, select.EPOLLIN)
            return
        data = peer.sock.recv(1 << 18)
        if not data:
            return self._over(peer)
        if peer.skims:
            if PINGED in data:
                peer.sock.send(PONG)
            return None
        peer.rest += data
        if peer.state == UPGRADING:
            self._upgraded(peer)
        if peer.state in (JOINING, JOINED):
            self._frames(peer)

    def _upgraded(self, peer: Peer) -> None:
        head, end, rest = peer.rest.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            peer.status = int(head.split()[1])
            return self._over(peer)
        peer.rest, peer.state = rest, JOINING
        self.send(peer, type="join", guildId=GUILD, mode="voice")

    def _frames(self, peer: Peer) -> None:
        data, start, size = peer.rest, 0, len(peer.rest)
        while size - start >= 2:
            kind, length, begin = data[start], data[start + 1], start + 2
            if length == 126:
                length, begin = int.from_bytes(data[start + 2 : start + 4], "big"), start + 4
            elif length == 127:
                length, begin = int.from_bytes(data[start + 2 : start + 10], "big"), start + 10
            if begin + length > size:
                break
            start = begin + length
            if kind == TEXT:
                self._message(peer, data[begin:start])
            elif kind == PING:
                peer.sock.send(PONG)
            elif kind == CLOSE:
                self.leave(peer)
        peer.rest = data[start:]

    def _message(self, peer: Peer, text: bytes) -> None:
        if text.startswith(b'{"type":"joined"'):
            peer.state = JOINED
        elif text.startswith(b'{"type":"disconnect"'):
            peer.farewell = json.loads(text)["reason"]
        self.heard(peer, text)

    def _over(self, peer: Peer) -> None:
        peer.state = ENDED
        self.peers.pop(peer.fd, None)
        peer.sock.close()

    # -- doing

    @property
    def joined(self) -> list[Peer]:
        """Those who are on the air, as far as they know."""
        return [peer for peer in self.peers.values() if peer.state == JOINED]

    def send(self, peer: Peer, **message: Any) -> None:
        """Send one message; nothing if the other end is gone."""
        with suppress(OSError):
            peer.sock.send(frame(message))

    # -- going

    def leave(self, peer: Peer) -> None:
        """Begin the closing handshake; the other end closes."""
        with suppress(OSError):
            peer.sock.send(GOODBYE)

    def cut(self, peer: Peer, reset: bool = False) -> None:
        """End the connection without a word."""
        if reset:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._over(peer)

    def stall(self, peer: Peer) -> None:
        """Stop reading; the kernel goes on acknowledging until its buffer, which is made small, is full."""
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self._epoll.unregister(peer.fd)
        self._silent.append(self.peers.pop(peer.fd))

    def lose(self, peer: Peer) -> None:
        """Make a half-open peer of it: every packet that comes for it is dropped, and it sends none."""
        program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0 bytes
        filter = struct.pack("HL", 1, ctypes.addressof(program))
        peer.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter)
        self.stall(peer)


def refused(peer: Peer) -> bool:
    """Whether nobody listened, or a server that starts or stops had no time."""
    return peer.status in (503, errno.ECONNREFUSED, errno.ECONNRESET)


def on_nets(server: Server, users: Iterable[str], count: int = 1) -> list[dict[str, Any]]:
    """New nets in an open operation, with all these users on each."""
    nets = made(server, count)
    assign(server, [(user, net["netUid"]) for user in users for net in nets])
    return nets


def spread(server: Server, users: Sequence[str], count: int) -> dict[str, str]:
    """New nets in an open operation, with some of these users on each; the net's uid for each user."""
    nets = made(server, count)
    mine = {user: nets[place % count]["netUid"] for place, user in enumerate(users)}
    assign(server, list(mine.items()))
    return mine


def made(server: Server, count: int) -> list[dict[str, Any]]:
    """New nets, and the operation open."""
    server.post("/operation", {"open": True})
    return [server.net(f"Net {number}") for number in range(count)]


def assign(server: Server, pairs: Sequence[tuple[str, str]]) -> None:
    """Put users on nets, in as many calls as it takes."""
    for place in range(0, len(pairs), BULK):
        some = [{"userId": user, "netUid": net} for user, net in pairs[place : place + BULK]]
        assert server.post("/assignments/bulk", {"assignments": some}).json()["failed"] == 0

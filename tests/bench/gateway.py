"""Operators on one net: PTT to the last of 500, broadcasts beside the `websockets` library's own, weight, pushes.

What is broadcast comes from the operators' own sockets, as they key up and down: shardapi does for each all that it
does in service, the log on disk too. The library's server has no other duty than to tell everyone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from measure import (
    HERE,
    LOAD_CPU,
    Server,
    Verdict,
    at_least,
    at_most,
    busy_seconds,
    own_seconds,
    percentile,
    report,
    shardapi,
)

from shardapi.config import load
from shardapi.shard import signing_secrets
from shardapi.tokens import Tokens

PTT_MS, RATIO, KIB_EACH, PUSH_MS = 25, 2.0, 24, 250
FEW, MANY = 500, 2000
OFFERED = 800_000  # deliveries a second: several times what the library makes; no server shows more
PEACE = 0.05  # share of all cores that others may take in a cell
NETS = 50  # as many as a guild may have: its config is the largest
BULK = 200
TALKING = 8  # transmissions at a time
ROLE = "1505521308744679464"  # that everyone has
API, STATUS = "/api/v1", "/api/v1/status"
UNLIMITED = {"SHARDAPI_LIMITS__DEFAULT": "100000000/minute"}

TEXT = 0x81  # begins a text frame; it is nowhere else in one of less than 126 bytes of ASCII
PING, PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"
UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Authorization: Bearer {}\r\n\r\n"
)


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="these parts only")
    parser.add_argument("--samples", type=int, default=400, help="key-ups and key-downs that are timed")
    parser.add_argument("--rounds", type=int, default=3, help="broadcast cells of each server")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a broadcast cell")
    parser.add_argument("--offered", type=int, default=OFFERED, help="deliveries a second that are asked for")
    parser.add_argument("--pushes", type=int, default=15, help="calls of each kind that are timed")
    parser.add_argument("--patience", type=int, default=2, help="tries for a cell that others disturb")
    return parser.parse_args()


# -- operators


def frame(kind: str, **members: object) -> bytes:
    """A message as a client sends it, masked with zeros."""
    text = json.dumps({"type": kind, **members}).encode()
    assert len(text) < 126
    return bytes([TEXT, 0x80 | len(text)]) + bytes(4) + text


def first_frame(data: bytes) -> tuple[bytes, int] | None:
    """The payload of the first frame a server sent, and the frame's length; None where it is not whole."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size > 125:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start], "big") if len(data) >= start else len(data)
    end = start + size
    return (data[start:end], end) if len(data) >= end else None


KEY = frame("ptt.start", netId=1), frame("ptt.stop", netId=1)


class Operators:
    """Many connections that have joined, read by one loop; a context manager."""

    def __init__(self, server: Server, guild: str, tokens: list[str]) -> None:
        self.name, split = server.name, urlsplit(server.url)
        self.address = (split.hostname or "", split.port or 0)
        self.epoll = select.epoll()
        self.socks: list[socket.socket] = []
        self._by_fd: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        self._buffer = bytearray(1 << 20)
        for place in range(0, len(tokens), 100):  # so that the server has no more to do at once than these
            self._join(guild, tokens[place : place + 100])
        self.idle(0.3)

    def _join(self, guild: str, tokens: list[str]) -> None:
        waiting = {self._connect(token, guild) for token in tokens}
        until = time.monotonic() + 30
        while waiting:
            waiting -= {fd for fd, text in self.frames(1) if text.startswith(b'{"type":"joined"')}
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: {len(waiting)} operators were not taken in")

    def _connect(self, token: str, guild: str) -> int:
        sock = socket.create_connection(self.address, timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(UPGRADE.format(token).encode())
        head = b""
        while b"\r\n\r\n" not in head and (data := sock.recv(65536)):
            head += data
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"{self.name} refused an operator: {head!r}")
        sock.sendall(frame("join", guildId=guild, mode="voice"))
        sock.setblocking(False)
        self.socks.append(sock)
        self._by_fd[sock.fileno()] = sock
        self._rest[sock.fileno()] = head.partition(b"\r\n\r\n")[2]
        self.epoll.register(sock.fileno(), select.EPOLLIN)
        return sock.fileno()

    def _reads(self, timeout: float) -> Iterator[tuple[int, int]]:
        for fd, _ in self.epoll.poll(timeout, 512):
            size = self._by_fd[fd].recv_into(self._buffer)
            if not size:
                raise RuntimeError(f"{self.name} closed an operator's socket")
            if self._buffer.find(PING, 0, size) >= 0:
                self._by_fd[fd].send(PONG)
            yield fd, size

    def frames(self, timeout: float) -> Iterator[tuple[int, bytes]]:
        """The frames that are there, each with the number of its socket; waits for the first."""
        for fd, size in self._reads(timeout):
            data = self._rest[fd] + self._buffer[:size]
            while (found := first_frame(data)) is not None:
                yield fd, found[0]
                data = data[found[1] :]
            self._rest[fd] = data

    def count(self, timeout: float) -> int:
        """How many short text frames are there, without taking them apart; waits for the first."""
        return sum(self._buffer.count(TEXT, 0, size) for _, size in self._reads(timeout))

    def idle(self, seconds: float) -> None:
        """Read and forget for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for _ in self.frames(left):
                pass

    def __len__(self) -> int:
        return len(self.socks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.socks:
            sock.close()
        self.epoll.close()


def user_ids(count: int) -> list[str]:
    """As long as Discord's."""
    return [str(10**17 + number) for number in range(count)]


# -- servers


class Shard:
    """shardapi with as many nets as there can be, everyone on the first; a context manager."""

    def __init__(self, folder: Path, count: int) -> None:
        data = Path(tempfile.mkdtemp(dir=folder))
        command = shardapi("keys", "create", "bench", "--all-scopes", "--json", data=data)
        minted = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        serve = shardapi("serve", "--bind", "127.0.0.1:0", data=data)
        key = {"Authorization": f"Bearer {minted['secret']}"}
        self.server = Server("shardapi", serve, data / "log", env=UNLIMITED, ready=STATUS, headers=key)
        try:
            self._fill(Tokens(signing_secrets(load(environ={}, data_dir=str(data)))), count)
        except BaseException:
            self.server.stop()
            raise

    def _fill(self, signer: Tokens, count: int) -> None:
        self.guild, self.users = json.loads(self.server.get(STATUS))["guildId"], user_ids(count)
        now = int(time.time())
        said = {"roles": [ROLE], "guildId": self.guild, "iat": now, "exp": now + 86_400}
        self.tokens = [
            signer.sign("operator", {"userId": user, "displayName": f"Operator {user[-4:]}", **said})
            for user in self.users
        ]
        made = [self.post("/nets", {"name": f"Net number {place}"}) for place in range(1, NETS + 1)]
        self.nets = [net["netUid"] for net in made]
        self.assign([(user, self.nets[0]) for user in self.users])
        self.post("/operation", {"open": True})

    def assign(self, pairs: list[tuple[str, str]]) -> None:
        """Put users on nets, in as many calls as it takes."""
        for place in range(0, len(pairs), BULK):
            self.post("/assignments/bulk", bulk(pairs[place : place + BULK], "assign"))

    def post(self, path: str, body: object) -> Any:
        """The answer to a write."""
        request = urllib.request.Request(self.server.url + API + path, json.dumps(body).encode())
        return json.loads(self.server.send(request))

    def operators(self, first: int, last: int) -> Operators:
        """Some of the users, connected and joined."""
        return Operators(self.server, self.guild, self.tokens[first:last])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def bulk(pairs: list[tuple[str, str]], action: str) -> dict[str, object]:
    """The body of a call that assigns or unassigns users."""
    return {"assignments": [{"userId": user, "netUid": net} for user, net in pairs], "action": action}


@contextmanager
def on_air(name: str, folder: Path, count: int) -> Iterator[tuple[Server, Operators]]:
    """One of the two servers, and everyone connected to it."""
    if name == "shardapi":
        with Shard(folder, count) as shard, shard.operators(0, count) as operators:
            yield shard.server, operators
        return
    command = [sys.executable, str(HERE / "references" / "gateway_websockets.py")]
    with Server(name, command, folder / f"{name}.log") as server:
        with Operators(server, "", user_ids(count)) as operators:
            yield server, operators


class Meanwhile:
    """What a cell costs the server, and the share of all cores that others take meanwhile; a context manager."""

    def __init__(self, server: Server) -> None:
        self.server, self.cpu, self.others = server, 0.0, 0.0

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), self.server.cpu_seconds(), busy_seconds() - own_seconds()

    def __enter__(self) -> Self:
        self._began = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        took, self.cpu, busy = (now - then for now, then in zip(self._now(), self._began, strict=True))
        self.others = max(0.0, (busy - self.cpu) / took / (os.cpu_count() or 1))


# -- parts


def ptt(folder: Path, options: argparse.Namespace) -> list[Verdict]:
    """From one operator's socket to the last of 500: one frame at a time, up and down in turn."""
    with on_air("shardapi", folder, FEW) as (server, operators), Meanwhile(server) as meanwhile:
        took = []
        for number in range(options.samples):
            operators.idle(random.uniform(0.01, 0.03))
            took.append(heard(operators, number))
    tell("ptt", took, meanwhile)
    return [at_most("gateway/ptt-p99-ms", percentile(took, 0.99), PTT_MS)]


def heard(operators: Operators, number: int) -> float:
    """Milliseconds until everyone has heard one key-up or key-down."""
    sock = operators.socks[number // 2 % len(operators)]
    data, missing, until = KEY[number % 2], len(operators), time.monotonic() + 10
    began = time.perf_counter()
    sock.send(data)
    while missing > 0:
        missing -= operators.count(1)
        if time.monotonic() > until:
            raise RuntimeError(f"{missing} operators heard nothing")
    return (time.perf_counter() - began) * 1000


class Cell(NamedTuple):
    """One run of broadcasts: deliveries a second, the server's CPU for each in us, the others' share of cores."""

    rate: float
    cpu_us: float
    others: float


def broadcast(folder: Path, options: argparse.Namespace) -> list[Verdict]:
    """Deliveries a second to 500 and 2,000 with more asked for than can be done, beside the library's."""
    verdicts = []
    for count in (FEW, MANY):
        cells: dict[str, list[Cell]] = {"shardapi": [], "websockets": []}
        for _ in range(options.rounds):
            for name, found in cells.items():
                found.append(in_peace(name, folder, count, options))
        for name, found in cells.items():
            rates = [cell.rate for cell in found]
            print(
                f"# broadcast {count} {name}: {statistics.median(rates):.0f}/s ({min(rates):.0f} to"
                f" {max(rates):.0f}), CPU {statistics.median(cell.cpu_us for cell in found):.2f} us each"
                f"{noise(max(cell.others for cell in found))}"
            )
        pairs = zip(cells["shardapi"], cells["websockets"], strict=True)
        ratio = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
        verdicts.append(at_least(f"gateway/broadcast-{count}", ratio, RATIO))
    return verdicts


def in_peace(name: str, folder: Path, count: int, options: argparse.Namespace) -> Cell:
    """One cell; again where other processes took part of the machine meanwhile."""
    for _ in range(options.patience):
        with on_air(name, folder, count) as (server, operators):
            talk = Talk(operators, options.offered / count)
            talk.go_on(1.0)
            with Meanwhile(server) as meanwhile:
                began = time.perf_counter()
                deliveries = talk.go_on(options.seconds)
                rate = deliveries / (time.perf_counter() - began)
        cell = Cell(rate, meanwhile.cpu / deliveries * 1e6, meanwhile.others)
        if cell.others <= PEACE:
            break
    return cell


class Talk:
    """Operators who key up one after another at a steady rate; each keys down a few turns later."""

    def __init__(self, operators: Operators, rate: float) -> None:
        self.operators, self.rate, self.sent, self.began = operators, rate, 0, time.perf_counter()

    def go_on(self, seconds: float) -> int:
        """Talk on for so long; how many frames all of them got meanwhile."""
        deliveries, until = 0, time.perf_counter() + seconds
        while (now := time.perf_counter()) < until:
            while self.sent < (now - self.began) * self.rate:
                self._key()
            deliveries += self.operators.count(0.001)
        return deliveries

    def _key(self) -> None:
        turn, down = divmod(self.sent, 2)
        self.sent += 1
        if turn >= TALKING or not down:
            self.operators.socks[(turn - TALKING * down) % len(self.operators)].send(KEY[down])


def weight(folder: Path, options: argparse.Namespace) -> list[Verdict]:
    """KiB of memory for each operator who is connected and on a net."""
    warm = 20
    with Shard(folder, warm + MANY) as shard, shard.operators(0, warm) as few:
        before = pss_kib(shard.server)
        with shard.operators(warm, warm + MANY) as many:
            few.idle(1)
            many.idle(0.5)
            each = (pss_kib(shard.server) - before) / MANY
    return [at_most("gateway/kib-each", each, KIB_EACH)]


def pss_kib(server: Server) -> int:
    """What all processes of a server hold in user space, what they share counted once."""
    held = 0
    for pid in server.pids():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                held += int(line.split()[1])
    return held


def push(folder: Path, options: argparse.Namespace) -> list[Verdict]:
    """From the start of an HTTP call to the last of 500 configs, nearly all of them different."""
    with Shard(folder, FEW) as shard:
        nets, users = shard.nets, shard.users
        theirs = [(place, 1 + place % 49, 1 + place * 7 % 49) for place in range(FEW)]
        shard.assign([(users[place], nets[net]) for place, *more in theirs for net in more])
        some = [(user, nets[0]) for user in users[:BULK]]
        calls: dict[str, list[tuple[str, object]]] = {
            "rename": [("/nets/rename", {"netUid": nets[0], "name": name}) for name in ("One", "Two")],
            "bulk": [("/assignments/bulk", bulk(some, action)) for action in ("unassign", "assign")],
            "rules": [
                ("/rules", {"rules": rules}) for rules in ([{"roleId": ROLE, "netUids": nets[-2:]}], [])
            ],
            "operation": [("/operation", {"open": open}) for open in (False, True)],
        }
        verdicts = []
        with shard.operators(0, FEW) as operators:
            for name, bodies in calls.items():
                with Meanwhile(shard.server) as meanwhile:
                    took = [
                        pushed(shard.server, operators, *bodies[number % 2])
                        for number in range(options.pushes)
                    ]
                tell(f"push {name}", took, meanwhile)
                verdicts.append(at_most(f"gateway/push-{name}-ms", max(took), PUSH_MS))
    return verdicts


def pushed(server: Server, operators: Operators, path: str, body: object) -> float:
    """Milliseconds from the start of a call until everyone has the new config."""
    split, missing = urlsplit(server.url), len(operators)
    operators.idle(0.1)
    began, until = time.perf_counter(), time.monotonic() + 10
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=10)
    connection.request("POST", API + path, json.dumps(body), server.headers)
    while missing > 0:
        missing -= sum(text.startswith(b'{"type":"config"') for _, text in operators.frames(1))
        if time.monotonic() > until:
            raise RuntimeError(f"{missing} operators got no config after POST {path}")
    took = (time.perf_counter() - began) * 1000
    status = connection.getresponse().status
    connection.close()
    if status != 200:
        raise RuntimeError(f"POST {path} was answered with {status}")
    return took


def tell(what: str, took: list[float], meanwhile: Meanwhile) -> None:
    """Print the times that a verdict has no room for."""
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    print(
        f"# {what}: {len(took)} times, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {max(took):.1f} ms"
        f"{noise(meanwhile.others)}"
    )


def noise(others: float) -> str:
    """What to say of other processes' share of the cores."""
    return f"; others took {others:.0%} of the cores" + (": disturbed, trust no verdict" * (others > PEACE))


PARTS: dict[str, Callable[[Path, argparse.Namespace], list[Verdict]]] = {
    "ptt": ptt,
    "broadcast": broadcast,
    "weight": weight,
    "push": push,
}


def main() -> int:
    """One part after another."""
    options = arguments()
    os.sched_setaffinity(0, {LOAD_CPU})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="shardapi-gateway-") as folder:
        for name in options.only:
            verdicts += PARTS[name](Path(folder), options)
    return report(verdicts)


if __name__ == "__main__":
    sys.exit(main())

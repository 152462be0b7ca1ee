"""Places for connections: who waits longest makes room, one address holds half, and who finds none is told."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from served import Served, eventually, one, rest

from shardapi.places import Crowded, Full, Places
from shardapi.testing import Server

GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = b"GET /echo HTTP/1.1\r\nHost: x\r\nX-"
WAITS = b"GET /waits?%s HTTP/1.1\r\nHost: x\r\n\r\n"
UNDER_WAY, OVER = b"waits\r\n", b"0\r\n\r\n"
PLACES = 10
FEW = '''
"""Leaves one address three places."""

from shardapi import hookimpl, places

places.SHARE = 1365


@hookimpl
def shardapi_tasks(app):
    return []
'''


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with few places, whose proxy is elsewhere."""
    few = ("--worker-connections", str(PLACES), "--forwarded-allow-ips", "127.0.0.99", "--keep-alive", "60")
    with Served("worker_app:app", tmp_path_factory.mktemp("places") / "log", *few) as server:
        yield server


def connect(served: Served, address: str) -> socket.socket:
    """A connection from one of this machine's addresses."""
    return socket.create_connection(("127.0.0.1", served.port), timeout=10, source_address=(address, 0))


@contextmanager
def connected(served: Served, addresses: list[str], request: bytes) -> Iterator[list[socket.socket]]:
    """Connections that have sent this, each from its address."""
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(served, address)) for address in addresses]
        for sock in socks:
            sock.sendall(request)
        yield socks


def is_open(sock: socket.socket) -> bool:
    """Whether the server has left this connection alone so far."""
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    finally:
        sock.settimeout(10)


def others(count: int) -> list[str]:
    """So many addresses."""
    return [f"127.0.1.{number}" for number in range(1, count + 1)]


def test_who_never_ends_a_request_makes_room_the_longest_first(served: Served) -> None:
    with connected(served, others(PLACES), SLOW) as slow, connect(served, "127.0.2.1") as healthy:
        healthy.sendall(GET)
        assert one(healthy, b"}").startswith(b"HTTP/1.1 200")
        eventually(lambda: not is_open(slow[0]))
        assert all(is_open(sock) for sock in slow[1:])


def test_twice_as_many_as_there_are_places_leave_others_theirs(served: Served) -> None:
    with connected(served, others(2 * PLACES), SLOW):
        for number in range(2 * PLACES):
            with connect(served, f"127.0.2.{number + 1}") as healthy:
                healthy.sendall(GET)
                assert one(healthy, b"}").startswith(b"HTTP/1.1 200")


def test_who_finds_only_busy_places_is_told(served: Served) -> None:
    with connected(served, others(PLACES), WAITS % b"8") as busy:
        for sock in busy:
            one(sock, UNDER_WAY)
        with connect(served, "127.0.2.1") as late:
            late.sendall(GET)
            told = rest(late)
        assert told.startswith(b"HTTP/1.1 500") or told.startswith(b"HTTP/1.1 503")
        assert all(b"over" in one(sock, OVER) for sock in busy)
    with connect(served, "127.0.2.1") as later:
        later.sendall(GET)
        assert one(later, b"}").startswith(b"HTTP/1.1 200")


def test_who_comes_a_moment_too_early_finds_a_place(served: Served) -> None:
    with connected(served, others(PLACES), WAITS % b"0.1") as busy:
        for sock in busy:
            one(sock, UNDER_WAY)
        with connect(served, "127.0.2.1") as early:
            early.sendall(GET)
            assert one(early, b"}").startswith(b"HTTP/1.1 200")


def test_one_address_takes_half_and_no_more(served: Served) -> None:
    with connected(served, ["127.0.3.1"] * (PLACES // 2), GET) as mine:
        for sock in mine:
            one(sock, b"}")
        with connect(served, "127.0.3.1") as more, connect(served, "127.0.3.2") as other:
            assert b" 200 " not in rest(more)
            other.sendall(GET)
            assert one(other, b"}").startswith(b"HTTP/1.1 200")
        assert all(is_open(sock) for sock in mine)
        mine[0].close()
        eventually(lambda: _is_served(served, "127.0.3.1"))


def _is_served(served: Served, address: str) -> bool:
    with connect(served, address) as sock:
        sock.sendall(GET)
        return b"200 OK" in sock.recv(100)


def test_a_proxy_of_ours_takes_what_it_needs(served: Served) -> None:
    with connected(served, ["127.0.0.99"] * PLACES, GET) as all_of_them:
        assert all(one(sock, b"}").startswith(b"HTTP/1.1 200") for sock in all_of_them)


# -- the counting


def places(most: int = 4, room: Callable[[int], bool] = lambda count: False) -> Places:
    """Places of which those in 10.0.0.0/8 are proxies."""
    return Places(most, [ip_network("10.0.0.0/8")], room)


def test_a_subnet_of_ipv6_counts_as_one_address() -> None:
    counted = places()
    counted.take("2001:db8::1", 5)
    counted.take("2001:db8::2", 6)
    with pytest.raises(Crowded):
        counted.take("2001:db8::3", 7)
    counted.take("2001:db8:0:1::3", 7)


@pytest.mark.parametrize("address", ["", "10.1.2.3"])
def test_of_proxies_and_unix_sockets_all_places_may_be(address: str) -> None:
    counted = places()
    taken = [counted.take(address, number) for number in range(4)]
    with pytest.raises(Full):
        counted.take(address, 5)
    counted.give_back(taken.pop())
    counted.take(address, 5)


def test_descriptors_that_run_out_are_as_places_that_run_out() -> None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with pytest.raises(Full):
        places().take("1.2.3.4", soft - 1)
    places(room=lambda count: True).take("1.2.3.4", soft - 1)


# -- what the shard says


def wire(server: Server, sent: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, fields and document of the one answer to these bytes."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(sent)
        head, _, data = rest(sock).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), fields, json.loads(data)


REFUSED = {
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "two hosts": (b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "malformed_request"),
    "no request": (b"hello\r\n\r\n", 400, "malformed_request"),
    "a folded field": (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400, "malformed_request"),
    "a long target": (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
    "a long field": (
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 30_000 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "many fields": (
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: b\r\n" % number for number in range(70)) + b"\r\n",
        431,
        "headers_too_large",
    ),
    "an expectation": (
        b"GET /health HTTP/1.1\r\nHost: x\r\nExpect: cake\r\n\r\n",
        417,
        "expectation_failed",
    ),
    "a coding": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        501,
        "unknown_coding",
    ),
}


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_refused_with_a_problem_document(
    shard: Server, sent: bytes, status: int, code: str
) -> None:
    answered, fields, told = wire(shard, sent)
    assert (answered, told["status"], told["code"]) == (status, status, code)
    assert fields["content-type"] == "application/problem+json" and fields["connection"] == "close"
    assert told["ok"] is False and told["error"] == told["detail"] and told["title"] and told["hint"]
    assert fields["x-request-id"] == told["requestId"]
    shard.wait(lambda: any(str(told["requestId"]) in line for line in shard.log), "the log to tell of it")


def test_a_request_of_http_1_0_needs_no_host(shard: Server) -> None:
    assert wire(shard, b"GET /health HTTP/1.0\r\n\r\n")[0] == 200


def test_a_refused_line_shows_no_token_in_the_log(shard: Server) -> None:
    status, _, told = wire(shard, b"GET /ws?token=hunter2\r\n\r\n")
    assert status == 400
    line = shard.wait(lambda: next((one for one in shard.log if str(told["requestId"]) in one), ""))
    assert "[redacted]" in line and "[redacted]" in str(told["error"])
    assert "hunter2" not in line + str(told)


def test_the_shard_says_that_there_are_too_many_connections_of_one_address(
    start_shard: Callable[..., Server], tmp_path: Path
) -> None:
    (tmp_path / "few.py").write_text(FEW)
    server = start_shard(env={"SHARDAPI_PLUGINS__DIR": str(tmp_path)})
    host, _, port = server.url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        answered, fields, told = wire(server, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        wire(server, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answered, told["code"]) == (429, "too_many_connections")
    assert fields["retry-after"] == "5"
    server.wait(lambda: any("too_many_connections" in line for line in server.log))
    server.stop()
    assert sum("too_many_connections" in line for line in server.log) == 1, "once a minute"


# -- descriptors


@contextmanager
def started(folder: Path, soft: int, hard: int) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A shard with these limits of descriptors: its process, what it said until it listened, and its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "shardapi", "serve", "--data-dir", str(folder)],
        env={**os.environ, "SHARDAPI_SERVER__BIND": "127.0.0.1:0"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "listens on" not in said:
                said += process.stderr.readline() or pytest.fail(said)
            yield process, said, int(said.split("listens on http://127.0.0.1:")[1].split()[0])
        finally:
            process.terminate()
        said = process.stderr.read()
        assert "Too many open files" not in said and "Traceback" not in said, said


def test_a_start_raises_its_descriptors_and_says_where_they_are_few(tmp_path: Path) -> None:
    with started(tmp_path, 256, 1000) as (process, said, _):
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert limits.split("Max open files")[1].split()[:2] == ["1000", "1000"]
    assert "only 1000 file descriptors may be open" in said


def test_more_connections_than_descriptors_leave_others_their_place(tmp_path: Path) -> None:
    with started(tmp_path, 300, 300) as (_, _, port), ExitStack() as stack:
        for address in others(200) * 2:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10, (address, 0)))
            sock.sendall(SLOW)
        for number in range(20):
            with socket.create_connection(("127.0.0.1", port), 10, (f"127.0.2.{number + 1}", 0)) as healthy:
                healthy.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert one(healthy, b"}").startswith(b"HTTP/1.1 200")

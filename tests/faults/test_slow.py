"""Twice as many slow clients as the shard has places: the others do not feel it, before it a proxy or none."""

import http.client
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest
from proxies import NAME, SAMPLES, Proxy
from served import eventually

from shardapi import server as settings
from shardapi.testing import Server

from .slow import Slow
from .talk import percentile

PLACES = {"ci": 128, "soak": settings.worker_connections}
SECONDS = {"ci": 3.0, "soak": 20.0}
P99_MS = {"ci": 5000, "soak": 100}  # the first beside other tests
CALLERS = 4

FEW = '''
"""Leaves so many places."""

from shardapi import hookimpl, places


class Few(places.Places):
    def __init__(self, most, *others):
        super().__init__({places}, *others)


places.Places = Few


@hookimpl
def shardapi_tasks(app):
    return []
'''


@pytest.fixture(autouse=True)
def descriptors(size: str) -> Iterator[None]:
    """As many as may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 2 * PLACES[size] + 1000, f"{hard} descriptors are too few"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def shard(start_shard: Callable[..., Server], tmp_path: Path, size: str) -> Server:
    """A shard with as many places as the size of this test has."""
    env = {"SHARDAPI_LIMITS__DEFAULT": "1000000/minute", "SHARDAPI_SERVER__TRUSTED_PROXIES": "127.0.0.1"}
    if size == "ci":
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "few.py").write_text(FEW.replace("{places}", str(PLACES[size])))
        env["SHARDAPI_PLUGINS__DIR"] = str(tmp_path / "plugins")
    return start_shard(env=env)


class Healthy:
    """Who asks how things are, again and again: on a connection that is kept, now and then on a new one."""

    def __init__(self, port: int, key: str, source: str) -> None:
        self.port, self.source = port, source
        self.headers = {"Authorization": f"Bearer {key}", "Host": NAME}
        self.took: list[float] = []
        self.bad: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Healthy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, 30, (self.source, 0))
            try:
                for _ in range(10):
                    self._ask(connection)
                    if self._stop.wait(0.02):
                        return
            except (OSError, http.client.HTTPException) as error:
                self.bad.append(repr(error))
            finally:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        began = time.monotonic()
        connection.request("GET", "/api/v1/status", headers=self.headers)
        with connection.getresponse() as answer:
            body = answer.read()
            self.took.append((time.monotonic() - began) * 1000)
            if answer.status != 200:
                self.bad.append(f"{answer.status} {body!r}")


def p99_beside(slow: Slow, port: int, key: str, seconds: float) -> tuple[float, list[str]]:
    """The healthy ones' slowest hundredth beside the slow ones, in ms, and what went wrong for them."""
    healthy = [Healthy(port, key, f"127.0.1.{number}") for number in range(1, CALLERS + 1)]
    for one in healthy:
        one.__enter__()
    try:
        slow.go_on(seconds)
    finally:
        for one in healthy:
            one.__exit__(None, None, None)
    return percentile([ms for one in healthy for ms in one.took], 0.99), [
        e for one in healthy for e in one.bad
    ]


def port_of(server: Server) -> int:
    """The shard's own port."""
    return int(server.url.rpartition(":")[2])


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.debian(kind)) for kind in SAMPLES])
@pytest.mark.usefixtures("undisturbed")
def test_slow_heads_bodies_and_readers_behind_a_proxy_are_not_felt(
    shard: Server, tmp_path: Path, size: str, kind: str, figure: Callable[[str, float, str], None]
) -> None:
    count, key = 2 * PLACES[size], shard.key()
    with Proxy(kind, tmp_path / kind, shard.url.removeprefix("http://"), tls=False) as proxy:
        port = proxy.place.https
        # As many come back as a proxy sends away: heads, and bodies with some, after 10 s.
        with Slow(port, count, ("heads", "bodies", "readers"), key, returns=max(200, count // 10)) as slow:
            p99, bad = p99_beside(slow, port, key, SECONDS[size])
            there = slow.there
    figure(f"slow.behind-{kind}.there", there / count, ">= 0.9")
    figure(f"slow.behind-{kind}.p99-ms", p99, f"<= {P99_MS[size]}")
    assert not bad


@pytest.mark.usefixtures("undisturbed")
def test_slow_heads_and_readers_without_a_proxy_make_room(
    shard: Server, size: str, figure: Callable[[str, float, str], None]
) -> None:
    count, key = 2 * PLACES[size], shard.key()
    with Slow(port_of(shard), count, ("heads", "readers")) as slow:
        p99, bad = p99_beside(slow, port_of(shard), key, SECONDS[size])
        cut = slow.cut
    figure("slow.alone.cut", cut, f">= {PLACES[size]}")
    figure("slow.alone.p99-ms", p99, f"<= {P99_MS[size]}")
    assert not bad


def told(port: int) -> bytes:
    """The first line of the answer to who comes now."""
    with socket.create_connection(("127.0.0.1", port), 10, ("127.0.1.1", 0)) as late:
        late.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return late.recv(65_536).partition(b"\r\n")[0]


@pytest.mark.usefixtures("undisturbed")
def test_who_finds_no_place_beside_slow_bodies_is_told_at_once(
    shard: Server, size: str, figure: Callable[[str, float, str], None]
) -> None:
    """Bodies are waited for, 10 s each, of who has a key."""
    port = port_of(shard)
    with Slow(port, PLACES[size], ("bodies",), shard.key(), returns=0) as slow:
        eventually(lambda: told(port) == b"HTTP/1.1 503 Service Unavailable", 9)
        if size == "soak":
            slow.go_on(10.0)
            figure("slow.bodies.told", slow.cut, f"== {PLACES[size]}")
    eventually(lambda: told(port) == b"HTTP/1.1 200 OK", 9)

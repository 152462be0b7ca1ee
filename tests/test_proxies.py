"""The samples for nginx, Caddy and HAProxy, each with the real proxy before a real shard."""

import http.client
import json
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import quote

import pytest
from gateways import GUILD, served, token
from proxies import CALLER, NAME, SAMPLES, Proxy
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket

from shardapi import doctor
from shardapi.config import load
from shardapi.doctor import Case
from shardapi.testing import Server

API = "/api/v1"
SECRET = "hunter2"
LAG_MS = {"ci": 1000, "soak": 150}  # the first beside other tests
IDLE_SECONDS = {"ci": 0.0, "soak": 200.0}  # longer than any time-out in the samples but those for streams
KINDS = [pytest.param(kind, marks=pytest.mark.debian(kind)) for kind in SAMPLES]


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard as it is meant to be behind a proxy."""
    settings = {"SERVER__PUBLIC_URL": f"https://{NAME}", "SERVER__TRUSTED_PROXIES": "127.0.0.1"}
    with served(tmp_path_factory.mktemp("shard"), **settings) as server:
        server.wait(lambda: server.get("/ws", key="", headers={"Host": NAME}).status_code != 503)
        yield server


class Stream:
    """An event stream through a proxy, read line by line."""

    def __init__(self, proxy: Proxy, key: str) -> None:
        self._stack = ExitStack()
        accepts = ("Accept-Encoding", "gzip, br")
        asked = proxy.asked("GET", f"{API}/stream", None, ("Authorization", f"Bearer {key}"), accepts)
        self.answer = self._stack.enter_context(asked)
        self.opened = time.monotonic()

    def line(self) -> bytes:
        """The next line."""
        line = self.answer.readline()
        assert line, f"the stream has ended after {time.monotonic() - self.opened:.0f} s"
        return line

    def event(self) -> dict[str, Any]:
        """The next event."""
        while not (line := self.line()).startswith(b"data: "):
            pass
        event: dict[str, Any] = json.loads(line[6:])
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def proxies(shard: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Proxy]]:
    """Each proxy, started when it is first asked for."""
    with ExitStack() as stack:
        running: dict[str, Proxy] = {}

        def start(kind: str) -> Proxy:
            if kind not in running:
                folder = tmp_path_factory.mktemp("proxy") / kind
                running[kind] = stack.enter_context(Proxy(kind, folder, shard.url.removeprefix("http://")))
            return running[kind]

        yield start


@pytest.fixture(scope="module")
def idle(shard: Server, proxies: Callable[[str], Proxy]) -> Iterator[dict[str, Stream]]:
    """A stream through each proxy, left alone while the other tests run."""
    with ExitStack() as stack:
        streams: dict[str, Stream] = {}
        yield streams
        stack.callback(lambda: [stream.__exit__() for stream in streams.values()])


@pytest.fixture(params=KINDS)
def proxy(
    request: pytest.FixtureRequest,
    shard: Server,
    proxies: Callable[[str], Proxy],
    idle: dict[str, Stream],
) -> Proxy:
    """One proxy after another."""
    found = proxies(request.param)
    if request.param not in idle:
        idle[request.param] = Stream(found, shard.key())
    return found


def call(
    proxy: Proxy,
    key: str,
    method: str,
    path: str,
    body: Any = None,
    *headers: tuple[str, str],
    **options: Any,
) -> tuple[int, dict[str, str], Any]:
    """Status, header fields and JSON of an answer of the API."""
    data = json.dumps(body).encode() if body is not None else None
    sent = (("Authorization", f"Bearer {key}"), *headers)
    with proxy.asked(method, API + path, data, *sent, **options) as answer:
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, fields, json.loads(answer.read())


def websocket(proxy: Proxy, target: str = "/ws", **options: Any) -> ClientConnection:
    """A WebSocket through a proxy."""
    made: ClientConnection = connect_websocket(
        f"wss://{NAME}{target}",
        sock=proxy.connect_plainly(proxy.place.https),
        ssl=proxy.context,
        server_hostname=NAME,
        compression=None,
        open_timeout=30,
        **options,
    ).__enter__()
    return made


def expect(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of a type."""
    while (message := json.loads(socket.recv(30)))["type"] != kind:
        pass
    found: dict[str, Any] = message
    return found


def join(socket: ClientConnection) -> ClientConnection:
    """Join, and wait until joined."""
    expect(socket, "hello")
    socket.send(json.dumps({"type": "join", "guildId": GUILD, "mode": "voice"}))
    expect(socket, "joined")
    return socket


# -- what has to come through


def test_an_event_comes_through_at_once(
    proxy: Proxy, shard: Server, size: str, figure: Callable[[str, float, str], None]
) -> None:
    key, lags = shard.key(), []
    shard.post("/operation", {"open": False}, headers={"Host": NAME})
    with Stream(proxy, key) as stream:
        assert stream.answer.status == 200
        assert stream.answer.headers["Content-Type"] == "text/event-stream"
        assert stream.answer.headers["Content-Length"] is None  # in chunks, or until it is closed
        assert stream.answer.headers["Content-Encoding"] is None
        assert stream.line().startswith(b":") and stream.line().startswith(b"retry:")
        for number in range(11):
            sent = time.monotonic()
            shard.post("/operation", {"open": number % 2 == 0}, headers={"Host": NAME})
            while stream.event()["type"] not in ("operation.opened", "operation.closed"):
                pass
            lags.append((time.monotonic() - sent) * 1000)
    figure(f"proxy.{proxy.kind}.event-lag-ms", statistics.median(lags), f"<= {LAG_MS[size]}")


def test_operators_talk_through_it(proxy: Proxy, shard: Server) -> None:
    key = shard.key()
    users = ["71", "72"]
    assert call(proxy, key, "POST", "/operation", {"open": True})[0] == 200
    net = call(proxy, key, "POST", "/nets", {"name": f"Through {proxy.kind}"})[2]["netUid"]
    pairs = [{"userId": user, "netUid": net} for user in users]
    assert call(proxy, key, "POST", "/assignments/bulk", {"assignments": pairs})[2]["failed"] == 0
    with (
        join(websocket(proxy, f"/ws?token={token(users[0])}")) as ann,
        join(websocket(proxy, subprotocols=["bearer", token(users[1])])) as ben,
    ):
        for kind in ("ptt.start", "ptt.stop"):
            ann.send(json.dumps({"type": kind, "netUid": net}))
            assert expect(ben, kind)["data"]["userId"] == users[0]


def test_a_path_comes_through_as_it_was_encoded(proxy: Proxy, shard: Server) -> None:
    key, name = shard.key(), "a/b%c d"
    assert call(proxy, key, "POST", "/presets", {"name": name, "nets": []})[0] == 200
    status, _, told = call(proxy, key, "DELETE", f"/presets/{quote(name, safe='')}")
    assert (status, told["name"]) == (200, name)
    assert call(proxy, key, "GET", "//status")[0] == 404


def test_a_connection_is_kept_for_many_calls(proxy: Proxy, shard: Server) -> None:
    connection = http.client.HTTPConnection(NAME)
    with proxy.connect() as connection.sock:
        for _ in range(20):
            connection.request("GET", "/health")
            with connection.getresponse() as answer:
                assert answer.status == 200 and json.loads(answer.read())["ok"]
                assert connection.sock is not None, "it was closed"


# -- who calls, and what for

SPOOFED: dict[str, list[tuple[str, str]]] = {
    "one": [("X-Forwarded-For", "6.6.6.6")],
    "a list": [("X-Forwarded-For", "6.6.6.6, 127.0.0.1")],
    "twice": [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "127.0.0.1")],
    "empty": [("X-Forwarded-For", "")],
    "odd case": [("x-fOrWaRdEd-fOr", "6.6.6.6")],
    "an underscore": [("X_Forwarded_For", "6.6.6.6")],
    "other fields": [("Forwarded", "for=6.6.6.6"), ("X-Real-IP", "6.6.6.6"), ("Client-IP", "6.6.6.6")],
    "a scheme": [("X-Forwarded-Proto", "http"), ("X-Forwarded-Ssl", "off")],
    "a path": [("SCRIPT_NAME", "/x"), ("X-Forwarded-Prefix", "/x")],
    "a host": [("X-Forwarded-Host", "evil.example")],
    "a hop": [("Connection", "X-Forwarded-For, X-Forwarded-Proto"), ("X-Forwarded-For", "6.6.6.6")],
}


def test_the_shard_sees_who_really_calls(proxy: Proxy, shard: Server) -> None:
    key, asked = shard.key(), {}
    for name, headers in SPOOFED.items():
        status, fields, told = call(proxy, key, "GET", "/status", None, *headers)
        assert status == 200, (name, told)
        asked[fields["x-request-id"]] = name

    def seen() -> dict[str, str]:
        rows = shard.get("/audit", headers={"Host": NAME}).json()["entries"]
        found = {asked[row["requestId"]]: row["address"] for row in rows if row["requestId"] in asked}
        return found if len(found) == len(asked) else {}

    assert shard.wait(seen, "the audit to have them") == dict.fromkeys(SPOOFED, CALLER)


def test_a_foreign_host_is_refused(proxy: Proxy, shard: Server) -> None:
    headers = ("Authorization", f"Bearer {shard.key()}")
    with proxy.asked("GET", f"{API}/status", None, headers, host="evil.example") as answer:
        body = answer.read()
    if proxy.kind == "caddy":  # it serves the hosts that it has been given, and others nothing
        assert body == b"" and "X-Request-Id" not in answer.headers
    else:
        assert answer.status == 421 and json.loads(body)["code"] == "foreign_host"


def test_plain_http_leads_to_tls(proxy: Proxy) -> None:
    with proxy.connect_plainly(proxy.place.http) as sock:
        sock.sendall(f"GET {API}/status?x=1 HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        said = b""
        while data := sock.recv(4096):
            said += data
    assert said.startswith(b"HTTP/1.1 308")
    assert f"location: https://{NAME}".encode() in said.lower() and f"{API}/status?x=1".encode() in said


# -- what is too much


def test_a_body_that_is_too_large_is_refused_by_the_shard(proxy: Proxy, shard: Server) -> None:
    status, _, told = call(proxy, shard.key(), "POST", "/presets", {"name": "x" * 600_000})
    assert (status, told["code"]) == (413, "body_too_large")


def test_a_body_that_is_much_too_large_is_refused_by_somebody(proxy: Proxy, shard: Server) -> None:
    key = ("Authorization", f"Bearer {shard.key()}")
    with proxy.asked("POST", f"{API}/presets", bytes(20 << 20), key) as answer:
        assert answer.status == 413
    assert shard.get("/health").json()["ok"]


# -- what the log has


def test_its_log_has_paths_and_no_token(proxy: Proxy, shard: Server) -> None:
    secret = token("73")
    for target in (f"/ws?token={SECRET}", f"{API}/embed/status?token={SECRET}", f"/nowhere?a=1&b={SECRET}"):
        with proxy.asked("GET", target, None, ("Referer", f"https://{NAME}/w?token={SECRET}")) as answer:
            answer.read()
    with join(websocket(proxy, subprotocols=["bearer", secret])):
        pass
    paths = ("/nowhere", f"{API}/embed/status", "/ws")
    shard.wait(lambda: all(path in proxy.logs() for path in paths), "the log to have them")
    shard.wait(lambda: proxy.logs().count("/ws") >= 2, "the log to have both sockets")
    logs = proxy.logs()
    assert SECRET not in logs and secret not in logs and shard.key() not in logs
    assert CALLER in logs


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_that_is_down_puts_no_token_into_the_log(kind: str, tmp_path: Any) -> None:
    with Proxy(kind, tmp_path / kind, "127.0.0.1:1") as proxy:
        headers = ("Referer", f"https://{NAME}/w?token={SECRET}")
        with proxy.asked("GET", f"/ws?token={SECRET}", None, headers) as answer:
            assert answer.status in (502, 503, 504)
        until = time.monotonic() + 30
        while "/ws" not in proxy.logs() and time.monotonic() < until:
            time.sleep(0.02)
        assert "/ws" in proxy.logs() and SECRET not in proxy.logs()


# -- at last, those who waited


def test_streams_and_operators_who_are_left_alone_stay(
    shard: Server,
    proxies: Callable[[str], Proxy],
    idle: dict[str, Stream],
    size: str,
    figure: Callable[[str, float, str], None],
) -> None:
    if not idle:
        pytest.skip("no proxy ran")
    sockets = {kind: join(websocket(proxies(kind), f"/ws?token={token('74')}")) for kind in idle}
    time.sleep(IDLE_SECONDS[size])
    for stream in idle.values():
        while stream.line() != b":\n":  # a heartbeat
            pass
    shard.post("/operation", {"open": False}, headers={"Host": NAME})
    shard.post("/operation", {"open": True}, headers={"Host": NAME})
    stayed = 0
    for kind, stream in idle.items():
        while stream.event()["type"] != "operation.opened":
            pass
        with sockets[kind] as socket:
            stayed += expect(socket, "config")["type"] == "config"
    figure(f"proxies.stayed-{IDLE_SECONDS[size]:g}-s", stayed, f"== {len(idle)}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_finds_the_sample_right(
    kind: str, shard: Server, proxies: Callable[[str], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, resolve = proxies(kind), socket.getaddrinfo
    authority = next(proxy.folder.rglob("root.crt"), proxy.place.pem)  # Caddy makes its own
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolve("127.0.0.1", proxy.place.https))
    case = Case(load(environ=shard.env, data_dir=str(shard.data_dir)), "")
    case.answers, case.plugins = True, ["gateway"]
    found = {one.name: one.level for one in doctor.proxy.look(case)}
    assert found.pop("public.tls") in ("ok", "error")  # how long it is good for is the test's affair
    assert found == {
        "public.reach": "ok",
        "public.address": "info",  # it comes from where the proxy is
        "public.stream": "ok",
        "public.websocket": "ok",
    }

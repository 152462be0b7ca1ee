"""One attempt: what a receiver answers, how much of it is read, and when the connection is kept."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from tempfile import NamedTemporaryFile
from typing import Any

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gevent import socket, ssl
from gevent.server import StreamServer

from shardapi.outbox.answer import MOST_BYTES
from shardapi.outbox.line import Line, Result
from shardapi.outbox.target import Gate, Target

GATE = Gate(["127.0.0.0/8"])

Serve = Callable[[socket.socket, int], None]


@contextmanager
def serving(serve: Serve) -> Iterator[tuple[Line, list[bytes]]]:
    """A line to a server that runs `serve` for each connection, with its number; and what it has read."""
    read: list[bytes] = []

    def handle(connection: socket.socket, address: Any) -> None:
        number = len(read)
        read.append(b"")
        recv = connection.recv

        class Noting:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            def recv(self, size: int) -> bytes:
                data: bytes = recv(size)
                read[number] += data
                return data

        serve(Noting(), number)  # type: ignore[arg-type]

    server = StreamServer(("127.0.0.1", 0), handle)
    server.start()
    line = Line(Target("http", "127.0.0.1", server.server_port, "/hook?x=1"), GATE, "agent/1")
    try:
        yield line, read
    finally:
        line.close()
        server.stop()


def request(connection: socket.socket) -> bytes:
    """One whole request."""
    data = b""
    while not data.endswith(b"\r\n\r\nbody"):
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    return data


def post(line: Line, seconds: float = 5.0) -> Result:
    """One attempt."""
    return line.post(b"webhook-id: 1\r\n", b"body", seconds)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("answer", "status", "kept"),
    [
        (OK, 200, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, True),
        (b"HTTP/1.1 204\r\n\r\n", 204, True),
        (b"HTTP/1.1 200 OK\r\nconTENT-lenGTH:0\r\n\r\n", 200, True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, True),
        (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, 200, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n",
            200,
            False,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 200, False),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", 200, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", 200, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", 200, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 200, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"a" * 5000, 200, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(MOST_BYTES), 200, False),
        (b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 307, True),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, True),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 999, True),
    ],
)
def test_an_answer_is_understood_and_its_connection_kept_if_it_can_be(
    answer: bytes, status: int, kept: bool
) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        while request(connection):
            connection.sendall(answer)

    with serving(serve) as (line, read):
        for _ in range(2):
            result = post(line)
            assert (result.status, result.taken) == (status, 200 <= status < 300)
        assert result.retry_after == ("7" if status == 503 else "")
        assert len(read) == (1 if kept else 2)


@pytest.mark.parametrize("piece", [1, 7])
def test_an_answer_in_pieces_is_an_answer(piece: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"

    def serve(connection: socket.socket, number: int) -> None:
        while request(connection):
            for start in range(0, len(answer), piece):
                connection.sendall(answer[start : start + piece])
                gevent.sleep(0)

    with serving(serve) as (line, read):
        assert [post(line).status for _ in range(3)] == [200] * 3
        assert len(read) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "closed"),
        (b"HTTP/1.1", "malformed_answer"),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "malformed_answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "malformed_answer"),
        (b"HTTP/2 200\r\n\r\n", "malformed_answer"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "malformed_answer"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "malformed_answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", "malformed_answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, "malformed_answer"),
    ],
)
def test_what_is_no_answer_is_named(answer: bytes, error: str) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(answer)

    with serving(serve) as (line, _):
        assert post(line)[:2] == (0, error)


def test_a_request_is_what_a_receiver_expects() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)

    with serving(serve) as (line, read):
        post(line)
        lines = read[0].split(b"\r\n")
        assert lines[0] == b"POST /hook?x=1 HTTP/1.1"
        assert f"Host: 127.0.0.1:{line.target.port}".encode() in lines
        assert {b"User-Agent: agent/1", b"webhook-id: 1", b"Content-Length: 4"} <= set(lines)


def test_a_connection_that_was_closed_while_it_rested_costs_no_failure() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)

    with serving(serve) as (line, read):
        assert [post(line).status for _ in range(3)] == [200] * 3
        assert len(read) == 3


def test_a_connection_that_ends_on_every_request_is_a_failure() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request(connection)

    with serving(serve) as (line, read):
        assert post(line)[:2] == (0, "closed")
        assert len(read) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Busy\r\nRetry-After: a" + b" " * 60_000 + b"b\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nConnection:" + b"\t a" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\n" + b"Retry-After: \r" * 4_000 + b"\r\n\r\n",
    ],
)
def test_reading_an_answer_takes_nobody_elses_time_whatever_is_in_it(answer: bytes) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(answer)

    with serving(serve) as (line, _):
        began = time.process_time()
        assert post(line, 60).status == 503
        assert time.process_time() - began < 2  # it was minutes


def silent(connection: socket.socket, number: int) -> None:
    """Nothing at all."""
    gevent.sleep(30)


def dripping(connection: socket.socket, number: int) -> None:
    """A head that never ends."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        connection.sendall(bytes([byte]))
        gevent.sleep(0.01)


@pytest.mark.parametrize("serve", [silent, dripping])
def test_an_attempt_is_over_in_its_time(serve: Serve) -> None:
    with serving(serve) as (line, _):
        began = time.monotonic()
        assert post(line, 0.3)[:2] == (0, "timeout")
        assert 0.25 < time.monotonic() - began < 20


@contextmanager
def deaf(host: str, port: int = 0) -> Iterator[int]:
    """The port of a listener that accepts nobody."""
    with socket.socket() as listener:
        listener.bind((host, port))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def test_a_connection_that_nobody_accepts_is_over_in_its_time() -> None:
    with deaf("127.0.0.1") as port:
        line = Line(Target("http", "127.0.0.1", port, "/"), GATE, "a")
        began = time.monotonic()
        assert post(line, 0.3)[:2] == (0, "timeout")
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("dead", [1, 3])
def test_an_address_that_accepts_nobody_leaves_time_for_the_others(dead: int) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)

    with serving(serve) as (alive, _), ExitStack() as stack:
        hosts = [f"127.0.0.{number + 2}" for number in range(dead)]
        for host in hosts:
            stack.enter_context(deaf(host, alive.target.port))
        gate = Gate(["127.0.0.0/8"], lambda name, port: [*hosts, "127.0.0.1"])
        line = Line(Target("http", "several.example", alive.target.port, "/"), gate, "a")
        assert post(line, 5).status == 200
        line.close()


def test_a_receiver_that_has_answered_has_answered_however_its_body_goes_on() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        gevent.sleep(30)

    with serving(serve) as (line, _):
        assert post(line).status == 200


def test_at_most_64_kib_of_an_answer_are_read() -> None:
    sent = [0]

    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                sent[0] += connection.send(b"1000\r\n" + bytes(4096) + b"\r\n")
        except OSError:
            pass

    with serving(serve) as (line, _):
        assert post(line).status == 200
        gevent.sleep(0.1)
        before = sent[0]
        gevent.sleep(0.1)
        assert sent[0] == before  # it was cut off
    assert sent[0] < 8 * 1024 * 1024


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    def serve(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)

    with serving(serve) as (line, _):
        assert post(line).status == 200


# -- who the receiver is


@pytest.fixture(scope="module")
def authority() -> "Authority":
    """An authority of our own."""
    return Authority()


class Authority:
    """Makes certificates, its own among them."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.issue("authority", self.key.public_key(), ca=True)

    def issue(self, host: str, key: ec.EllipticCurvePublicKey, ca: bool = False) -> x509.Certificate:
        """A certificate that is good for an hour."""
        now = datetime.now(UTC)
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]))
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
            .add_extension(x509.BasicConstraints(ca, None), True)
        )
        return builder.sign(self.key, hashes.SHA256())

    def context(self, host: str) -> ssl.SSLContext:
        """What a server needs to be this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = serialization.Encoding.PEM
        with NamedTemporaryFile() as file:
            file.write(self.issue(host, key.public_key()).public_bytes(pem))
            form = serialization.PrivateFormat.PKCS8
            file.write(key.private_bytes(pem, form, serialization.NoEncryption()))
            file.flush()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file.name)
        return context

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


@contextmanager
def secured(context: ssl.SSLContext, host: str) -> Iterator[Line]:
    """A line to a host whose server shows a certificate, and answers twice on a connection."""

    def handle(connection: socket.socket, address: Any) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
            while request(wrapped):
                wrapped.sendall(OK)

    server = StreamServer(("127.0.0.1", 0), handle)
    server.start()
    gate = Gate(["127.0.0.0/8"], lambda host, port: ["127.0.0.1"])
    line = Line(Target("https", host, server.server_port, "/"), gate, "agent/1")
    try:
        yield line
    finally:
        line.close()
        server.stop()


@pytest.mark.parametrize(
    ("shown", "trusted", "expected"),
    [
        ("hooks.example", True, (200, "")),
        ("other.example", True, (0, "tls")),
        ("hooks.example", False, (0, "tls")),
    ],
)
def test_a_receiver_with_https_proves_who_it_is(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, shown: str, trusted: bool, expected: Any
) -> None:
    contexts: list[ssl.SSLContext] = []
    monkeypatch.setattr("shardapi.outbox.line._contexts", contexts)
    with secured(authority.context(shown), "hooks.example") as line:
        with NamedTemporaryFile("w") as file:
            if trusted:
                file.write(authority.pem)
                file.flush()
                monkeypatch.setenv("SSL_CERT_FILE", file.name)
            assert post(line)[:2] == expected
        assert post(line)[:2] == expected
        assert len(contexts) == 1


def test_a_receiver_that_speaks_no_tls_is_told_from_one_that_does_not_answer() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 This is not HTTPS\r\n\r\n")

    with serving(serve) as (plain, _):
        line = Line(Target("https", "127.0.0.1", plain.target.port, "/"), GATE, "a")
        assert post(line)[:2] == (0, "tls")

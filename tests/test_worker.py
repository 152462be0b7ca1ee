"""The worker under a real gunicorn, and its answers beside gunicorn's own."""

import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidResponseHeader, InvalidResponseHeaderName
from served import Served, eventually, one, rest

from shardapi.worker import Answer, date, takeable

GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
SECOND = b"GET /echo?second HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
GATE, OPEN, BUSY, COUNT = (
    b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % name for name in (b"gate", b"open", b"busy", b"count")
)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HEAD = b"GET /echo HTTP/1.1\r\nHost: x\r\n"
END = b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

PROBES: list[tuple[str, bytes, list[int]]] = [
    ("a plain request", GET, [200, 404]),
    ("pipelined requests", GET * 3, [200, 200, 200, 404]),
    ("one empty line before", b"\r\n" + GET, [200, 404]),
    ("an absolute target", b"GET http://evil/echo HTTP/1.1\r\nHost: x\r\n\r\n", [200, 404]),
    ("HTTP/1.0", b"GET /echo HTTP/1.0\r\nHost: x\r\n\r\n", [200]),
    ("HEAD, then GET", b"HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n" + GET, [200, 200, 404]),
    ("a body on GET", HEAD + b"Content-Length: 3\r\n\r\nabc" + SECOND, [200, 200, 404]),
    ("chunks", CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", [200, 404]),
    ("Expect: 100-continue", POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", [100, 200, 404]),
    ("an unknown expectation", POST + b"Content-Length: 3\r\nExpect: 200-maybe\r\n\r\nabc", [417]),
    ("CONNECT", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + SECOND, [404]),
    ("length and chunks", POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", [400]),
    ("chunks and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", [400]),
    ("identity and length", POST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", [400]),
    ("an unknown coding", POST + b"Transfer-Encoding: xchunked\r\n\r\n" + SECOND, [501]),
    ("chunked twice", POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", [400]),
    ("a space before the colon", POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", [400]),
    ("a vertical tab before a value", POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", [400]),
    ("chunks under HTTP/1.0", CHUNKED.replace(b"1.1", b"1.0") + b"3\r\nabc\r\n0\r\n\r\n", [400]),
    ("two lengths", POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcGE", [400]),
    ("the same length twice", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", [400]),
    ("a list of lengths", POST + b"Content-Length: 3, 3\r\n\r\nabc", [400]),
    ("a length with a plus", POST + b"Content-Length: +3\r\n\r\nabc", [400]),
    ("a length with an underscore", POST + b"Content-Length: 0_3\r\n\r\nabc", [400]),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\nabc", [400]),
    ("a bad chunk size", CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", [200]),
    ("a chunk without its end", CHUNKED + b"3\r\nabcXX0\r\n\r\n", [200]),
    ("a line feed in a chunk extension", CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", [200]),
    ("lines ended by LF", b"GET /echo HTTP/1.1\nHost: x\n\n", [400]),
    ("a CR in a value", HEAD + b"X-A: b\rX-B: c\r\n\r\n", [400]),
    ("a NUL in a value", HEAD + b"X-A: b\x00c\r\n\r\n", [400]),
    ("a folded field", HEAD + b"X-A: b\r\n  folded\r\n\r\n", [400]),
    ("a space in a name", HEAD + b"X A: b\r\n\r\n", [400]),
    ("no host", b"GET /echo HTTP/1.1\r\n\r\n", [400]),
    ("no host under HTTP/1.0", b"GET /echo HTTP/1.0\r\n\r\n", [200]),
    ("two hosts", HEAD + b"Host: y\r\n\r\n", [400]),
    ("HTTP/0.9", b"GET /echo\r\n\r\n", [400]),
    ("HTTP/2.0", b"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n", [400]),
    ("a method in small letters", b"get /echo HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    ("eight bits in the target", b"GET /echo?\xff HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    ("a long target", b"GET /echo?" + b"a" * 4094 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [414]),
    ("a long field", HEAD + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", [431]),
    ("many fields", HEAD + b"".join(b"X-%d: b\r\n" % i for i in range(64)) + b"\r\n", [431]),
]


def statuses(read: bytes) -> list[int]:
    """The status of each answer in what was read."""
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", read)]


def ask(sock: socket.socket, path: str) -> http.client.HTTPResponse:
    """One request on a connection that is kept."""
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    answer.read()
    answer.close()
    return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all the tests that leave it as it was."""
    with Served("worker_app:app", tmp_path_factory.mktemp("worker") / "log") as served:
        yield served


@pytest.mark.parametrize(
    ("request_", "expected"), [probe[1:] for probe in PROBES], ids=[p[0] for p in PROBES]
)
def test_hostile_and_odd_requests(server: Served, request_: bytes, expected: list[int]) -> None:
    assert statuses(server.answer(request_ + END)) == expected


def test_nothing_is_read_as_a_request_after_connect(server: Served) -> None:
    assert b"second" not in server.answer(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + SECOND)


def test_underscored_names_and_forwarded_names_are_dropped(server: Served) -> None:
    read = server.answer(
        HEAD + b"X_Forwarded_For: 6.6.6.6\r\nScript_Name: /x\r\nSCRIPT_NAME: /y\r\n\r\n" + END
    )
    assert statuses(read) == [200, 404]
    assert b"6.6.6.6" not in read
    assert b'"SCRIPT_NAME": ""' in read


def test_a_truncated_body_reaches_the_application_as_it_is(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(POST + b"Content-Length: 100\r\n\r\nabc")
        sock.shutdown(socket.SHUT_WR)
        read = rest(sock)
    assert b'"body": "abc"' in read and b'"CONTENT_LENGTH": "100"' in read


@pytest.mark.parametrize("path", ["/short", "/breaks"])
def test_a_body_shorter_than_announced_ends_its_connection(server: Served, path: str) -> None:
    read = server.answer(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() + GET)
    assert statuses(read) == [200]
    assert read.endswith(b"\r\n\r\nabc")


def test_an_error_before_the_answer_is_a_500(server: Served) -> None:
    assert statuses(server.answer(b"GET /fails HTTP/1.1\r\nHost: x\r\n\r\n" + GET)) == [500]


def test_chunks_are_framed(server: Served) -> None:
    read = server.answer(b"GET /chunks HTTP/1.1\r\nHost: x\r\n\r\n" + END)
    assert b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 404" in read


def test_a_busy_connection_leaves_others_their_turn(server: Served) -> None:
    """Both have sent all they ask before the first of it is answered, so that nobody's speed matters."""
    with server.connect() as hog, server.connect() as other:
        hog.sendall(GATE + BUSY * 400 + END)
        one(hog, b"waits\r\n")
        other.sendall(OPEN + COUNT * 10 + END)
        counts = [int(found) for found in re.findall(rb"(\d+) busy", rest(other))]
        assert statuses(rest(hog)).count(200) == 400
    assert len(counts) == 10
    assert counts[-1] - counts[0] in range(9, 41)


def test_start_is_called_with_the_worker_and_retire_before_the_end(tmp_path: Path) -> None:
    with Served("worker_app:app", tmp_path / "log") as served:
        assert b'["Worker"]' in served.answer(b"GET /hooks HTTP/1.0\r\n\r\n")
    assert served.said().count("retired") == 1


def test_term_serves_what_is_asked_and_closes_what_is_idle(tmp_path: Path) -> None:
    with Served("worker_app:app", tmp_path / "log", "--graceful-timeout", "40") as served:
        with served.connect() as idle, served.connect() as late, served.connect() as flight:
            ask(idle, "/echo")
            ask(late, "/echo")
            flight.sendall(b"GET /waits?1 HTTP/1.1\r\nHost: x\r\n\r\n")
            one(flight, b"waits\r\n")
            told = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
            eventually(lambda: "retired" in served.said())  # it has been told
            assert ask(late, "/echo").headers["Connection"] == "close"
            assert b"over" in one(flight, b"0\r\n\r\n")
            assert idle.recv(1) == b""
            assert served.process.wait(60) == 0
            took = time.monotonic() - told
    assert took < 30, "an idle connection held the end up until graceful_timeout"
    assert served.said().count("retired") == 1
    assert "Traceback" not in served.said()


def test_idle_connections_and_slow_heads_are_cut(tmp_path: Path, size: str) -> None:
    with Served("worker_app:app", tmp_path / "log", "--keep-alive", "1") as served:
        with served.connect() as fresh, served.connect() as kept, served.connect() as slow:
            ask(kept, "/echo")
            began = time.monotonic()
            for byte in GET[:12]:
                slow.sendall(bytes([byte]))
                time.sleep(0.05)
            assert [rest(sock) for sock in (fresh, kept, slow)] == [b"", b"", b""]
            assert time.monotonic() - began < {"ci": 8, "soak": 3}[size]


def test_an_answer_that_is_read_byte_by_byte_is_given_up_quietly(tmp_path: Path) -> None:
    with Served("worker_app:app", tmp_path / "log") as served:
        served.answer(b"GET /hurry HTTP/1.0\r\n\r\n")
        with served.connect() as slow:
            slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            read = 0
            for _ in range(10):
                read += len(slow.recv(1))
                time.sleep(0.1)
            assert read + len(rest(slow)) < 16 << 20
    assert "Traceback" not in served.said() and "[ERROR]" not in served.said()


def test_a_loop_that_hangs_is_ended_and_its_client_told(tmp_path: Path) -> None:
    with Served("worker_app:app", tmp_path / "log", "--timeout", "4") as served:
        assert statuses(served.answer(b"GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n" + GET)) == [500]
        eventually(lambda: served.said().count("Booting worker") >= 2)
        assert b"Worker" in served.answer(b"GET /hooks HTTP/1.0\r\n\r\n")
    assert "WORKER TIMEOUT" in served.said()


def test_hup_under_load_fails_no_request(
    tmp_path: Path, size: str, figure: Callable[[str, float, str], None]
) -> None:
    rounds, clients = (8, 8) if size == "soak" else (1, 4)
    failed: list[BaseException] = []
    done: list[int] = []
    stop = threading.Event()

    def client(served: Served) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        try:
            while not stop.is_set():
                connection.request("GET", "/echo")
                done.append(connection.getresponse().read().__len__())
                time.sleep(0.001)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    with Served("worker_app:app", tmp_path / "log") as served:
        threads = [threading.Thread(target=client, args=(served,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for number in range(1, rounds + 1):
            served.process.send_signal(signal.SIGHUP)
            eventually(lambda number=number: served.said().count("Worker exiting") == number)
        stop.set()
        for thread in threads:
            thread.join()
    figure("worker.hup.failed", len(failed), "== 0")
    assert len(done) > 10


@pytest.mark.parametrize(("how", "said"), [("", "RuntimeError: died"), ("?exit", "GreenletExit")])
def test_a_vital_greenlet_that_dies_ends_its_worker(tmp_path: Path, how: str, said: str) -> None:
    with Served("worker_app:app", tmp_path / "log") as served:
        served.answer(f"GET /death{how} HTTP/1.0\r\n\r\n".encode())
        eventually(lambda: served.said().count("Booting worker") == 2)
        eventually(lambda: b"Worker" in served.answer(b"GET /hooks HTTP/1.0\r\n\r\n"))
    assert said in served.said() and served.said().count("died, so this worker ends") == 1


def test_a_taken_socket_outlives_its_request_quietly(tmp_path: Path) -> None:
    """Pins what the takeover rests on: the key gunicorn.socket, gevent's detach, silence on EPIPE."""
    log = ("--access-logfile", "-", "--log-level", "debug", "--worker-connections", "1")
    with Served("worker_app:app", tmp_path / "log", *log) as served:
        with served.connect() as sock:
            sock.sendall(b"GET /taken HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: '"GET /taken HTTP/1.1" 200 0' in served.said())
            assert b"Worker" in served.answer(b"GET /hooks HTTP/1.0\r\n\r\n"), "its place was not freed"
            assert rest(sock).endswith(b"\r\n\r\nmine now")
        assert "Ignoring EPIPE" in served.said()
    assert "Traceback" not in served.said()
    assert "[ERROR]" not in served.said()


def test_only_a_plain_socket_of_gunicorn_is_takeable() -> None:
    sock = object()
    assert takeable({"gunicorn.socket": sock, "SERVER_PROTOCOL": "HTTP/1.0"})
    assert not takeable({"gunicorn.socket": sock, "SERVER_PROTOCOL": "HTTP/2.0"})
    assert not takeable({"SERVER_PROTOCOL": "HTTP/1.1"})


def test_importing_the_worker_imports_no_framework() -> None:
    check = "import sys, shardapi.worker; sys.exit(bool({'flask', 'peewee', 'msgspec'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], timeout=30).returncode == 0


class Wire:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes, flags: int, timeout: float) -> int:
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        self.sent.append(bytes(data))


def respond(cls: type[Any], method: str, status: str, headers: Any, pieces: Sequence[bytes]) -> list[bytes]:
    """What a response class puts on the wire, send by send."""
    wire = Wire()
    asked = SimpleNamespace(method=method, version=(1, 1), should_close=lambda: False)
    resp = cls(asked, wire, SimpleNamespace())
    resp.start_response(status, headers)
    for piece in pieces:
        resp.write(piece)
    resp.close()
    return [re.sub(rb"\r\nDate: [^\r]+", b"\r\nDate: now", sent) for sent in wire.sent]


TEN = [("Content-Type", "text/plain"), ("Content-Length", "10"), ("X-A", " b ")]
ANSWERS: list[tuple[str, str, list[tuple[str, str]], list[bytes], int]] = [
    ("GET", "200 OK", TEN, [b"0123456789"], 1),
    ("GET", "200 OK", TEN, [b"01234", b"56789"], 3),
    ("GET", "200 OK", TEN, [b"0123456789 too much"], 2),
    ("GET", "200 OK", TEN, [], 1),
    ("GET", "200 OK", [("Content-Length", "0")], [b""], 1),
    ("GET", "200 OK", [("X-A", "b")], [b"no length"], 3),
    ("GET", "200 OK", [("Server", "mine"), *TEN], [b"0123456789"], 1),
    ("GET", "101 Switching", [("Connection", "upgrade"), ("Upgrade", "websocket")], [], 1),
    ("HEAD", "200 OK", TEN, [], 1),
    ("HEAD", "200 OK", TEN, [b"0123456789"], 1),
    ("GET", "204 No Content", [("Content-Length", "0"), ("X-A", "b")], [b""], 1),
    ("GET", "304 Not Modified", [("ETag", '"1"'), ("Content-Length", "10")], [], 1),
]


@pytest.mark.parametrize(("method", "status", "headers", "pieces", "sends"), ANSWERS)
def test_an_answer_is_gunicorns_own_in_fewer_sends(
    method: str, status: str, headers: list[tuple[str, str]], pieces: list[bytes], sends: int
) -> None:
    for _ in range(2):  # the second time with names that are known by then
        ours = respond(Answer, method, status, headers, pieces)
        assert b"".join(ours) == b"".join(respond(wsgi.Response, method, status, headers, pieces))
        assert len(ours) == sends


def test_an_application_may_close_its_connection() -> None:
    (sent,) = respond(Answer, "GET", "200 OK", [("Connection", "close"), *TEN], [b"0123456789"])
    assert b"\r\nConnection: close\r\n" in sent


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([("X-A", "b\r\nX-B: c")], InvalidResponseHeader),
        ([("X-A", "b\n")], InvalidResponseHeader),
        ([("X-A", "b\0")], InvalidResponseHeader),
        ([("X A", "b")], InvalidResponseHeaderName),
        ([("X-A:", "b")], InvalidResponseHeaderName),
        ([("X-A", 5)], TypeError),
        ([(b"X-A", "b")], TypeError),
    ],
)
def test_bad_header_fields_are_refused_known_or_not(headers: Any, error: type[Exception]) -> None:
    respond(Answer, "GET", "200 OK", [("X-A", "b")], [])
    for _ in range(2):
        with pytest.raises(error):
            respond(Answer, "GET", "200 OK", [("X-Good", "yes"), *headers], [])


def test_the_date_is_now() -> None:
    assert abs(parsedate_to_datetime(date()).timestamp() - time.time()) < 2

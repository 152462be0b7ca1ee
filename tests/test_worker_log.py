"""What a real gunicorn logs of requests: no tokens, in whatever way a request fails."""

from collections.abc import Iterator

import pytest
from served import Served, eventually

SECRET = "eyJvcGVyYXRvcg.c2VjcmV0"
REQUESTS = {
    "answered": f"GET /echo?a=1&token={SECRET}&b=2 HTTP/1.1\r\nHost: x\r\n",
    "in other letters": f"GET /echo?Token={SECRET} HTTP/1.1\r\nHost: x\r\n",
    "failing": f"GET /fails?token={SECRET} HTTP/1.1\r\nHost: x\r\n",
    "failing in mid-body": f"GET /breaks?token={SECRET} HTTP/1.1\r\nHost: x\r\n",
    "a broken line": f"GET /echo?token={SECRET}\r\nHost: x\r\n",
    "a broken version": f"GET /echo HTTP/1.1?token={SECRET}\r\nHost: x\r\n",
    "a broken field": f"GET /echo HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {SECRET}\r\n",
    "a subprotocol": f"GET /echo HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: bearer, {SECRET}\r\n",
    "a broken coding": f"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: bearer {SECRET}\r\n",
}
ACCESS = '%(r)s "%({authorization}i)s" "%({sec-websocket-protocol}i)s" "%(q)s"'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("worker") / "log"
    settings = ("--access-logfile", "-", "--access-logformat", ACCESS, "--log-level", "debug")
    with Served("worker_app:app", log, *settings) as served:
        yield served


@pytest.mark.parametrize("name", REQUESTS)
def test_a_log_has_no_tokens(name: str, server: Served) -> None:
    before = len(server.said())
    server.answer(REQUESTS[name].encode() + b"Connection: close\r\n\r\n")
    eventually(lambda: "[redacted]" in server.said()[before:])
    assert SECRET not in server.said()


def test_a_request_that_ends_early_is_not_quoted(server: Served) -> None:
    with server.connect() as sock:
        sock.sendall(f"GET /echo?token={SECRET}".encode())
    eventually(lambda: "No more data" in server.said())
    assert SECRET not in server.said()

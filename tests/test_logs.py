"""The log: lines of JSON or text that nobody can forge, one for each request, none that holds up the server."""

import fcntl
import http.client
import json
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from served import eventually

from shardapi.logs import Handler, Log, Printed, escaped, in_journal
from shardapi.redaction import redacted
from shardapi.sink import MOST_WAITING, Sink
from shardapi.testing import Server

PLUGIN = '''
import sys, time
import flask
from shardapi import PUBLIC, Routes, hookimpl

routes = Routes("noisy", "noisy")

@routes.get("/noisy/<word>", scope=PUBLIC)
def noisy(word: str) -> flask.Response:
    """Say a word in every way."""
    if word == "hang":
        _hang()
    print("printed", flask.request.args["text"])
    print("complained", file=sys.stderr)
    raise ValueError(flask.request.args["text"])

def _hang():
    while True:
        pass

@hookimpl
def shardapi_blueprints(app):
    return [routes]
'''
HOSTILE = "\n2026-01-01T00:00:00.000Z INFO     forged\x1b[2J\x9b31m\u202e\x7f"


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard that logs as in the journal, with a plugin that says too much."""
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "noisy.py").write_text(PLUGIN)
    env = {
        "SHARDAPI_SERVER__LOG_FORMAT": "json",
        "SHARDAPI_SERVER__ACCESS_LOG": "true",
        "SHARDAPI_SERVER__TRUSTED_PROXIES": "127.0.0.0/8",
        "SHARDAPI_SERVER__WATCHDOG_SECONDS": "6",
        "SHARDAPI_PLUGINS__DIR": str(folder / "plugins"),
    }
    server = Server(folder / "data", env)
    try:
        yield server.start()
    finally:
        server.kill()


def entries(server: Server) -> list[dict[str, Any]]:
    """Every line of the log; each is an object, on one line, of plain characters."""
    assert all(line.isascii() and line.isprintable() for line in server.log)
    return [json.loads(line) for line in server.log]


def entry(server: Server, **members: Any) -> dict[str, Any]:
    """The one entry that has these members."""

    def found() -> list[dict[str, Any]]:
        return [one for one in entries(server) if members.items() <= one.items()]

    server.wait(found, f"an entry with {members}")
    (only,) = found()
    return only


def test_an_answer_its_log_and_its_audit_have_the_same_id(noisy: Server) -> None:
    answer = noisy.post("/nets", {"name": "Strike"})
    request_id = answer.headers["X-Request-Id"]
    logged = entry(noisy, requestId=request_id)
    (row,) = [row for row in noisy.get("/audit").json()["entries"] if row["requestId"] == request_id]
    assert logged == {
        "time": logged["time"],
        "level": "info",
        "logger": "shardapi.request",
        "requestId": request_id,
        "keyId": row["keyId"],
        "method": "POST",
        "route": "/api/v1/nets",
        "status": 200,
        "ms": logged["ms"],
        "address": "127.0.0.1",
        "code": "",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", logged["time"]) and 0 < logged["ms"] < 5000


def test_a_refusal_has_its_code_and_its_rule_instead_of_its_path(noisy: Server) -> None:
    secret = "scok_" + "a" * 36
    for path, route, code in (
        (f"/archive/{secret}", "/api/v1/archive/<uid>", "unauthorized"),
        (f"/nothing/{secret}", "", "not_found"),
    ):
        answer = noisy.get(path, key=secret, headers={"X-Request-Id": f"ours.{code}"})
        logged = entry(noisy, requestId=f"ours.{code}")
        assert (logged["route"], logged["status"], logged["code"]) == (route, answer.status_code, code)
        assert logged["keyId"] == ""
    assert "a" * 36 not in "".join(noisy.log)


def test_a_page_of_flasks_own_is_logged_under_the_id_that_it_shows(noisy: Server) -> None:
    answer = requests.get(noisy.url + "/panel/sign-in", timeout=20)
    logged = entry(noisy, requestId=answer.headers["X-Request-Id"])
    assert (logged["method"], logged["status"]) == ("GET", answer.status_code)


def test_nothing_that_comes_from_outside_leaves_its_line(noisy: Server) -> None:
    for headers in (
        {"X-Forwarded-For": "\x9b31m\xff"},
        {"X-Forwarded-For": "1.2.3.4\x9b2J", "X-Request-Id": "a\x9bb"},
    ):
        answer = noisy.get(
            "/status", headers={name: text.encode("latin-1") for name, text in headers.items()}
        )  # type: ignore[misc]
        logged = entry(noisy, requestId=answer.headers["X-Request-Id"])
        assert "\\x9b" in logged["address"]


def test_what_a_plugin_raises_and_prints_is_of_the_same_form(noisy: Server) -> None:
    answer = noisy.get("/noisy/word", params={"text": HOSTILE + " ?token=" + "s" * 30})
    assert answer.status_code == 500
    request_id = answer.headers["X-Request-Id"]
    failed = entry(noisy, requestId=request_id, level="error")
    assert "plugin noisy" in failed["message"] and "ValueError" in failed["traceback"]
    assert entry(noisy, logger="stderr", level="error", message="complained")
    assert [one for one in entries(noisy) if one["logger"] == "stdout" and "printed" in one["message"]]
    assert "s" * 30 not in "".join(noisy.log)


def test_a_broken_request_is_of_the_same_form(noisy: Server) -> None:
    host, port = noisy.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(b"GET /?token=" + b"t" * 30 + b" HTTP/1.1\r\nBad Header\x1b[31m\r\n\r\n")
        said = sock.recv(65536)
    request_id = re.search(rb"X-Request-Id: (\S+)", said)
    assert request_id
    assert "malformed_request" in entry(noisy, requestId=request_id[1].decode())["message"]
    assert "t" * 30 not in "".join(noisy.log)


def test_a_stream_is_logged_when_it_ends(noisy: Server) -> None:
    connection = http.client.HTTPConnection(noisy.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/api/v1/stream", headers={"Authorization": f"Bearer {noisy.key()}"})
    answer = connection.getresponse()
    request_id = answer.headers["X-Request-Id"]
    assert answer.readline().startswith(b": events")
    time.sleep(0.3)
    assert not [one for one in entries(noisy) if one.get("requestId") == request_id]
    answer.close()
    connection.close()
    logged = entry(noisy, requestId=request_id)
    assert (logged["route"], logged["status"], logged["why"]) == ("/api/v1/stream", 200, "gone")
    assert logged["ms"] >= 300 and logged["keyId"].startswith("key_")


def test_a_websocket_is_logged_when_it_ends(noisy: Server) -> None:
    ann = noisy.operator("1", "Ann")
    time.sleep(0.3)
    ann.close()
    logged = entry(noisy, route="/ws", status=101)
    assert logged["ms"] >= 300 and logged["why"]


def test_where_a_hung_worker_stood_is_of_the_same_form(noisy: Server) -> None:
    before = noisy.worker_pid
    try:
        noisy.get("/noisy/hang", timeout=1)
    except requests.RequestException:
        pass
    noisy.wait(lambda: noisy.worker_pid not in (0, before), "another worker", 30)
    noisy.wait(
        lambda: [
            one
            for one in entries(noisy)
            if "a worker was ended" in one.get("message", "") and "in _hang" in one["message"]
        ],
        "its stack",
    )
    noisy.wait(lambda: noisy.get("/ws", key="").status_code != 503, "it to serve operators")
    os.kill(noisy.worker_pid, signal.SIGKILL)
    noisy.wait(
        lambda: [one for one in entries(noisy) if "SIGKILL" in one.get("message", "")], "its end to be told"
    )


def test_people_read_text(start_shard: Callable[..., Server]) -> None:
    server = start_shard(env={"SHARDAPI_SERVER__ACCESS_LOG": "true"})
    answer = server.get("/status", headers={"X-Request-Id": "mine"})
    line = server.wait(lambda: [one for one in server.log if one.endswith(" mine")], "its line")[0]
    assert re.fullmatch(r"\S+Z INFO     GET /api/v1/status 200 [\d.]+ ms key_\w+ 127\.0\.0\.1 mine", line)
    assert answer.headers["X-Request-Id"] == "mine"


# -- its parts


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe, to read and to write."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def logged_as(form: Any, pipe: tuple[int, int], text: str) -> str:
    """What a log of that form writes of a warning with an error."""
    log = Log(Sink(pipe[1]))
    log.form(form)
    logger = logging.Logger("of a test")
    logger.addHandler(Handler(log))
    try:
        raise ValueError(text)
    except ValueError as error:
        logger.warning("failed: %s", text, exc_info=error)
    return os.read(pipe[0], 65536).decode()


def test_lines_of_text_cannot_be_forged(pipe: tuple[int, int]) -> None:
    said = logged_as("text", pipe, HOSTILE)
    first, *others = said.splitlines()
    assert first.endswith("\\x1b[2J\\x9b31m\\u202e\\x7f") and " WARNING  failed: \\n2026" in first
    assert others and all(line.startswith("    ") and line.isprintable() for line in others)


def test_lines_of_json_cannot_be_forged(pipe: tuple[int, int]) -> None:
    said = logged_as("json", pipe, HOSTILE)
    assert said.count("\n") == 1 and said.rstrip("\n").isprintable() and said.isascii()
    read = json.loads(said)
    assert read["message"] == "failed: " + HOSTILE and read["level"] == "warning"


def test_an_entry_is_never_longer_than_the_journal_takes(pipe: tuple[int, int]) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 1 << 20)
    said = logged_as("json", pipe, "\U0001f600" * 100_000)
    assert len(said) < 48 * 1024
    assert json.loads(said)["traceback"].startswith("…")


@pytest.mark.parametrize(
    "text",
    [
        "/ws?token=abc.def",
        "Authorization: Bearer abc.def",
        "bearer, abc.def",
        "key scok_abc.def!",
        "whsec_abc.def",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    assert "abc" not in redacted(text) and "[redacted]" in redacted(text)


def test_a_priority_is_for_the_journal_alone(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    there = os.fstat(pipe[1])
    assert not in_journal(pipe[1])
    monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
    assert in_journal(pipe[1])
    said = logged_as("auto", pipe, "text")
    assert said.startswith("<4>{")


def test_what_is_printed_is_an_entry_a_line(pipe: tuple[int, int]) -> None:
    log = Log(Sink(pipe[1]))
    log.form("json")
    stream = Printed(log, "stdout", "info")
    print("one", "two", file=stream)
    print("half", end="", file=stream)
    print(" and half\n\nlast\x1b", file=stream)
    said = [json.loads(line)["message"] for line in os.read(pipe[0], 65536).decode().splitlines()]
    assert said == ["one two", "half and half", "last\x1b"]


def test_escapes_are_for_what_a_terminal_would_obey() -> None:
    assert escaped("Ünïcode 漢字 'quoted' \\ \t\ud800") == "Ünïcode 漢字 'quoted' \\ \\t\\ud800"


def test_a_full_pipe_holds_nobody_up_and_is_told_of_later(pipe: tuple[int, int]) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    log = Log(Sink(pipe[1]))
    log.form("json")
    log.sink.work_in_background()
    began = time.monotonic()
    for number in range(MOST_WAITING + 1000):
        log.sink.put(b"%d\n" % number)
    assert time.monotonic() - began < 5
    assert log.sink.lost > 0
    lost, read = 0, b""

    def drained() -> bool:
        nonlocal read
        read += os.read(pipe[0], 65536)
        return b"were lost" in read and read.endswith(b"\n")

    eventually(drained)
    log.sink.put(b"after\n")
    eventually(lambda: drained() and b"after\n" in read)
    numbers = [int(line) for line in read.splitlines() if line.isdigit()]
    assert numbers == sorted(numbers), "they come in order"
    lost = sum(int(found) for found in re.findall(rb"(\d+) entries were lost", read))
    assert len(numbers) + lost == MOST_WAITING + 1000


def test_before_there_is_a_thread_a_full_pipe_costs_half_a_second_once(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    try:
        while True:
            os.write(pipe[1], bytes(4096))
    except BlockingIOError:
        os.set_blocking(pipe[1], True)
    sink = Sink(pipe[1])
    began = time.monotonic()
    for _ in range(100):
        sink.put(b"line\n")
    assert time.monotonic() - began < 5 and sink.lost == 100


def test_all_is_written_when_it_is_flushed(pipe: tuple[int, int]) -> None:
    sink = Sink(pipe[1])
    sink.work_in_background()
    for _ in range(3):
        sink.put(b"line\n")
        sink.flush()
        assert os.read(pipe[0], 100) == b"line\n"


def test_the_log_of_a_test_is_nowhere(tmp_path: Path) -> None:
    from shardapi.logs import current

    assert current() is None

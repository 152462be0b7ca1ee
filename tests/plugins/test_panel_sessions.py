"""Sessions of the panel: they end by themselves, are listed and ended, and their streams with them."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner
from panels import PAGE, SIGN_IN, Visitor, browser_of, cleared, opened

from shardapi import ShardApp, clock
from shardapi.cli import main
from shardapi.testing import Server
from shardapi_panel.guard import SESSIONS
from shardapi_panel.models import PanelLink, PanelSession
from shardapi_panel.sessions import Sessions

HOUR = 3_600_000
PASSWORD = "correct horse battery"
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """One for all tests here."""
    yield from opened(tmp_path_factory.mktemp("shard"))


@pytest.fixture
def visitor(app: ShardApp) -> Visitor:
    """Somebody who is not signed in."""
    return cleared(app)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets time pass."""
    began = clock.now()
    return lambda ms: monkeypatch.setattr(clock, "now", lambda: began + ms)


def sessions_of(app: ShardApp) -> Sessions:
    """Who is signed in."""
    found: Sessions = app.extensions[SESSIONS]
    return found


def test_a_session_ends_when_it_is_not_used(visitor: Visitor, later: Callable[[int], None]) -> None:
    visitor.sign_in()
    for hours in (11, 22, 33):  # twelve without a use would be too many
        later(hours * HOUR)
        assert visitor.get("/panel/sessions").status_code == 200
    later((33 + 13) * HOUR)
    assert visitor.get("/panel/sessions").status_code == 302
    assert sessions_of(visitor.app).all() == []


def test_a_script_whose_cookie_is_gone_is_told_to_sign_in_again(visitor: Visitor) -> None:
    ours = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin"}
    answer = visitor.client.post("/panel/api/nets", json={"name": "Strike"}, headers=ours)
    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")


def test_a_session_ends_after_a_week_however_much_it_is_used(
    visitor: Visitor, later: Callable[[int], None]
) -> None:
    visitor.sign_in()
    for hours in range(11, 7 * 24, 11):
        later(hours * HOUR)
        assert visitor.get("/panel/sessions").status_code == 200, hours
    later(7 * DAY + 1000)
    assert visitor.get("/panel/sessions").status_code == 302


def test_how_long_a_session_may_last_is_a_setting(
    start_app: Callable[..., ShardApp], later: Callable[[int], None]
) -> None:
    env = {"SHARDAPI_PLUGINS__PANEL__IDLE_MINUTES": "5", "SHARDAPI_PLUGINS__PANEL__SESSION_DAYS": "1"}
    visitor = Visitor(start_app(env=env)).sign_in()
    later(4 * 60_000)
    assert visitor.get("/panel/sessions").status_code == 200
    later(10 * 60_000)
    assert visitor.get("/panel/sessions").status_code == 302


def test_sessions_are_listed_with_where_they_come_from(visitor: Visitor) -> None:
    other = Visitor(visitor.app)
    other.client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    other.sign_in("Bea")
    page = visitor.sign_in("Ann").get("/panel/sessions").text
    assert "Bea" in page and "203.0.113.7" in page and page.count("this one") == 1


def test_one_session_is_ended_or_all_the_others(visitor: Visitor) -> None:
    visitor.sign_in("Ann")
    others = [Visitor(visitor.app).sign_in(name) for name in ("Bea", "Cid", "Dan")]
    bea = next(one for one in sessions_of(visitor.app).all() if one.who == "Bea")
    assert visitor.post("/panel/sessions/end", session=bea.id).status_code == 303
    assert [one.get("/panel/sessions").status_code for one in others] == [302, 200, 200]
    assert visitor.post("/panel/sessions/end", session="others").status_code == 303
    assert [one.get("/panel/sessions").status_code for one in others] == [302, 302, 302]
    assert visitor.get("/panel/sessions").status_code == 200
    assert (
        "had ended already"
        in visitor.client.post(
            "/panel/sessions/end",
            data={"session": bea.id, "csrf_token": visitor.token()},
            headers=PAGE,
            follow_redirects=True,
        ).text
    )


def test_signing_out_ends_the_session_and_not_only_the_cookie(visitor: Visitor) -> None:
    visitor.sign_in()
    kept = visitor.cookie
    assert visitor.post("/panel/sign-out").status_code == 303
    visitor.client.set_cookie("shardapi_panel", kept, path="/panel")
    assert visitor.get("/panel/sessions").status_code == 302


def test_sessions_survive_a_restart_and_are_of_one_guild(
    start_app: Callable[..., ShardApp], tmp_path: Any
) -> None:
    first = start_app(data_dir=tmp_path, env={"SHARDAPI_GUILD__ID": "1"})
    kept = Visitor(first).sign_in().cookie
    first.shard.close()
    for guild, code in (("1", 200), ("2", 302)):
        again = Visitor(start_app(data_dir=tmp_path, env={"SHARDAPI_GUILD__ID": guild}))
        again.client.set_cookie("shardapi_panel", kept, path="/panel")
        assert again.get("/panel/sessions").status_code == code


def test_a_restore_brings_no_session_and_no_link_back(
    start_app: Callable[..., ShardApp], tmp_path: Path
) -> None:
    file, where = str(tmp_path / "made.zip"), ("--data-dir", str(tmp_path / "data"))
    app = start_app(data_dir=tmp_path / "data")
    ann = Visitor(app).sign_in()
    ann.door.set_password(PASSWORD)
    link = ann.door.make_link()
    assert CliRunner().invoke(main, ["backup", file, *where]).exit_code == 0
    sessions_of(app).end_all()
    app.shard.close()
    assert CliRunner().invoke(main, ["restore", file, "--force", *where]).exit_code == 0
    again = Visitor(start_app(data_dir=tmp_path / "data"))
    again.client.set_cookie("shardapi_panel", ann.cookie, path="/panel")
    assert again.get("/panel/sessions").status_code == 302
    assert again.send(SIGN_IN, token=link).status_code == 401
    assert again.send(SIGN_IN, password=PASSWORD).status_code == 303
    shard = again.app.shard
    shard.writer.write(sessions_of(again.app)._clear)
    left = shard.store.read(lambda: (PanelSession.select().count(), PanelLink.select().count()))
    assert left == (1, 0)


def test_the_command_says_who_is_signed_in_or_that_nobody_is(visitor: Visitor) -> None:
    where = ("--data-dir", str(visitor.app.shard.store.folder))

    def run(*words: str) -> str:
        return CliRunner().invoke(main, ["panel", *words, *where]).stdout

    assert run("sessions") == "Nobody is signed in.\n" and run("sessions", "--json") == "[]\n"
    name = "\u200fعلی\u200cرضا"
    assert "/panel/sign-in#" in run("link", "--name", name) and run("link", "--name", "a\u0007b") == ""
    visitor.sign_in(name)
    assert run("sessions").endswith(f"  {name}\n")


def test_there_is_an_end_to_how_many_there_are(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardapi_panel.sessions.MOST_SESSIONS", 3)
    people = [Visitor(visitor.app).sign_in(name) for name in "abcd"]
    assert len(sessions_of(visitor.app).all()) == 3
    assert people[-1].get("/panel/sessions").status_code == 200


# -- streams


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here."""
    server = Server(tmp_path_factory.mktemp("served"))
    try:
        yield server.start()
    finally:
        server.stop()


class Reader:
    """Reads a stream of the panel until it ends; `ended` says when (0.0 for not yet)."""

    def __init__(self, server: Server, who: str) -> None:
        self.browser, self.seen, self.ended = browser_of(server, who), b"", 0.0
        address = urlsplit(server.url)
        self.socket = socket.create_connection((address.hostname, address.port), 30)
        cookie = self.browser.cookies.get("shardapi_panel", path="/panel")
        head = f"GET /panel/stream?types=config.* HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: shardapi_panel={cookie}"
        self.socket.sendall(f"{head}\r\n\r\n".encode())
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        server.wait(lambda: b": events of guild" in self.seen)
        assert b"200 OK" in self.seen and b"text/event-stream" in self.seen

    def _read(self) -> None:
        with suppress(OSError):
            while part := self.socket.recv(65_536):
                self.seen += part
        self.ended = time.monotonic()

    def close(self) -> None:
        """Leave."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()
        self.browser.close()


@pytest.fixture
def read(shard: Server) -> Iterator[Callable[[str], Reader]]:
    """Opens streams, each for somebody."""
    with ExitStack() as opened_here:

        def read_one(who: str) -> Reader:
            reader = Reader(shard, who)
            opened_here.callback(reader.close)
            return reader

        yield read_one


def test_an_event_comes_to_who_is_signed_in(shard: Server, read: Callable[[str], Reader]) -> None:
    reader = read("Ann")
    net = shard.net("Strike")
    shard.wait(lambda: net["netUid"].encode() in reader.seen)


def test_nobody_else_has_the_stream(shard: Server) -> None:
    for headers in ({}, {"Authorization": f"Bearer {shard.key()}"}):
        answer = requests.get(f"{shard.url}/panel/stream", headers=headers, timeout=10)
        assert answer.status_code == 401


def test_a_stream_closes_with_its_session(shard: Server, read: Callable[[str], Reader]) -> None:
    reader, other = read("Bea"), read("Cid")
    page = reader.browser.get(f"{shard.url}/panel/sessions", timeout=10)
    token = field_of(page.text)
    reader.browser.post(f"{shard.url}/panel/sign-out", data={"csrf_token": token}, timeout=10)
    shard.wait(lambda: reader.ended)
    assert not other.ended


def test_a_stream_closes_when_another_process_ends_its_session(
    shard: Server, read: Callable[[str], Reader]
) -> None:
    reader = read("Dan")
    (session,) = [one for one in shard.command("panel", "sessions") if one["name"] == "Dan"]
    shard.command("panel", "sessions", "--end", session["id"])
    shard.wait(lambda: reader.ended)
    answer = reader.browser.get(f"{shard.url}/panel/sessions", allow_redirects=False, timeout=10)
    assert answer.status_code == 302


def test_a_new_password_ends_every_session(shard: Server, read: Callable[[str], Reader]) -> None:
    reader = read("Eve")
    call = [sys.executable, "-m", "shardapi", "panel", "password", "--data-dir", str(shard.data_dir)]
    for given, status in (("short\n", 2), ("a good long password\n", 0)):
        done = subprocess.run(call, input=given, env=shard.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        assert given.strip() not in done.stdout + done.stderr
    shard.wait(lambda: reader.ended)
    assert shard.command("panel", "sessions") == []


def field_of(text: str) -> str:
    """The token for changes in a page."""
    return text.partition('name="csrf-token" content="')[2].partition('"')[0]

"""What HUP, KILL and a stop of the worker do to a running shard; what systemd is told of it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest
from askers import Crowd

from shardapi import config
from shardapi.board import BOOTING, REFUSED, Board
from shardapi.testing import Server

BREAKS_AT_ITS_START = "raise RuntimeError('out of order')\n"

AS_ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "shardapi", "serve"])
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file to be changed."""
    file = tmp_path / "shardapi.toml"
    file.write_text("")
    return file


@pytest.fixture
def server(start_shard: Callable[..., Server], settings: Path, tmp_path: Path) -> Server:
    """A shard that reads the file, and that is quick to find out that its worker hangs."""
    (tmp_path / "plugins").mkdir()
    env = {
        "SHARDAPI_SERVER__WATCHDOG_SECONDS": "10",  # more than a busy machine keeps it from running
        "SHARDAPI_PLUGINS__DIR": str(tmp_path / "plugins"),
        "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
    }
    return start_shard(env=env, arguments=["--config", str(settings)])


def hup(server: Server) -> None:
    """Ask for a reload."""
    os.kill(server.pid, signal.SIGHUP)


def lines(server: Server, words: str) -> list[str]:
    """What the log says of it."""
    return [line for line in server.log if words in line]


def test_hup_takes_new_settings_without_a_failed_request(server: Server, settings: Path) -> None:
    before = server.worker_pid
    with Crowd(server.url) as crowd:
        crowd.goes_on()
        settings.write_text("[guild]\nname = 'Renamed'\n")
        hup(server)
        server.wait(lambda: server.worker_pid not in (0, before), "another worker")
        server.wait(lambda: server.get("/status").json()["guildName"] == "Renamed", "the new name")
        server.wait(lambda: not Path(f"/proc/{before}").exists(), "the end of the old worker")
        crowd.goes_on()
    assert not crowd.failed
    assert not lines(server, "Traceback")


def test_hup_with_settings_that_cannot_be_used_changes_nothing(
    server: Server, settings: Path, tmp_path: Path
) -> None:
    worker, told = server.worker_pid, 0
    plugin = tmp_path / "plugins" / "broken.py"
    with Crowd(server.url) as crowd:
        for text, code, why in (
            ("[server]\nwings = 2\n", "", "unknown setting server.wings"),
            ("no TOML", "", "not valid TOML"),
            ("[plugins]\nenabled = ['nets', 'nothing_like_it']\n", "", "nothing_like_it"),
            ("", BREAKS_AT_ITS_START, "out of order"),
        ):
            settings.write_text(text)
            plugin.write_text(code) if code else plugin.unlink(missing_ok=True)
            hup(server)
            told += 1
            server.wait(lambda told=told: len(lines(server, "reload refused")) == told, "the refusal")
            assert why in lines(server, "reload refused")[-1]
            crowd.goes_on()
            assert server.worker_pid == worker
        plugin.unlink()
        hup(server)
        server.wait(lambda: server.worker_pid not in (0, worker), "another worker")
        crowd.goes_on()
    others = ("listens on", "There is no key", "blocked the loop")  # the last on a busy machine
    assert len(server.log) == told + sum(len(lines(server, words)) for words in others)


def test_a_reload_that_hangs_keeps_nobody_from_ending_it(server: Server, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "plugins" / "slow.py").write_text(
        f"open({str(begun)!r}, 'w')\nimport time\ntime.sleep(300)\n"
    )
    hup(server)
    server.wait(begun.exists, "the new worker to begin")
    assert server.get("/health").status_code == 200
    assert server.stop() == 0
    server.wait(lambda: lines(server, "reload refused"), "its log to be read")


def test_a_killed_worker_has_a_successor(server: Server) -> None:
    before = server.worker_pid
    os.kill(before, signal.SIGKILL)
    server.wait(lambda: server.worker_pid not in (0, before), "another worker")
    server.wait(lambda: server.get("/ws", key="").status_code != 503, "it to serve operators")


def test_a_worker_that_stands_still_is_ended_and_has_a_successor(server: Server) -> None:
    before = server.worker_pid
    os.kill(before, signal.SIGSTOP)
    server.wait(lambda: server.worker_pid not in (0, before), "another worker", 60)
    server.wait(lambda: server.get("/ws", key="").status_code != 503, "it to serve operators")
    assert lines(server, "WORKER TIMEOUT")


# -- under systemd


class Manager:
    """What systemd is to a service: a socket to tell it things, and one that stays open while it starts anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[str] = []
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(folder / "notify"))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = "http://{}:{}".format(*self.listener.getsockname())
        self.credentials = folder / "credentials"
        self.credentials.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the service as its unit does, and wait until it is ready."""
        with (self.folder / "log").open("ab") as log:
            self.process = self._run(log)
        self.hear("READY=1")

    def _run(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", AS_ACTIVATED, str(self.listener.fileno())],
            env={
                **os.environ,
                "SHARDAPI_DATA_DIR": str(self.folder / "data"),
                "NOTIFY_SOCKET": str(self.folder / "notify"),
                "WATCHDOG_USEC": "1000000",
                "CREDENTIALS_DIRECTORY": str(self.credentials),
            },
            pass_fds=[self.listener.fileno()],
            stderr=log,
        )

    def hear(self, words: str, seconds: float = 60) -> None:
        """Listen until it says that."""
        self.notified.settimeout(seconds)
        while True:
            said = self.notified.recv(4096).decode().splitlines()
            self.heard += said
            if words in said:
                return

    def stop(self) -> None:
        """End it and wait."""
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(20) == 0
            self.process = None

    def get(self, path: str) -> int:
        """The status of an answer."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        connection.close()
        return answer.status


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    with finishing(manager):
        manager.stop()


@contextmanager
def finishing(manager: Manager) -> Iterator[None]:
    """Close what it holds, whatever happens."""
    try:
        yield
    finally:
        if manager.process is not None:
            manager.process.kill()
            manager.process.wait()
        manager.notified.close()
        manager.listener.close()


def test_ready_is_told_when_operators_are_served_and_the_watchdog_is_fed(manager: Manager) -> None:
    manager.start()
    assert manager.heard == ["READY=1"]
    # Its unit has it wait for a second, and the settings have the server wait for thirty.
    manager.hear("WATCHDOG_USEC=60000000")
    assert manager.get("/ws") == 426
    manager.hear("WATCHDOG=1")
    manager.hear("WATCHDOG=1")
    assert manager.process is not None
    manager.process.send_signal(signal.SIGHUP)
    manager.hear("RELOADING=1")
    manager.hear("READY=1")
    assert manager.get("/health") == 200


def test_a_worker_that_stands_still_does_not_feed_the_watchdog(manager: Manager) -> None:
    manager.start()
    assert manager.process is not None
    pid = manager.process.pid
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            for _ in range(100):
                manager.hear("WATCHDOG=1", 2)
    finally:
        os.kill(int(worker), signal.SIGCONT)
    manager.hear("WATCHDOG=1")


def test_a_restart_behind_its_socket_fails_no_request(manager: Manager) -> None:
    manager.start()
    with Crowd(manager.url) as crowd:
        for _ in range(2):
            crowd.goes_on()
            manager.stop()
            manager.start()
        crowd.goes_on()
    assert not crowd.failed


def test_credentials_are_settings(manager: Manager) -> None:
    (manager.credentials / "SHARDAPI_GUILD__NAME").write_text("From a credential\n")
    (manager.credentials / "another.program").write_text("secret")
    environ = {"CREDENTIALS_DIRECTORY": str(manager.credentials)}
    assert config.load(environ=environ).guild.name == "From a credential"
    assert config.load(environ={**environ, "SHARDAPI_GUILD__NAME": "Mine"}).guild.name == "Mine"
    with pytest.raises(config.ConfigError, match="CREDENTIALS_DIRECTORY"):
        config.load(environ={"CREDENTIALS_DIRECTORY": str(manager.folder / "none")})


def test_a_board_keeps_one_line_of_any_length() -> None:
    board = Board()
    assert (board.state, board.reason) == (BOOTING, "")
    board.refuse("one\ntwo \0" + "ü" * 5000)
    assert board.state == REFUSED
    assert board.reason.startswith("one two üü") and len(board.reason.encode()) < 4096

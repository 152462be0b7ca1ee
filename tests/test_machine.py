"""A shard on a real machine: its units run under a systemd that boots, and nobody notices what is done to it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from machine import Machine, build

pytestmark = [
    pytest.mark.soak,
    pytest.mark.root,
    pytest.mark.debian("debootstrap", "systemd-nspawn", "nsenter"),
]

URL = "http://127.0.0.1:25588"
SETTINGS = "/etc/shardapi/shardapi.toml"
QUICK = "[server]\nwatchdog_seconds = 2\n[plugins]\ndir = '/etc/shardapi/plugins'\n"
HANGS = '''
"""Hangs the loop when asked to."""

from shardapi import PUBLIC, Answer, Routes, hookimpl

routes = Routes("hangs", "hangs")


@routes.get("/hangs", scope=PUBLIC)
def hangs() -> Answer:
    """Hang."""
    while True:
        pass


@hookimpl
def shardapi_blueprints(app):
    return [routes]
'''
ROUNDS = 5
Figure = Callable[[str, float, str], None]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One for all, a shard installed as the README has it, and running."""
    folder = tmp_path_factory.mktemp("machine")
    made = Machine(folder)
    made.make(build(folder))
    made.write("/etc/credstore/SHARDAPI_SIGNING_SECRET", "s" * 64, 0o600)
    with made as machine:
        install(machine)
        yield machine


def install(machine: Machine) -> None:
    """Run the command, and what it says is to be run."""
    said = machine.inside("/opt/shardapi/bin/shardapi", "install-systemd")
    machine.write(SETTINGS, QUICK)
    machine.write("/etc/shardapi/plugins/hangs.py", HANGS)
    commands = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    assert len(commands) == 4, said
    for command in commands[:-1]:
        machine.inside("sh", "-c", command)
    machine.inside("sh", "-c", commands[-1], check=False)  # the doctor, who finds no public URL


@contextmanager
def load(machine: Machine, figure: Figure, name: str) -> Iterator[None]:
    """Clients that ask all the while; none may fail."""
    program = [sys.executable, str(Path(__file__).with_name("askers.py")), URL]
    with subprocess.Popen(
        [*machine.entering("net"), "--", *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as crowd:
        time.sleep(1)
        yield
        time.sleep(1)
        said, _ = crowd.communicate(timeout=60)
    counted = json.loads(said)
    assert counted["failed"][:5] == []
    figure(f"machine.{name}.failed-requests", len(counted["failed"]), "== 0")
    figure(f"machine.{name}.requests", counted["done"], "> 200")


def get(machine: Machine, path: str) -> int:
    """The status of an answer, 0 if there is none."""
    code = f"import urllib.request as u; print(u.urlopen('{URL}{path}', timeout=10).status)"
    said = machine.inside("python3", "-c", code, check=False)
    return int(said) if said.isdecimal() else 0


def show(machine: Machine, name: str, unit: str = "shardapi.service") -> str:
    """A property of a unit."""
    return machine.inside("systemctl", "show", "--value", f"--property={name}", unit)


def worker(machine: Machine) -> str:
    """The process that answers, "" if there is none."""
    pid = show(machine, "MainPID")
    return machine.inside("sh", "-c", f"cat /proc/{pid}/task/{pid}/children", check=False).split(" ")[-1]


def send(machine: Machine, signal: str, pid: str) -> None:
    """Send a signal; such a machine has no program for it."""
    machine.inside("sh", "-c", f"kill -{signal} {pid}")


def eventually(probe: Callable[[], Any], seconds: float = 60) -> Any:
    """Ask until the answer is true."""
    until = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < until, "in vain"
        time.sleep(0.2)
    return answer


def entries(machine: Machine) -> list[dict[str, Any]]:
    """The log; each line of it is an object."""
    said = machine.inside("journalctl", "_SYSTEMD_UNIT=shardapi.service", "-o", "cat", "--no-pager", "-q")
    return [json.loads(line) for line in said.splitlines()]


def test_it_runs_as_a_user_of_its_own_with_its_secret_in_a_credential(
    machine: Machine, figure: Figure
) -> None:
    assert show(machine, "ActiveState") == "active" and get(machine, "/ready") == 200
    pid = show(machine, "MainPID")
    owner, group = machine.inside("stat", "-c", "%u %g", f"/proc/{pid}").split()
    assert owner != "0" and owner == group
    files = machine.inside("sh", "-c", "cd /var/lib/shardapi/ && stat -c '%n %u %a %F' *").splitlines()
    others = [line for line in files if line.split()[1] != owner or line.split()[2] not in ("600", "700")]
    figure("machine.files-open-to-others", len(others), "== 0")
    credential = "/run/credentials/shardapi.service/SHARDAPI_SIGNING_SECRET"
    assert machine.inside("cat", credential) == "s" * 64
    assert "s" * 64 not in machine.inside("sh", "-c", f"tr '\\0' '\\n' </proc/{pid}/environ")


def test_restarts_under_load_fail_no_request(machine: Machine, figure: Figure) -> None:
    with load(machine, figure, "restart"):
        for _ in range(ROUNDS):
            before = show(machine, "MainPID")
            machine.inside("systemctl", "restart", "shardapi")
            assert show(machine, "MainPID") != before
            time.sleep(0.5)


def test_reloads_under_load_fail_no_request(machine: Machine, figure: Figure) -> None:
    with load(machine, figure, "reload"):
        for _ in range(ROUNDS):
            before = worker(machine)
            machine.inside("systemctl", "reload", "shardapi")
            eventually(lambda before=before: worker(machine) not in ("", before))
            eventually(lambda: show(machine, "ActiveState") == "active")


def test_settings_that_cannot_be_used_fail_the_reload_and_nothing_else(
    machine: Machine, figure: Figure
) -> None:
    before = worker(machine)
    machine.write(SETTINGS, "[server]\nwings = 2\n")
    with load(machine, figure, "refused-reload"):
        assert "failed" in machine.inside("systemctl", "reload", "shardapi", check=False)
        send(machine, "HUP", show(machine, "MainPID"))
        eventually(lambda: any("reload refused" in one.get("message", "") for one in entries(machine)))
    machine.write(SETTINGS, QUICK)
    assert worker(machine) == before and show(machine, "ActiveState") == "active"


def test_what_is_killed_comes_back(machine: Machine, figure: Figure) -> None:
    before, began = worker(machine), time.monotonic()
    send(machine, "KILL", before)
    eventually(lambda: worker(machine) not in ("", before) and get(machine, "/ready") == 200)
    figure("machine.killed-worker.back-after-s", time.monotonic() - began, "<= 30")
    pid, restarts = show(machine, "MainPID"), int(show(machine, "NRestarts"))
    began = time.monotonic()
    send(machine, "KILL", pid)
    eventually(lambda: show(machine, "MainPID") not in ("0", pid) and get(machine, "/ready") == 200)
    figure("machine.killed-service.back-after-s", time.monotonic() - began, "<= 30")
    assert int(show(machine, "NRestarts")) == restarts + 1


def test_a_loop_that_hangs_is_ended_and_comes_back(machine: Machine, figure: Figure) -> None:
    before, pid, began = worker(machine), show(machine, "MainPID"), time.monotonic()
    assert get(machine, "/api/v1/hangs") == 0
    eventually(lambda: worker(machine) not in ("", before) and get(machine, "/ready") == 200)
    figure("machine.hung-loop.back-after-s", time.monotonic() - began, "<= 30")
    assert show(machine, "MainPID") == pid, "the service itself has seen to it"
    assert any("plugin hangs: hangs" in one.get("message", "") for one in entries(machine))


def test_what_stands_still_is_ended_and_comes_back(machine: Machine, figure: Figure) -> None:
    before, pid = worker(machine), show(machine, "MainPID")
    began = time.monotonic()
    send(machine, "STOP", before)
    eventually(lambda: worker(machine) not in ("", before) and get(machine, "/ready") == 200)
    figure("machine.stopped-worker.back-after-s", time.monotonic() - began, "<= 30")
    assert show(machine, "MainPID") == pid, "the service itself has seen to it"
    machine.write("/etc/systemd/system/shardapi.service.d/quick.conf", "[Service]\nWatchdogSec=4\n")
    machine.inside("systemctl", "daemon-reload")
    machine.inside("systemctl", "restart", "shardapi")
    time.sleep(6)
    pid = show(machine, "MainPID")
    assert show(machine, "ActiveState") == "active" and get(machine, "/ready") == 200
    began = time.monotonic()
    send(machine, "STOP", pid)
    eventually(lambda: show(machine, "MainPID") not in ("0", pid) and get(machine, "/ready") == 200)
    figure("machine.stopped-service.back-after-s", time.monotonic() - began, "<= 30")


def test_backups_are_made_by_the_timer_and_are_whole(machine: Machine, figure: Figure) -> None:
    often = "[Timer]\nOnCalendar=\nOnCalendar=*:*:00/3\nRandomizedDelaySec=0\nAccuracySec=100ms\n"
    machine.write("/etc/systemd/system/shardapi-backup.timer.d/often.conf", often)
    machine.inside("systemctl", "daemon-reload")
    machine.inside("systemctl", "restart", "shardapi-backup.timer")

    def made() -> list[str]:
        return machine.inside("sh", "-c", "ls /var/lib/shardapi-backups/*", check=False).split()

    files = eventually(lambda: found if len(found := made()) >= 2 and "such" not in found else None)
    machine.inside("systemctl", "stop", "shardapi-backup.timer")
    for file in files:
        machine.inside("/opt/shardapi/bin/shardapi", "restore", "--check", file)
    figure("machine.backups-whole", len(files), ">= 2")
    assert show(machine, "Result", "shardapi-backup.service") == "success"
    assert get(machine, "/ready") == 200


def test_a_second_shard_stands_beside_it(machine: Machine, figure: Figure) -> None:
    machine.write("/etc/shardapi/two.toml", "[guild]\nname = 'Two'\n")
    machine.inside("systemctl", "enable", "--now", "shardapi@two", "shardapi-backup@two.timer")
    ask = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/shardapi-two.sock');"
        "s.sendall(b'GET /ready HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'); print(s.recv(100))"
    )
    assert "200 OK" in machine.inside("python3", "-c", ask)
    machine.inside("systemctl", "start", "shardapi-backup@two")
    made = machine.inside("sh", "-c", "ls /var/lib/shardapi-backups-two/*").splitlines()
    figure("machine.backups-of-the-second", len(made), "== 1")
    assert get(machine, "/ready") == 200


def test_every_line_of_the_journal_is_an_object_with_its_priority(machine: Machine, figure: Figure) -> None:
    assert {"shardapi.request", "gunicorn.error"} <= {one["logger"] for one in entries(machine)}
    said = machine.inside("journalctl", "_SYSTEMD_UNIT=shardapi.service", "-o", "json", "--no-pager", "-q")
    wrong = 0
    for line in said.splitlines():
        record = json.loads(line)
        level = json.loads(record["MESSAGE"])["level"]
        wrong += record["PRIORITY"] != {"critical": "2", "error": "3", "warning": "4", "info": "6"}[level]
    figure("machine.lines-of-another-priority", wrong, "== 0")

"""The demo as an owner starts it: alive at once, and gone without a trace."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from demos import Demo, descendants

from shardapi.testing import STOP_SECONDS

ALIVE_SECONDS = {"ci": 9.0, "soak": 3.0}  # the first beside other tests
Start = Callable[..., Demo]


def alive(pids: list[int]) -> list[int]:
    """Those that run."""
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and "Z" not in state(pid)]


def state(pid: int) -> str:
    """R, S, Z, … or "Z" for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def events(stream: requests.Response) -> Iterator[dict[str, Any]]:
    """What a stream says."""
    for line in stream.iter_lines():
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts demos: call it with arguments; they end with the test."""
    started: list[Demo] = []

    def begin(*arguments: str) -> Demo:
        started.append(Demo(tmp_path, *arguments))
        return started[-1]

    yield begin
    for demo in started:
        demo.end()


def test_status_roster_and_stream_are_alive_within_three_seconds(
    start: Start, size: str, figure: Callable[[str, float, str], None]
) -> None:
    figure("demo-alive-seconds", seconds_to_life(start()), f"<= {ALIVE_SECONDS[size]:g}")


def seconds_to_life(demo: Demo) -> float:
    """Seconds from the start until someone is heard on the stream, and the status and the roster are full."""
    with demo.get("/stream?types=ptt.*", stream=True) as stream:
        next(event for event in events(stream) if event["type"] == "ptt.start")
    status, operators = demo.get("/status").json(), demo.get("/roster").json()["operators"]
    seconds = time.monotonic() - demo.began
    assert status["operationOpen"] and status["connected"] > 2 and len(status["nets"]) == 6
    assert len(operators) > 2
    assert all(one["nets"] and one["displayName"] for one in operators)
    demo.end()
    return seconds


def test_operators_come_talk_and_move(start: Start) -> None:
    demo = start("--seed", "4", "--operators", "12")
    wanted = {"user.joined", "ptt.start", "ptt.stop", "assignments.changed"}
    seen: set[str] = set()
    with demo.get("/stream", stream=True) as stream:
        for event in events(stream):
            seen.add(event["type"])
            if wanted <= seen:
                break
            assert time.monotonic() - demo.began < 40, seen
    demo.wait(lambda: 8 <= demo.get("/status").json()["connected"] <= 12)


def test_what_is_printed_works(start: Start) -> None:
    demo = start("--operators", "1")
    manual, document = re.findall(r"^  (http\S+)$", demo.said, re.M)
    assert requests.get(manual, timeout=10).headers["Content-Type"].startswith("text/html")
    assert requests.get(document, timeout=10).json()["openapi"].startswith("3.1")
    tail = re.search(r"^  shardapi (tail .*)$", demo.said, re.M)
    assert tail is not None
    demo.wait(lambda: demo.get("/roster").json()["operators"])
    call = [sys.executable, "-m", "shardapi", *tail[1].split(), "--no-follow"]
    said = subprocess.run(call, capture_output=True, text=True, timeout=60).stdout
    assert "Anvil 1" in said
    panel = re.search(r"^  (SHARDAPI_SERVER__BIND)=(\S+) shardapi (panel .*)$", demo.said, re.M)
    assert panel is not None
    call = [sys.executable, "-m", "shardapi", *panel[3].split()]
    environ = {**os.environ, panel[1]: panel[2]}
    link = subprocess.run(call, capture_output=True, text=True, timeout=60, env=environ).stdout
    assert link.startswith(f"{demo.url}/panel/sign-in#")
    assert requests.get(link.strip(), timeout=10).headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_of_it(start: Start, number: signal.Signals, tmp_path: Path) -> None:
    demo = start("--operators", "5")
    demo.wait(lambda: demo.get("/roster").json()["operators"])
    family = demo.family
    assert len(family) == 2
    assert [path.name.startswith("shardapi-demo-") for path in tmp_path.iterdir()] == [True]
    demo.process.send_signal(number)
    _, errors = demo.process.communicate(timeout=STOP_SECONDS)
    assert (demo.process.returncode, errors) == (0, "")
    assert alive(family) == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_on_a_terminal_reaches_the_whole_group_and_may_be_pressed_twice(start: Start) -> None:
    demo = start()
    demo.wait(lambda: demo.get("/roster").json()["operators"])
    family = demo.family
    os.killpg(demo.process.pid, signal.SIGINT)
    os.killpg(demo.process.pid, signal.SIGINT)
    _, errors = demo.process.communicate(timeout=STOP_SECONDS)
    assert (demo.process.returncode, errors) == (0, "")
    assert alive(family) == []


def test_a_killed_demo_leaves_no_process(start: Start) -> None:
    demo = start("--operators", "2")
    family = demo.family
    demo.kill()
    demo.wait(lambda: not alive(family), STOP_SECONDS)


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.35, 0.5, 0.65])
def test_a_signal_while_it_starts_ends_it_too(seconds: float, tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    call = [sys.executable, "-m", "shardapi", "demo", "--bind", "127.0.0.1:0"]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, env=environ, start_new_session=True) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            family = descendants(process.pid)
            process.terminate()
            assert process.wait(STOP_SECONDS) in (0, -signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while alive(family):
                assert time.monotonic() < deadline
                time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []


CUT_OFF = """
import asyncio, os, signal
from shardapi.simulation.demo import run

begin = asyncio.create_subprocess_exec

async def begin_and_be_cut_off(*call, **options):
    server = await begin(*call, **options)
    os.kill(os.getpid(), signal.SIGTERM)
    return server

asyncio.create_subprocess_exec = begin_and_be_cut_off
run(1, 1, "127.0.0.1:0", None)
"""


def test_a_signal_at_the_moment_the_server_is_begun_ends_it_too(tmp_path: Path) -> None:
    call, environ = [sys.executable, "-c", CUT_OFF], {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, env=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_given_folder_is_kept_and_used_again(start: Start, tmp_path: Path) -> None:
    uids = []
    for _ in range(2):
        demo = start("--operators", "6", "--data-dir", str(tmp_path / "data"))
        demo.wait(lambda demo=demo: len(demo.get("/roster").json()["operators"]) >= 4)  # type: ignore[misc]
        uids.append([net["uid"] for net in demo.get("/status").json()["nets"]])
        demo.end()
    assert uids[0] == uids[1] and len(uids[0]) == 6
    assert (tmp_path / "data" / "shard.sqlite3").exists()


def test_a_taken_port_is_told_in_one_line(start: Start, tmp_path: Path) -> None:
    demo = start("--operators", "1")
    environ = {**os.environ, "TMPDIR": str(tmp_path / "other")}
    (tmp_path / "other").mkdir()
    call = [sys.executable, "-m", "shardapi", "demo", "--bind", demo.url.removeprefix("http://")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, env=environ)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot listen on 127.0.0.1:") and done.stderr.count("\n") == 1
    assert list((tmp_path / "other").iterdir()) == []

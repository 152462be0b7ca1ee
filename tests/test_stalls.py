"""What blocks the loop: named while the shard lives on, ended by the watchdog when it does not come back."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent.hub
import pytest
import requests

from shardapi import stalls
from shardapi.installed import UNDER_WAY, blaming
from shardapi.stalls import Culprit, Look, blamed, impatient
from shardapi.testing import Server

GREENLETS: list[Any] = [object(), object(), object()]  # the first frames of their stacks

BLOCKER = '''
import time

from shardapi import Answer, Query, Routes, ShardApp, hookimpl

routes = Routes("blocker", __name__, scopes={"write:blocks": "stand in the way"})

class Asked(Query, kw_only=True):
    how: str
    seconds: float = 0

@routes.get("/block", scope="write:blocks")
def block(query: Asked) -> Answer:
    """Stand in the way."""
    HOW[query.how](query.seconds)
    return Answer()

def compute(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))

def compute_whatever_comes(seconds):
    while True:
        try:
            compute(1000)
        except BaseException:
            pass

def hold(seconds):
    sum(range(10**13))  # never lets go of the interpreter

def hold_for_a_while(seconds):
    began = time.monotonic()
    sum(range(10**6))
    sum(range(int(10**6 * seconds / (time.monotonic() - began))))

def share(seconds):
    import gevent
    gevent.joinall([gevent.spawn(bit, time.monotonic() + seconds) for _ in range(400)])

def bit(until):
    import gevent
    while time.monotonic() < until:
        compute(0.001)
        gevent.sleep(0)

HOW = {"compute": compute, "whatever": compute_whatever_comes, "hold": hold, "while": hold_for_a_while, "share": share}

@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [routes]
'''


def look(blocked: float, greenlet: int, function: str, line: int = 1, file: str = "x.py") -> Look:
    """A look at somebody's function in a greenlet."""
    return Look(blocked, GREENLETS[greenlet], Culprit("guest", function, file, line))


@pytest.mark.parametrize(
    ("looks", "function"),
    [
        ([], None),
        ([look(0.15, 0, "slow", 1), look(0.25, 0, "slow", 2), look(0.35, 0, "send")], "slow"),
        ([look(0.15, 0, "slow"), look(0.25, 0, "slow"), look(0.35, 1, "other")], "slow"),
        ([look(0.15, 0, "one"), look(0.25, 1, "two"), look(0.35, 2, "three")], None),
        ([look(0.9, 0, "held")], "held"),
        ([look(0.9, 0, "held"), look(1.0, 1, "other"), look(1.1, 1, "other")], "held"),
        (
            [look(0.15, 0, "run", file=gevent.hub.__file__), look(0.25, 0, "run", file=gevent.hub.__file__)],
            None,
        ),
    ],
    ids=["none seen", "one function", "one greenlet most", "many", "held", "held, then another", "the hub"],
)
def test_who_is_blamed(looks: list[Look], function: str | None) -> None:
    who = blamed(looks)
    assert (who and who.function) == function


def test_what_keeps_the_start_waiting_is_named_while_it_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stalls, "HUNG_SECONDS", 0.01)
    ends = time.monotonic() + 10
    with impatient(UNDER_WAY):
        time.sleep(0.1)
        assert caplog.records == []  # nobody's code
        with blaming("visitor", "failed"), blaming("guest", "failed"):
            while not caplog.records and time.monotonic() < ends:
                time.sleep(0.01)
    assert caplog.records and not UNDER_WAY
    assert caplog.records[0].getMessage().startswith("plugin guest has kept the start waiting for up to ")


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with a plugin that stands in the way when asked to, watched by an impatient watchdog."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "blocker.py").write_text(BLOCKER)
    (folder / "broken.py").write_text("raise OSError('no luck')")
    env = {
        "SHARDAPI_PLUGINS__DIR": str(folder),
        "SHARDAPI_PLUGINS__ON_ERROR": "skip",
        "SHARDAPI_SERVER__WATCHDOG_SECONDS": "3",
    }
    server = Server(tmp_path_factory.mktemp("shard"), env)
    try:
        yield server.start()
    finally:
        server.kill()


def lines(server: Server, pattern: str) -> list[str]:
    """The lines of its log that say so."""
    return [line for line in server.log if re.search(pattern, line)]


def logged(server: Server) -> list[tuple[str, str, str]]:
    """Whom its events are about, their types, and their reasons."""
    call = [sys.executable, "-m", "shardapi", "tail", "--no-follow", "--last", "1000", "--json"]
    done = subprocess.run(
        [*call, "--data-dir", str(server.data_dir)], env=server.env, capture_output=True, check=True
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    said = [(one["data"], one["type"]) for one in events]
    return [(data.get("userId", ""), type_, data.get("reason", "")) for data, type_ in said]


def problems(server: Server, plugin: str) -> list[dict[str, Any]]:
    """What /ready tells of a plugin."""
    answer = server.get("/ready", key="")
    assert answer.status_code == 200
    return [one for one in answer.json()["problems"] if one["plugin"] == plugin]


def test_a_server_runs_without_a_plugin_that_cannot_be_loaded_and_says_so(blocked: Server) -> None:
    line = "plugin broken: cannot be loaded: OSError('no luck'); the shard runs without it"
    assert [one.split("ERROR    ")[-1] for one in blocked.log if "no luck" in one] == [line]
    ((where, what),) = ((one["where"], one["what"]) for one in problems(blocked, "broken"))
    assert (where, what) == ("start", "cannot be loaded")
    scraped = blocked.get("/metrics/prometheus").text
    assert 'shardapi_plugin_errors_total{plugin="broken",where="start"} 1.0' in scraped


def test_what_blocks_the_loop_is_named_with_its_place_and_how_long(blocked: Server) -> None:
    assert blocked.get("/block?how=compute&seconds=0.8").status_code == 200
    said = r"plugin blocker: compute blocked the loop for \d\.\d s \(.*blocker\.py:(\d+)\)"
    (line,) = blocked.wait(lambda: lines(blocked, said), "the line that names it")
    found = re.search(said, line)
    assert found and BLOCKER.split("\n")[int(found[1]) - 1].strip() in (
        "while time.monotonic() < until:", "sum(range(1000))",
    )  # fmt: skip
    (problem,) = problems(blocked, "blocker")
    assert problem["where"] == "loop"
    assert problem["what"] == "compute blocked the loop" and "blocker.py" not in str(problem)
    blocked.get("/block?how=compute&seconds=0.5")
    blocked.wait(lambda: problems(blocked, "blocker")[0]["count"] == 2, "the second time")
    assert len(lines(blocked, said)) == 1  # one line a minute


def test_what_holds_the_interpreter_for_a_while_is_named_too(blocked: Server) -> None:
    said = r"plugin blocker: (hold_for_a_while|block) blocked the loop for \d+\.\d s"

    def named() -> list[str]:
        """Whether it is, this time: where others have the processor for most of it, nobody can tell."""
        assert blocked.get("/block?how=while&seconds=0.8").status_code == 200
        return lines(blocked, said)

    assert blocked.wait(named, "the line that names it")


def test_many_that_share_the_loop_are_not_blamed(blocked: Server) -> None:
    def named() -> int:
        """How often somebody has been by now."""
        assert blocked.get("/status").status_code == 200
        time.sleep(0.3)  # as long as it takes
        return len(lines(blocked, "blocked the loop"))

    before = named()
    assert blocked.get("/block?how=share&seconds=1.0").status_code == 200
    assert named() == before


@pytest.mark.parametrize("how", ["compute", "hold", pytest.param("whatever", marks=pytest.mark.soak)])
def test_a_plugin_that_never_comes_back_is_ended_and_a_new_worker_serves(
    blocked: Server, how: str, figure: Callable[[str, float, str], None]
) -> None:
    operator, net = blocked.operator(how), blocked.net(how)["netUid"]
    blocked.post("/assignments", {"userId": how, "netUid": net})
    blocked.post("/operation", {"open": True})
    operator.send(type="ptt.start", netUid=net)
    operator.expect("ptt.start")
    blocked.wait(lambda: (how, "ptt.start", "") in logged(blocked), "it to be on disk")
    before = blocked.worker_pid
    hang = threading.Thread(target=_hang, args=(blocked, how))
    hang.start()
    blocked.wait(lambda: blocked.worker_pid not in (0, before), "another worker", 90)
    blocked.wait(lambda: blocked.get("/ws", key="").status_code != 503, "it to serve operators", 90)
    hang.join(40)
    figure(f"stalls.{how}.requests-that-hang", hang.is_alive(), "== 0")
    assert [one for one in logged(blocked) if one[0] == how and one[1] != "assignments.changed"] == [
        (how, "user.joined", ""),
        (how, "ptt.start", ""),
        (how, "ptt.stop", "restart"),
        (how, "user.left", "restart"),
    ]
    assert lines(blocked, "WORKER TIMEOUT") and lines(blocked, r"blocker\.py.* in (compute|hold)$")
    if how == "compute":
        assert lines(
            blocked,
            r"plugin blocker: compute \(.*blocker\.py:\d+\) has blocked the loop for \d s, so this worker ends",
        )
    blocked.log.clear()


def _hang(server: Server, how: str) -> None:
    try:
        server.get(f"/block?how={how}&seconds=1000", timeout=40)
    except requests.RequestException:
        pass  # its worker was ended

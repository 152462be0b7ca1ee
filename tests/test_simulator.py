"""Simulated operators: what a script stands for, that a seed decides it all, and that a real shard agrees."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from shardapi.cli.simulate import simulate
from shardapi.simulation import speech
from shardapi.simulation.radio import Refused
from shardapi.simulation.rehearsal import Rehearsal
from shardapi.simulation.scene import Scene
from shardapi.simulation.script import ScriptError, Step, parse
from shardapi.simulation.simulator import Done, Simulator
from shardapi.testing import STOP_SECONDS, Server

Play = Callable[..., Rehearsal]

CAST = """
[operators.viper]
name = "Viper 1"
[operators.raven]
[operators.ghost]
"""
EVENING = f"""
seed = 5
{CAST}
[[steps]]
at = 0
join = ["viper", "raven", "ghost"]
[[steps]]
at = 0.1
assign = ["viper", "raven", "ghost"]
net = "Strike"
[[steps]]
at = 0.2
talk = "viper"
net = "Strike"
seconds = 0.3
[[steps]]
at = 1
chat = ["viper", "raven", "ghost"]
net = "Strike"
seconds = 25
[[steps]]
at = 27
unassign = "raven"
net = "Strike"
[[steps]]
at = 28
leave = ["raven", "viper"]
"""
POSTS = {
    "1": ["Command", "Strike"],
    "2": ["Strike"],
    "3": ["Strike"],
    "4": ["Air"],
    "5": ["Air"],
    "6": ["Recon"],
}


@pytest.fixture
def net(shard: Server) -> Iterator[dict[str, Any]]:
    """The net Strike of an open operation, gone with the test."""
    shard.post("/operation", {"open": True})
    made = shard.net("Strike")
    yield made
    shard.post("/nets/remove", {"netUid": made["netUid"]})


def roster(shard: Server) -> dict[str, Any]:
    """Who is connected, by user id."""
    return {one["userId"]: one for one in shard.get("/roster").json()["operators"]}


def events(server: Server, wanted: str = "*") -> list[dict[str, Any]]:
    """The whole log."""
    call = ["tail", "--no-follow", "--json", "-n", "1000000", "--types", wanted]
    call = [sys.executable, "-m", "shardapi", *call, "--data-dir", str(server.data_dir)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(event: dict[str, Any]) -> tuple[str, str, int]:
    """What of an event a seed decides."""
    data = event["data"]
    return event["type"], data.get("userId", ""), data.get("netId", 0)


# -- scripts


def test_a_script_is_the_same_in_toml_and_json() -> None:
    as_json = {
        "operators": {"viper": {"name": "Viper 1"}},
        "steps": [{"at": 0, "join": "viper"}, {"at": 1.5, "talk": "viper", "net": 3, "seconds": 2}],
    }
    as_toml = """
        steps = [{at = 0, join = "viper"}, {at = 1.5, talk = ["viper"], net = "3", seconds = 2.0}]
        [operators.viper]
        name = "Viper 1"
    """
    plan = parse(json.dumps(as_json)).plan()
    assert plan == parse(as_toml).plan()
    assert [(step.at, step.do, step.net) for step in plan] == [
        (0, "join", ""),
        (1.5, "key", "3"),
        (3.5, "release", "3"),
    ]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ('{at = 0, join = "nobody"}', "steps[0]: there is no operator nobody"),
        ('{at = 0, join = "viper", leave = "viper"}', "say exactly one of join, leave, talk"),
        ("{at = 0}", "say exactly one of"),
        ('{join = "viper"}', "missing required field `at`"),
        ('{at = -1, join = "viper"}', "`float` >= 0"),
        ('{at = 0, talk = "viper"}', "talk needs a net"),
        ('{at = 0, join = "viper", net = "Strike"}', "join needs no net"),
        ('{at = 0, leave = "viper", seconds = 3}', "leave takes no time"),
        ('{at = 0, jion = "viper"}', "unknown field `jion`"),
        ("{at = 0, ", "Invalid"),
    ],
)
def test_a_script_that_cannot_be_played_says_where(steps: str, says: str) -> None:
    with pytest.raises(ScriptError) as refused:
        parse(f"steps = [{steps}]\n[operators.viper]\n")
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_a_seed_decides_everything() -> None:
    script = parse(EVENING)
    assert script.plan() == script.plan(5) == parse(EVENING).plan()
    assert script.plan(6) != script.plan(5)
    scenes = [list(islice(Scene(seed, POSTS).steps(), 2000)) for seed in (1, 1, 2)]
    assert scenes[0] == scenes[1] != scenes[2]


# -- believable


@pytest.mark.parametrize("seed", range(20))
def test_people_take_turns(seed: int) -> None:
    rng = Random(seed)
    for count in (2, 3, 8):
        turns = speech.exchange(rng, [str(number) for number in range(count)])
        assert 2 <= len(turns) <= 6
        assert all(one != next for one, next in pairwise(turns))
    said = list(speech.conversation(rng, ["1", "2", "3"], 300))
    assert len(said) > 30
    assert all(end < begin for (_, end, _), (begin, _, _) in pairwise(said))
    assert all(0.599 <= end - begin <= 12.001 and end <= 300 for begin, end, _ in said)


def test_talk_lasts_as_long_as_speech_does() -> None:
    rng = Random(1)
    lengths = sorted(speech.utterance(rng) for _ in range(5000))
    assert 1.9 < lengths[2500] < 2.5
    assert 3.5 < lengths[4500] < 5.5


@pytest.mark.parametrize("seed", range(10))
def test_the_demos_plot_is_possible_and_never_dull(seed: int) -> None:
    where = {user: set(nets) for user, nets in POSTS.items()}
    here: set[str] = set()
    keyed: dict[str, str] = {}
    counts = dict.fromkeys(("join", "leave", "key", "release", "assign", "unassign"), 0)
    last, quiet = 0.0, 0.0
    for step in islice(Scene(seed, POSTS).steps(), 5000):
        assert step.at >= last
        quiet = max(quiet, step.at - last)
        last = step.at
        counts[step.do] += 1
        match step.do:
            case "join":
                assert step.user not in here
                here.add(step.user)
            case "leave":
                assert step.user in here and step.user not in keyed
                here.discard(step.user)
            case "key":
                assert step.user in here and step.net in where[step.user] and step.user not in keyed
                assert step.net not in keyed.values()
                keyed[step.user] = step.net
            case "release":
                assert keyed.pop(step.user) == step.net
            case "assign":
                assert step.user in here and step.user not in keyed and step.net not in where[step.user]
                where[step.user].add(step.net)
            case "unassign":
                where[step.user].remove(step.net)
    assert min(counts.values()) > 10
    assert quiet < 45


# -- at a real shard


@pytest.fixture(scope="module")
def evenings(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """What two new shards logged of the same evening."""
    logs = []
    file = tmp_path_factory.mktemp("script") / "evening.toml"
    file.write_text(EVENING)
    for _ in range(2):
        server = Server(tmp_path_factory.mktemp("shard"), {"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"})
        try:
            server.start()
            server.post("/operation", {"open": True})
            server.net("Strike")
            call = ["simulate", "--url", server.url, "--script", str(file), "--seed", "11", "--speed", "6"]
            call = [sys.executable, "-m", "shardapi", *call, "--data-dir", str(server.data_dir)]
            done = subprocess.run(call, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
            server.wait(lambda server=server: not roster(server), "everyone to leave")  # type: ignore[misc]
            logs.append(events(server))
            keys = server.command("keys", "list")
            assert [key["state"] for key in keys if key["name"] == "simulator"] == ["revoked"]
        finally:
            server.kill()
    return logs


def test_the_same_seed_makes_the_same_events(evenings: list[list[dict[str, Any]]]) -> None:
    first, second = ([told(event) for event in log] for log in evenings)
    assert first == second
    assert len(first) > 20


def test_the_events_are_those_of_the_script(evenings: list[list[dict[str, Any]]]) -> None:
    kinds = {"key": "ptt.start", "release": "ptt.stop", "join": "user.joined", "leave": "user.left"}
    plan = [
        (kinds.get(step.do, "assignments.changed"), step.user, 0 if step.net == "" else 1)
        for step in parse(EVENING).plan(11)
    ]
    ghost_leaves_last = ("user.left", "ghost", 0)
    logged = [told(event) for event in evenings[0] if event["data"].get("userId")]
    assert logged == [*plan, ghost_leaves_last]
    stops = [event["data"] for event in evenings[0] if event["type"] == "ptt.stop"]
    assert {stop["reason"] for stop in stops} == {"released"}
    assert [stop["displayName"] for stop in stops][0] == "Viper 1"


def test_a_bot_is_tested_against_a_script(shard: Server, net: dict[str, Any], simulator: Play) -> None:
    script = f"""
        {CAST}
        [[steps]]
        at = 0
        join = ["viper", "raven"]
        [[steps]]
        at = 0
        assign = "viper"
        net = {net["netId"]}
        [[steps]]
        at = 0.1
        talk = "viper"
        net = "{net["netUid"]}"
        seconds = 600
    """
    rehearsal = simulator(script)
    talking = lambda: roster(shard).get("viper", {}).get("transmitting")  # noqa: E731
    shard.wait(talking, "Viper to talk")
    assert roster(shard)["viper"]["displayName"] == "Viper 1"
    assert roster(shard)["raven"]["displayName"] == "raven"
    with pytest.raises(TimeoutError):
        rehearsal.wait(0.01)
    rehearsal.stop()
    shard.wait(lambda: not roster(shard), "everyone to leave")


def test_who_has_joined_stays_when_the_script_is_over(shard: Server, simulator: Play) -> None:
    simulator('steps = [{at = 0, join = ["raven", "ghost"]}, {at = 0, leave = "ghost"}]' + CAST).wait()
    assert list(roster(shard)) == ["raven"]


def test_a_refused_step_is_told_and_the_rest_goes_on(
    shard: Server, net: dict[str, Any], simulator: Play
) -> None:
    talk = '{at = 0, talk = "viper", net = "Strike", seconds = 0.01}'
    away = '{at = 0, talk = "raven", net = "Strike", seconds = 0.01}'
    nowhere = '{at = 0, assign = "viper", net = "Nowhere"}'
    done = simulator(
        f'steps = [{{at = 0, join = "viper"}}, {talk}, {away}, {nowhere}, {{at = 0.1, leave = "viper"}}]'
        + CAST
    )
    refusals = [refused for _, refused in done.wait(strict=False)]
    assert len(refusals) == 7
    assert "not on this net" in refusals[1]
    assert "not on the air" in refusals[2]
    assert "no active net Nowhere" in refusals[3]
    assert refusals[0] == refusals[-1] == ""
    with pytest.raises(Refused, match="viper could not key Strike"):
        done.wait()


@pytest.mark.parametrize("return_home", [True, False])
def test_who_is_thrown_out_comes_back_only_where_that_is_wanted(
    shard: Server, net: dict[str, Any], return_home: bool
) -> None:
    token = shard.command("operators", "token", "viper", "--name", "Viper")["token"]
    refusals = []

    def told(done: Done) -> None:
        refusals.append(done.refused)
        if done.step.do == "join":
            shard.post("/assignments", {"userId": "viper", "netUid": net["netUid"]})
            assert shard.post("/clients/disconnect", {"userId": "viper"}).status_code == 200

    script = parse(
        'steps = [{at = 0, join = "viper"}, {at = 5, talk = "viper", net = "Strike", seconds = 0.1}]' + CAST
    )
    simulator = Simulator(shard.url, {"viper": token}, told=told, return_home=return_home)
    asyncio.run(simulator.run(script.plan()))
    assert refusals == ["", *[("" if return_home else "viper is not on the air")] * 2]


def test_a_seed_of_the_fixture_wins_over_the_scripts(simulator: Play) -> None:
    script = 'seed = 1\nsteps = [{at = 900, talk = "viper", net = "Strike"}]' + CAST
    plans = [simulator(script, seed=seed).steps for seed in (None, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_tokens_of_the_script_need_no_data(shard: Server, tmp_path: Path) -> None:
    token = shard.command("operators", "token", "viper", "--name", "Brought")["token"]
    file = tmp_path / "script.json"
    steps = [{"at": 0, "join": "viper"}, {"at": 0.05, "leave": "viper"}]
    file.write_text(json.dumps({"operators": {"viper": {"token": token}}, "steps": steps}))
    call = [sys.executable, "-m", "shardapi", "simulate", "--url", shard.url, "--script", str(file)]
    done = subprocess.run([*call, "--json"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["do"] for line in done.stdout.splitlines()] == ["join", "leave"]
    assert [path.name for path in tmp_path.iterdir()] == ["script.json"]
    shard.wait(lambda: not roster(shard), "everyone to leave")


def test_who_is_terminated_has_everyone_leave_and_its_key_revoked(
    shard: Server, net: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "script.toml"
    assign = '{at = 0, assign = "viper", net = "Strike"}'
    talk = '{at = 0, talk = "viper", net = "Strike", seconds = 600}'
    file.write_text(f'steps = [{{at = 0, join = ["viper", "raven"]}}, {assign}, {talk}]' + CAST)
    call = ["simulate", "--url", shard.url, "--script", str(file), "--data-dir", str(shard.data_dir)]
    with subprocess.Popen([sys.executable, "-m", "shardapi", *call], stdout=subprocess.DEVNULL) as process:
        shard.wait(lambda: roster(shard).get("viper", {}).get("transmitting"), "Viper to talk")
        process.terminate()
        assert process.wait(STOP_SECONDS) == 1
    shard.wait(lambda: not roster(shard), "everyone to leave")
    keys = [key["state"] for key in shard.command("keys", "list") if key["name"] == "simulator"]
    assert keys and set(keys) == {"revoked"}


@pytest.mark.parametrize("url", ["shard:25588", "ftp://shard", "http://", "http://shard:x", "http://[::1"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    done = CliRunner().invoke(simulate, ["--url", url, "--script", "none.toml"])
    assert done.exit_code == 2
    assert f'not "{url}"' in done.output


def test_an_answer_that_is_no_shards_is_a_refusal() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    done: list[Done] = []
    with HTTPServer(("127.0.0.1", 0), Page) as site:
        Thread(target=site.handle_request).start()
        url = f"http://127.0.0.1:{site.server_port}"
        step = Step(at=0, do="assign", user="viper", net="Strike")
        asyncio.run(Simulator(url, {"viper": ""}, "scok_", done.append).run([step]))
    assert done[0].refused.startswith(f"cannot ask {url}")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("steps = []\n[operators.viper]", "operators.viper has no token"),
        ('steps = [{at = 0, assign = "a", net = 1}]\n[operators.a]\ntoken = "x"', "there is no key"),
        ("steps = 3", "Expected `array`"),
    ],
)
def test_what_is_missing_is_told_in_one_line(tmp_path: Path, script: str, says: str) -> None:
    file = tmp_path / "script.toml"
    file.write_text(script)
    call = [
        sys.executable,
        "-m",
        "shardapi",
        "simulate",
        "--url",
        "http://127.0.0.1:9",
        "--script",
        str(file),
    ]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr and done.stderr.count("\n") == 1

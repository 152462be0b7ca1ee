"""`shardapi tail`: what people see of the events, with a server and without one."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal import SHARDAPI, Terminal

from shardapi import ShardApp
from shardapi.cli.names import Names
from shardapi.cli.tail import Screen, Wanted
from shardapi.eventlog import Logged
from shardapi.events import Event, PttStop
from shardapi.testing import Operator, Server

Tail = Callable[..., list[str]]


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A shard after an evening, no longer running, and the uids of its nets by name."""
    server = Server(tmp_path_factory.mktemp("shard"))
    try:
        server.start()
        server.post("/operation", {"open": True})
        uids = {name: server.net(name)["netUid"] for name in ("Strike", "Recon", "Old")}
        for user, net in (("1", "Strike"), ("2", "Strike"), ("2", "Recon")):
            server.post("/assignments", {"userId": user, "netUid": uids[net]})
        ann, bob = server.operator("1", "Ann"), server.operator("2", "Bob")
        talk(ann, uids["Strike"])
        talk(bob, uids["Strike"])
        talk(bob, uids["Recon"])
        server.post("/nets/rename", {"netUid": uids["Recon"], "name": "Scouts"})
        server.post("/nets/remove", {"netUid": uids["Old"]})
        bob.send(type="ptt.start", netUid=uids["Strike"])
        bob.expect("ptt.start")
        server.post("/assignments", {"userId": "2", "netUid": uids["Strike"], "action": "unassign"})
        for one in (ann, bob):
            one.close()
        server.wait(lambda: not server.get("/roster").json()["operators"], "everyone to leave")
        server.stop()
        yield server, uids
    finally:
        server.kill()


def talk(operator: Operator, uid: str) -> None:
    """Key up and let go."""
    operator.send(type="ptt.start", netUid=uid)
    operator.expect("ptt.start")
    operator.send(type="ptt.stop", netUid=uid)
    operator.expect("ptt.stop")


@pytest.fixture
def tail(evening: tuple[Server, dict[str, str]]) -> Tail:
    """The lines that `tail` prints of the evening and ends."""

    def lines(*words: str) -> list[str]:
        call = [*SHARDAPI, "tail", "--no-follow", "-n", "1000", *words]
        call += ["--data-dir", str(evening[0].data_dir)]
        done = subprocess.run(call, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return lines


def sentences(lines: list[str]) -> list[str]:
    """What stands after the time."""
    return [re.sub(r"^20\S+Z  (\S+) +", r"\1 ", line) for line in lines]


def test_events_are_told_with_names(tail: Tail) -> None:
    said = [re.sub(r"\d+\.\d s", "0.0 s", one) for one in sentences(tail())]  # however long it took
    for sentence in (
        "operation.opened open=true, by test",
        "config.changed net.create Strike, version 2, by test",
        "assignments.changed Ann assigned to Strike, by test",
        "user.joined Ann on Strike",
        "user.joined Bob on Strike, Scouts",
        "ptt.start Ann on Strike",
        "ptt.stop Bob on Scouts, 0.0 s",
        "config.changed net.remove Old, version 9, by test",
        "ptt.stop Bob on Strike, 0.0 s, unassigned",
        "assignments.changed Bob unassigned from Strike, by test",
        "user.left Bob, closed",
    ):
        assert sentence in said, said


def test_a_line_begins_with_the_whole_time_where_it_is_no_terminal(tail: Tail) -> None:
    lines = tail()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  \S", line) for line in lines)
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("words", [["--net", "strike"], ["--net", "1"], ["--net", "UID"]])
def test_a_net_is_named_by_name_slot_or_uid(
    tail: Tail, evening: tuple[Server, dict[str, str]], words: list[str]
) -> None:
    uid = evening[1]["Strike"]
    said = sentences(tail(*(uid if word == "UID" else word for word in words)))
    assert all("Strike" in one for one in said)
    kinds = [one.split()[0] for one in said]
    assert kinds.count("ptt.stop") == 3 and kinds.count("user.joined") == 2
    assert "config.changed" in kinds and "user.left" not in kinds and "operation.opened" not in kinds


def test_a_net_that_was_renamed_or_removed_is_found(tail: Tail) -> None:
    assert sentences(tail("--net", "Old"))[-1].startswith("config.changed net.remove Old")
    assert any("ptt.stop Bob on Scouts" in one for one in sentences(tail("--net", "Scouts")))


def test_filters_hold_together(tail: Tail) -> None:
    said = sentences(tail("--types", "ptt.*, user.*", "--user", "bob", "--net", "Scouts"))
    assert [one.split()[0] for one in said] == ["user.joined", "ptt.start", "ptt.stop"]
    assert sentences(tail("--types", "ptt.start", "--user", "1")) == ["ptt.start Ann on Strike"]
    assert len(tail("--types", "ptt.start", "--user", "1", "--user", "2")) == 4
    assert len(tail("--types", "ptt.start", "--net", "Strike", "--net", "Scouts")) == 4


def test_the_last_ones_are_counted_after_the_filter(tail: Tail) -> None:
    assert sentences(tail("--types", "ptt.start", "-n", "2")) == [
        "ptt.start Bob on Scouts",
        "ptt.start Bob on Strike",
    ]
    assert tail("-n", "0") == []


def test_json_is_the_event_as_the_stream_has_it(tail: Tail, evening: tuple[Server, dict[str, str]]) -> None:
    (event,) = (json.loads(line) for line in tail("--json", "--types", "user.joined", "--user", "Ann"))
    assert event.keys() == {"id", "type", "guildId", "at", "data"}
    assert event["data"] == {"userId": "1", "displayName": "Ann", "transport": "ws", "nets": [1]}


def test_an_unknown_net_is_told_in_one_line(evening: tuple[Server, dict[str, str]]) -> None:
    call = [*SHARDAPI, "tail", "--no-follow", "--net", "Stirke", "--data-dir", str(evening[0].data_dir)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "Error: there is no net Stirke; there are: Strike, Scouts\n")


# -- on a terminal


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(
    evening: tuple[Server, dict[str, str]], env: dict[str, str], coloured: bool
) -> None:
    words = ("tail", "--no-follow", "-n", "1", "--data-dir", str(evening[0].data_dir))
    with Terminal(*words, env={"TERM": "xterm", "NO_COLOR": "", **env}) as terminal:
        terminal.until("user.left .*\n")
    assert ("\x1b[" in terminal.said) == coloured
    plain = re.sub(r"\x1b\[[\d;]*m", "", terminal.said)
    assert re.fullmatch(r"\w+, \d\d \w+ \d{4}\n\d\d:\d\d:\d\d  user.left +(Ann|Bob), closed\n", plain)


@pytest.mark.parametrize("name", ["\x1b[2Jgone", "a\nb", "\x9b31m", "a\u202eb"])
def test_a_name_cannot_move_the_cursor(app: ShardApp, capsys: pytest.CaptureFixture[str], name: str) -> None:
    screen = Screen(Names(app.shard))
    screen.colour = True
    data = {"userId": "1", "displayName": name, "reason": name, "nets": [], "x": name}
    for kind in ("user.joined", "user.left", "plugin.event"):
        screen.show({"at": "2026-01-02T03:04:05.678Z", "type": kind, "data": data})
    said = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert said.count("\n") == 3
    assert said.replace("\n", "").isprintable() and said.isascii()


def test_an_event_of_a_plugin_is_told_as_it_is(app: ShardApp, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"userId": "7", "keyId": "key_none", "disconnected": 2, "deep": {"a": [1]}}
    Screen(Names(app.shard)).show(
        {"at": "2026-01-02T03:04:05.678Z", "type": "client.disconnected", "data": data}
    )
    assert capsys.readouterr().out == (
        '2026-01-02T03:04:05.678Z  client.disconnected  7  disconnected=2  deep={"a": [1]}, by key_none\n'
    )


def test_an_alert_is_told_in_a_sentence(app: ShardApp, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"text": "Briefing\nin 5", "senderName": "Ops", "routed": 3, "keyId": "key_none", "id": "acars_1"}
    Screen(Names(app.shard)).show({"at": "2026-01-02T03:04:05.678Z", "type": "acars.sent", "data": data})
    assert capsys.readouterr().out == (
        '2026-01-02T03:04:05.678Z  acars.sent           Ops: "Briefing\\nin 5", to 3 clients, by key_none\n'
    )


# -- while it happens


def test_it_follows_with_and_without_a_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    try:
        server.start()
        with Terminal(
            "tail", "-n", "1", "--data-dir", str(server.data_dir), env={"NO_COLOR": "1"}
        ) as terminal:
            server.net("Before")
            terminal.until(r"net.create Before")
            server.net("After")
            terminal.until(r"net.create After")
            server.stop()
            app_side_write(server)
            terminal.until(r"ptt.stop +Zoe on Before, 2.5 s, timeout\n")
            before = terminal.said
            assert terminal.end(signal.SIGINT) == -signal.SIGINT
            assert terminal.said == before
    finally:
        server.kill()


def app_side_write(server: Server) -> None:
    """Log an event from this process."""
    from shardapi import create_app
    from shardapi.config import load

    app = create_app(load(environ={}, data_dir=str(server.data_dir)))
    try:
        (net, _) = app.shard.guild.nets.values()
        stop = PttStop(
            user_id="9", display_name="Zoe", net_id=1, net_uid=net.uid, reason="timeout", duration_ms=2500
        )
        app.shard.writer.append([Event("ptt.stop", stop, net.uid)])
    finally:
        app.shard.close()


def test_it_ends_quietly_when_nobody_reads(evening: tuple[Server, dict[str, str]]) -> None:
    with subprocess.Popen(
        [*SHARDAPI, "tail", "--data-dir", str(evening[0].data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) in (0, -signal.SIGPIPE)
        assert process.stderr.read() == b""


def test_a_user_who_joined_on_a_net_is_found_by_it(app: ShardApp) -> None:
    names, data = Names(app.shard), {"userId": "1", "displayName": "Ann", "transport": "ws", "nets": [250]}
    event = Logged(1, "user.joined", "", b"")
    assert Wanted(nets=[names.find("Public Net")]).admits(event, data, names)
    assert not Wanted(nets=[names.find("net_global")]).admits(event, data, names)

"""Two guilds in one store never see each other, whichever of them is served."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import requests
from websockets.exceptions import InvalidStatus

from shardapi.testing import Failed, Operator, Server

from . import store
from .reader import Reader

OPEN = {"SHARDAPI_LIMITS__DEFAULT": "1000000/minute", "SHARDAPI_LIMITS__AUTH_FAILURES": "1000000/minute"}
STRANGER = "scok_" + "0" * 36


class Past(NamedTuple):
    """What the guild that was served first left behind."""

    server: Server
    key: str
    token: str
    nets: list[dict[str, Any]]
    removed: dict[str, Any]
    status: dict[str, Any]
    last: str


def guild(name: str) -> dict[str, str]:
    """The environment of a server or a command of one guild."""
    return {**OPEN, "SHARDAPI_GUILD__ID": name, "SHARDAPI_GUILD__NAME": f"The {name} guild"}


def fill(server: Server) -> Past:
    """Give a guild nets, people, an open operation, an archived net; say what is there."""
    nets = [server.net(f"{server.env['SHARDAPI_GUILD__ID']} {one}") for one in range(4)]
    for net in nets[:3]:
        server.post("/assignments", {"userId": "7", "netUid": net["netUid"]})
    server.post("/assignments/temporary", {"userId": "8", "netUid": nets[0]["netUid"]})
    server.post("/operation", {"open": True}, headers={"Idempotency-Key": "the same"})
    removed = server.post("/nets/remove", {"netUid": nets.pop()["netUid"]}).json()
    token = server.command("operators", "token", "7", "--name", "Ann")["token"]
    epoch = store.value(server.data_dir, "SELECT value FROM meta WHERE name = 'epoch'")
    last = f"{epoch}-{store.newest(server.data_dir)}"
    return Past(server, server.key(), token, nets, removed, server.get("/status").json(), last)


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """A guild that was served, filled, and killed with an operator on the air."""
    server = Server(tmp_path_factory.mktemp("guilds") / "data", guild("red"))
    try:
        past = fill(server.start())
        operator = Operator(server.url, past.token, "red").join()
        operator.send(type="ptt.start", netUid=past.nets[0]["netUid"])
        operator.expect("ptt.start")
        server.wait(lambda: store.events(server.data_dir)[-1].type == "ptt.start", "the log to tell it")
    finally:
        server.kill()
    operator.socket.close()
    yield past


@pytest.fixture(scope="module")
def blue(red: Past) -> Iterator[Past]:
    """The guild that is served now, from the same store."""
    server = Server(red.server.data_dir, guild("blue"))
    try:
        yield fill(server.start())
    finally:
        server.kill()


def gist(answer: requests.Response) -> tuple[int, Any, dict[str, str]]:
    """An answer without what is new in each."""
    body = {name: value for name, value in answer.json().items() if name != "requestId"}
    passing = ("date", "x-request-id", "content-length")
    return answer.status_code, body, {k: v for k, v in answer.headers.items() if k.lower() not in passing}


def test_foreign_key_is_refused_as_if_it_had_never_been(red: Past, blue: Past) -> None:
    answers = [blue.server.get("/status", key=key) for key in (red.key, STRANGER, red.key[:-1] + "_")]
    assert gist(answers[0]) == gist(answers[1]) == gist(answers[2])
    assert answers[0].status_code == 401
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"


def test_foreign_operator_is_refused_as_if_the_token_were_noise(red: Past, blue: Past) -> None:
    refusals = []
    for token in (red.token, "noise"):
        with pytest.raises(InvalidStatus) as refused:
            Operator(blue.server.url, token, "blue")
        body = bytes(refused.value.response.body or b"").partition(b'"requestId"')[0]
        refusals.append((refused.value.response.status_code, body))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == 401


def test_each_has_its_own_slots_people_and_operation(red: Past, blue: Past) -> None:
    status = blue.server.get("/status").json()
    assert (status["guildId"], status["guildName"]) == ("blue", "The blue guild")
    assert [net["uid"] for net in status["nets"]] == [net["netUid"] for net in blue.nets]
    assert [net["netId"] for net in blue.nets] == [net["netId"] for net in red.nets] == [1, 2, 3]
    assert status["connected"] == 0
    entries = blue.server.get("/assignments").json()["entries"]
    assert {entry["netUid"] for entry in entries} == {net["netUid"] for net in blue.nets}
    assert blue.status["version"] == red.status["version"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/nets/rename", {"name": "ours"}),
        ("/nets/remove", {}),
        ("/assignments", {"userId": "1"}),
        ("/assignments", {"userId": "7", "action": "unassign"}),
        ("/assignments/temporary", {"userId": "1"}),
    ],
)
@pytest.mark.parametrize("which", ["active", "archived"])
def test_foreign_net_is_a_net_that_is_not_there(
    red: Past, blue: Past, path: str, body: dict[str, Any], which: str
) -> None:
    foreign = red.nets[0]["netUid"] if which == "active" else red.removed["netUid"]
    never = "net_" + "z" * 24
    theirs, nobodys = (blue.server.post(path, {**body, "netUid": uid}) for uid in (foreign, never))
    assert theirs.status_code == 404
    assert (
        theirs.text.replace(foreign, never).partition('"requestId"')[0]
        == nobodys.text.partition('"requestId"')[0]
    )


def test_same_idempotency_key_is_another_one_in_another_guild(red: Past, blue: Past) -> None:
    headers = {"Idempotency-Key": "the same"}
    answer = blue.server.post("/operation", {"open": True}, headers=headers)
    assert (answer.headers["Idempotent-Replayed"], answer.json()["guildId"]) == ("true", "blue")


@pytest.mark.parametrize("since", ["", "the other guild's last event"])
def test_events_are_told_to_their_own_guild_only(red: Past, blue: Past, since: str) -> None:
    reader = Reader(blue.server, blue.key, red.last if since else f"{red.last.partition('-')[0]}-0")
    try:
        net = blue.nets[2]["netUid"]
        blue.server.post("/nets/rename", {"netUid": net, "name": f"after {since or 'nothing'}"})
        newest = store.newest(blue.server.data_dir)
        blue.server.wait(lambda: reader.numbers[-1:] == [newest], "the stream to come to its end")
    finally:
        reader.close()
    assert {event["guildId"] for event in reader.events} == {"blue"}
    ours = store.rows(blue.server.data_dir, "SELECT number FROM event WHERE guild = 'blue' ORDER BY number")
    assert reader.numbers == [number for (number,) in ours]
    foreign = [net["netUid"] for net in (*red.nets, red.removed)]
    assert not [event for event in reader.events if event["data"].get("netUid") in foreign]


def test_audit_and_keys_are_listed_for_their_own_guild_only(red: Past, blue: Past) -> None:
    def keys(server: Server) -> dict[str, str]:
        return {one["id"]: one["state"] for one in server.command("keys", "list")}

    before = keys(red.server)
    assert before.keys() & keys(blue.server).keys() == set()
    blue.server.wait(lambda: blue.server.get("/audit").json()["entries"], "the audit to be written")
    told = blue.server.get("/audit?limit=1000").json()["entries"]
    assert {entry["keyId"] for entry in told if entry["keyId"]} <= keys(blue.server).keys()
    for one in before:
        assert "no live key" in revoke(blue.server, one)
    assert keys(red.server) == before


def revoke(server: Server, key_id: str) -> str:
    """Revoke a key; returns what the command had against it."""
    call = [sys.executable, "-m", "shardapi", "keys", "revoke", key_id, "--data-dir", str(server.data_dir)]
    return subprocess.run(call, env=server.env, capture_output=True, text=True, timeout=60).stderr


def test_commands_for_one_guild_leave_the_other_that_is_served_alone(red: Past, blue: Past) -> None:
    before, newest = blue.server.get("/status").json(), store.newest(blue.server.data_dir)
    made = red.server.command("keys", "create", "late", "--all-scopes")
    assert made["guildId"] == "red"
    assert blue.server.get("/status", key=made["secret"]).status_code == 401
    said = red.server.command("operators", "token", "7", "--name", "Ann")
    assert said["guildId"] == "red"
    assert blue.server.get("/status").json() == before
    assert store.newest(blue.server.data_dir) == newest
    blue.server.command("keys", "list")
    assert revoke(red.server, made["id"]) == ""
    assert blue.server.get("/status").ok


def test_commands_without_a_guild_are_for_the_first_one(red: Past, blue: Past) -> None:
    server = Server(red.server.data_dir)
    assert server.command("operators", "token", "1", "--name", "Ann")["guildId"] == "red"


def test_second_server_on_the_folder_is_refused_though_its_guild_is_another(red: Past, blue: Past) -> None:
    with pytest.raises(Failed, match="one server per data folder"):
        Server(red.server.data_dir, guild("red")).start()
    assert blue.server.get("/status").ok


def test_the_others_crash_and_deadlines_wait_until_it_is_served_again(
    start_shard: Callable[..., Server],
) -> None:
    red = start_shard(env=guild("red"))
    past = fill(red)
    operator = Operator(red.url, past.token, "red").join()
    red.wait(lambda: store.events(red.data_dir)[-1].type == "user.joined", "the log to tell it")
    red.kill()
    operator.socket.close()
    store.change(red.data_dir, "UPDATE assignment SET until = 1 WHERE until")

    blue = start_shard(red.data_dir, env=guild("blue"))
    blue.net()
    assert blue.stop() == 0
    assert [told[0] for told in of_guild(blue, "blue")] == ["config.changed"]

    before = len(of_guild(blue, "red"))
    red.start()
    reader = Reader(red, past.key, past.last)
    try:
        red.wait(lambda: len(reader.events) >= 3, "the stream to catch up")
        assert [event["type"] for event in reader.events] == [
            "user.joined",
            "user.left",
            "assignments.changed",
        ]
        assert {event["guildId"] for event in reader.events} == {"red"}
    finally:
        reader.close()
    assert len(of_guild(blue, "red")) == before + 2
    status = red.get("/status").json()
    assert (status["nets"], status["version"]) == (past.status["nets"], past.status["version"] + 1)


def of_guild(server: Server, name: str) -> list[tuple[Any, ...]]:
    """The types of the events of one guild."""
    return store.rows(server.data_dir, "SELECT type FROM event WHERE guild = ? ORDER BY number", name)

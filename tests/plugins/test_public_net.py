"""/public-net: the net that is open to everyone, or to some roles."""

from typing import Any

import pytest
from apps import API, Listener, client_of, join, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp
from shardapi.errors import ApiError
from shardapi.guild import PUBLIC_UID

PUBLIC = f"{API}/public-net"
HIDDEN = {"enabled": False, "name": "Public Net", "roleIds": []}
RALLY = {"enabled": True, "name": "Rally", "roleIds": ["9007199254740993"]}


@pytest.fixture
def rally(client: FlaskClient) -> dict[str, Any]:
    """The answer that showed the Public Net with a name and a gate."""
    return said(client.post(PUBLIC, json={"name": " Rally ", "roleIds": ["9007199254740993"]}))


def call(client: FlaskClient, path: str, **overrides: Any) -> dict[str, Any]:
    """The answer to /public-net/<path>."""
    return said(client.post(f"{PUBLIC}/{path}", json=overrides))


def read(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = said(client.get(PUBLIC))["publicNet"]
    return found


def told(app: ShardApp) -> list[str]:
    """What each event says was done to the configuration."""
    events = app.shard.events.page(0, 2**62)
    return [one.envelope["data"]["action"] for one in events if one.type == "config.changed"]


def test_a_new_guilds_public_net_is_hidden(app: ShardApp, client: FlaskClient) -> None:
    assert said(client.get(PUBLIC)) == {"ok": True, "guildId": app.shard.guild_id, "publicNet": HIDDEN}


def test_it_is_shown_with_a_name_and_gates(app: ShardApp, client: FlaskClient, rally: dict[str, Any]) -> None:
    assert read(client) == RALLY
    assert rally == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "action": "public-net.show",
        "changed": True,
        "version": 1,
        "features": said(client.get(f"{API}/features"))["features"],
        "publicNet": RALLY,
    }
    assert rally["features"]["publicNet"] == RALLY


@pytest.mark.parametrize("path", ["", "/show", "/restore"])
@pytest.mark.parametrize(
    "body", [None, "", " ", "{}", '{"name": null, "roleIds": null}', '{"enabled": false}']
)
def test_nothing_needs_to_be_said_to_show_it(client: FlaskClient, path: str, body: str | None) -> None:
    answer = said(client.post(PUBLIC + path, data=body))
    assert answer["publicNet"] == {**HIDDEN, "enabled": True} == read(client)
    assert answer["action"] == ("public-net.restore" if path == "/restore" else "public-net.show")


@pytest.mark.parametrize("body", [None, "", "{}", '{"name": "not heeded"}'])
@pytest.mark.parametrize(("path", "left"), [("hide", {**RALLY, "enabled": False}), ("remove", HIDDEN)])
def test_hidden_it_keeps_its_name_and_gates_removed_it_does_not(
    client: FlaskClient, rally: dict[str, Any], path: str, left: dict[str, Any], body: str | None
) -> None:
    answer = said(client.post(f"{PUBLIC}/{path}", data=body))
    assert (answer["action"], answer["changed"], answer["version"]) == (f"public-net.{path}", True, 2)
    assert answer["publicNet"] == left == read(client)


@pytest.mark.parametrize(
    ("way", "overrides", "back"),
    [
        ("hide", {}, RALLY),
        ("hide", {"name": "Muster"}, {**RALLY, "name": "Muster"}),
        ("hide", {"roleIds": []}, {**RALLY, "roleIds": []}),
        ("remove", {}, {**HIDDEN, "enabled": True}),
        (
            "remove",
            {"name": "Muster", "roleIds": ["5"]},
            {"enabled": True, "name": "Muster", "roleIds": ["5"]},
        ),
    ],
)
@pytest.mark.parametrize("path", ["restore", "show"])
def test_it_comes_back_as_it_was_left_with_overrides(
    app: ShardApp,
    client: FlaskClient,
    rally: dict[str, Any],
    way: str,
    path: str,
    overrides: dict[str, Any],
    back: dict[str, Any],
) -> None:
    call(client, way)
    assert call(client, path, **overrides)["publicNet"] == back == read(client)
    assert told(app) == ["public-net.show", f"public-net.{way}", f"public-net.{path}"]


@pytest.mark.parametrize(
    ("before", "path", "overrides"),
    [
        ("hide", "hide", {}),
        ("remove", "remove", {}),
        ("remove", "hide", {}),
        ("show", "show", {}),
        ("show", "restore", {}),
        ("show", "show", {"name": "Rally "}),
        ("show", "restore", {"roleIds": ["9007199254740993", "9007199254740993"]}),
    ],
)
def test_what_is_so_already_changes_nothing(
    app: ShardApp,
    client: FlaskClient,
    rally: dict[str, Any],
    before: str,
    path: str,
    overrides: dict[str, Any],
) -> None:
    call(client, before)
    version, newest, left = app.shard.guild.version, app.shard.events.newest, read(client)
    again = call(client, path, **overrides)
    assert (again["changed"], again["version"], again["publicNet"]) == (False, version, left)
    assert app.shard.events.newest == newest


@pytest.mark.parametrize("path", ["", "/show", "/restore"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "."}, "name"),
        ({"name": 5}, "name"),
        ({"roleIds": "1"}, "roleIds"),
        ({"roleIds": {"1": True}}, "roleIds"),
        ({"roleIds": [1]}, "roleIds"),
        ({"roleIds": [""]}, "roleIds"),
        ({"roleIds": ["1\n"]}, "roleIds"),
        ({"roleIds": ["1" * 65]}, "roleIds"),
        ({"roleIds": [str(role) for role in range(51)]}, "roleIds"),
        ([], ""),
    ],
)
def test_a_bad_value_is_refused_by_its_path_and_nothing_changes(
    app: ShardApp, client: FlaskClient, path: str, body: Any, field: str
) -> None:
    found = problem(client.post(PUBLIC + path, json=body), "invalid_value")
    assert found["errors"][0]["path"].partition("[")[0] == field
    assert app.shard.guild.version == 0 and read(client) == HIDDEN


def test_at_the_bounds_a_value_is_taken(client: FlaskClient) -> None:
    roles = [str(role) for role in range(50)]
    assert call(client, "show", name="ü" * 64, roleIds=roles)["publicNet"] == {
        "enabled": True,
        "name": "ü" * 64,
        "roleIds": roles,
    }


def test_reading_it_needs_the_scope_of_the_status_writing_it_that_of_the_features(app: ShardApp) -> None:
    reads, writes = client_of(app, "read:status"), client_of(app, "manage:features")
    said(reads.get(PUBLIC))
    problem(writes.get(PUBLIC), "missing_scope")
    for path in ("", "/show", "/hide", "/remove", "/restore"):
        said(writes.post(PUBLIC + path))
        assert "manage:features" in problem(reads.post(PUBLIC + path), "missing_scope")["detail"]


# -- who is on it


def on_air(app: ShardApp, client: FlaskClient, *roles: str) -> Listener:
    """An operator who talks on the Public Net."""
    said(client.post(f"{API}/operation", json={"open": True}))
    talker = join(app, "talker", *roles)
    app.shard.presence.key_up(talker, PUBLIC_UID)
    return talker


def people(client: FlaskClient) -> dict[str, list[int]]:
    """The nets of everyone on the roster."""
    return {one["userId"]: one["nets"] for one in said(client.get(f"{API}/roster"))["operators"]}


def test_shown_it_is_a_net_everywhere_that_nobody_can_change(app: ShardApp, client: FlaskClient) -> None:
    operator = join(app, "1")
    call(client, "show", name="Rally")
    (entry,) = said(client.get(f"{API}/status"))["nets"]
    assert entry == {
        "id": 250,
        "uid": PUBLIC_UID,
        "netUid": PUBLIC_UID,
        "name": "Rally",
        "occupancy": 1,
        "members": 1,
        "transmitting": [],
        "tx": False,
        "relayTargetNetIds": [],
        "relayTargetNetUids": [],
        "virtual": True,
        "public": True,
        "protected": True,
    }
    (listed,) = said(client.get(f"{API}/roster"))["operators"]
    assert (listed["nets"], listed["netUids"], listed["netUid"]) == ([250], [PUBLIC_UID], PUBLIC_UID)
    (config,) = operator.seen
    assert config["publicNet"] == {"enabled": True, "name": "Rally", "roleIds": []}
    assert config["nets"] == [
        {"id": 250, "uid": PUBLIC_UID, "netUid": PUBLIC_UID, "name": "Rally", "assigned": True}
    ]
    assert config["assignments"] == [250]
    problem(client.post(f"{API}/nets/rename", json={"netId": 250, "name": "X"}), "net_protected")
    problem(client.delete(f"{API}/nets/{PUBLIC_UID}"), "net_protected")
    problem(client.post(f"{API}/assignments", json={"userId": "1", "netUid": PUBLIC_UID}), "net_protected")


@pytest.mark.parametrize("way", ["hide", "remove"])
def test_hidden_it_is_gone_everywhere_and_who_talks_on_it_is_stopped(
    app: ShardApp, client: FlaskClient, way: str
) -> None:
    call(client, "show")
    talker = on_air(app, client)
    talker.seen.clear()
    call(client, way)
    assert [one["type"] for one in talker.seen] == ["ptt.stop", "config"]
    assert talker.last("ptt.stop")["data"]["reason"] == "net_removed"
    config = talker.last("config")
    assert (config["nets"], config["assignments"], config["publicNet"]["enabled"]) == ([], [], False)
    assert said(client.get(f"{API}/status"))["nets"] == [] and people(client) == {"talker": []}
    with pytest.raises(ApiError):
        app.shard.presence.key_up(talker, PUBLIC_UID)
    events = [one.type for one in app.shard.events.page(0, 2**62)]
    assert events[-2:] == ["ptt.stop", "config.changed"]


@pytest.mark.parametrize("path", ["", "/show", "/restore"])
def test_gates_put_connected_operators_off_it_and_on_it_at_once(
    app: ShardApp, client: FlaskClient, path: str
) -> None:
    call(client, "show")
    talker, pilot = on_air(app, client, "medic"), join(app, "pilot", "pilot")
    talker.seen.clear()
    said(client.post(PUBLIC + path, json={"roleIds": ["pilot", "ground"]}))
    assert [one["type"] for one in talker.seen] == ["ptt.stop", "config"]
    assert talker.last("ptt.stop")["data"]["reason"] == "unassigned"
    assert talker.last("config")["assignments"] == [] and pilot.last("config")["assignments"] == [250]
    assert talker.last("config")["nets"][0]["assigned"] is False
    join(app, "late", "ground")
    join(app, "later", "cook")
    assert people(client) == {"talker": [], "pilot": [250], "late": [250], "later": []}
    assert said(client.get(f"{API}/status"))["nets"][0]["occupancy"] == 2
    said(client.post(PUBLIC + path, json={"roleIds": []}))
    assert all(nets == [250] for nets in people(client).values())


def test_who_passes_the_new_gates_talks_on(app: ShardApp, client: FlaskClient) -> None:
    call(client, "show")
    talker = on_air(app, client, "pilot")
    call(client, "show", roleIds=["pilot"], name="Rally")
    assert [one["type"] for one in talker.seen] == ["ptt.start", "config"]
    assert app.shard.presence.transmitting(PUBLIC_UID) == ["talker"]


def test_a_write_that_changes_nothing_is_not_pushed(app: ShardApp, client: FlaskClient) -> None:
    call(client, "show")
    operator = join(app, "1")
    call(client, "show", name="Public Net")
    assert operator.seen == []

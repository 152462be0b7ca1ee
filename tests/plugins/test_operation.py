"""/operation: open or closed; closed, operators stay connected but cannot key up."""

import pytest
from apps import API, join, said
from flask.testing import FlaskClient

from shardapi import ShardApp
from shardapi.errors import ApiError

OPERATION = f"{API}/operation"


def test_a_new_guilds_operation_is_closed(client: FlaskClient) -> None:
    assert said(client.get(f"{API}/status"))["operationOpen"] is False


def test_the_operation_is_opened_and_closed(app: ShardApp, client: FlaskClient) -> None:
    for version, flag in ((1, True), (2, False)):
        assert said(client.post(OPERATION, json={"open": flag})) == {
            "ok": True,
            "guildId": app.shard.guild_id,
            "action": "operation.set",
            "changed": True,
            "version": version,
            "open": flag,
        }
        assert said(client.get(f"{API}/status"))["operationOpen"] is flag
    (key,) = app.shard.keys.all()
    events = [one.envelope for one in app.shard.events.page(0, 2**62)]
    assert [(one["type"], one["data"]) for one in events] == [
        ("operation.opened", {"open": True, "keyId": key.id}),
        ("operation.closed", {"open": False, "keyId": key.id}),
    ]


@pytest.mark.parametrize("flag", [True, False])
def test_what_is_so_already_changes_nothing(app: ShardApp, client: FlaskClient, flag: bool) -> None:
    said(client.post(OPERATION, json={"open": flag}))
    version, newest = app.shard.guild.version, app.shard.events.newest
    again = said(client.post(OPERATION, json={"open": flag}))
    assert (again["changed"], again["version"], again["open"]) == (False, version, flag)
    assert app.shard.events.newest == newest


def test_closing_it_stops_who_talks_and_keeps_everyone_connected(app: ShardApp, client: FlaskClient) -> None:
    said(client.post(f"{API}/nets", json={"name": "Strike"}))
    said(client.post(f"{API}/assignments", json={"userId": "1", "netId": 1}))
    talker = join(app, "1")
    with pytest.raises(ApiError) as caught:
        app.shard.presence.key_up(talker, net_id=1)
    assert caught.value.kind.code == "operation_closed"
    said(client.post(OPERATION, json={"open": True}))
    assert talker.last("config")["operationOpen"] is True
    app.shard.presence.key_up(talker, net_id=1)
    said(client.post(OPERATION, json={"open": False}))
    assert talker.last("ptt.stop")["data"]["reason"] == "operation_closed"
    assert talker.last("config")["operationOpen"] is False and talker.closed == ""
    assert said(client.get(f"{API}/status"))["connected"] == 1

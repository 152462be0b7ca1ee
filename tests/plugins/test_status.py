"""/status: the guild, its nets, who is on them and who transmits."""

from typing import Any

import pytest
from apps import API, client_of, join, said
from flask.testing import FlaskClient

from shardapi import ShardApp
from shardapi.changes import PublicNetChanges
from shardapi.clock import iso
from shardapi.commands import Archived, RestoreNet, SetOperation, SetPublicNet
from shardapi.shard import VERSION


def status(client: FlaskClient) -> dict[str, Any]:
    return said(client.get(f"{API}/status"))


def test_a_new_shards_status_is_whole(app: ShardApp, client: FlaskClient) -> None:
    shard, answer = app.shard, status(client)
    public_net = {"enabled": False, "name": "Public Net", "roleIds": []}
    assert answer == {
        "ok": True,
        "guildId": shard.guild_id,
        "guildName": "Shard",
        "operationOpen": False,
        "version": 0,
        "updatedAt": iso(shard.guild.updated_at),
        "connectedOperators": 0,
        "connected": 0,
        "publicNet": public_net,
        "features": {
            "maxNets": 50,
            "globalPttEnabled": False,
            "acarsEnabled": True,
            "readyCheckEnabled": True,
            "publicNet": public_net,
            "orgLink": {"enabled": False, "roleIds": [], "netUid": ""},
        },
        "shard": {
            "name": "Shard",
            "publicUrl": "http://127.0.0.1:25588",
            "version": VERSION,
            "startedAt": iso(shard.started_at),
            "connectedOperators": 0,
        },
        "nets": [],
    }


def test_the_public_url_is_the_one_of_the_settings(make_app: Any) -> None:
    client = client_of(make_app(SERVER__PUBLIC_URL="https://shard.example.com/", GUILD__NAME="Türme"))
    answer = said(client.get(f"{API}/status", base_url="https://shard.example.com"))
    assert answer["shard"]["publicUrl"] == "https://shard.example.com"
    assert answer["guildName"] == answer["shard"]["name"] == "Türme"


def test_a_net_shows_its_people_and_who_transmits(app: ShardApp, client: FlaskClient) -> None:
    uid = said(client.post(f"{API}/nets", json={"name": "Strike"}))["netUid"]
    said(client.post(f"{API}/assignments", json={"userId": "1", "netId": 1}))
    app.shard.central.submit([SetOperation(open=True)])
    first, second, _ = join(app, "1"), join(app, "1"), join(app, "2")
    app.shard.presence.key_up(first, uid)
    (net,) = status(client)["nets"]
    assert net == {
        "id": 1,
        "uid": uid,
        "netUid": uid,
        "name": "Strike",
        "occupancy": 1,
        "members": 1,
        "transmitting": ["1"],
        "tx": True,
        "relayTargetNetIds": [],
        "relayTargetNetUids": [],
    }
    assert status(client)["connected"] == status(client)["connectedOperators"] == 2
    app.shard.presence.key_down(first, uid)
    assert status(client)["nets"][0]["tx"] is False
    app.shard.presence.leave(first, "closed")
    assert status(client)["nets"][0]["occupancy"] == 1  # the other connection is still there
    app.shard.presence.leave(second, "closed")
    assert status(client)["nets"][0]["occupancy"] == 0 and status(client)["connected"] == 1


def test_service_listeners_are_in_no_number(app: ShardApp, client: FlaskClient) -> None:
    said(client.post(f"{API}/nets", json={"name": "Strike"}))
    said(client.post(f"{API}/assignments", json={"userId": "svc", "netId": 1}))
    join(app, "svc", service=True)
    answer = status(client)
    assert (answer["connected"], answer["nets"][0]["occupancy"]) == (0, 0)


def test_relays_are_shown_by_slot_and_uid(app: ShardApp, client: FlaskClient) -> None:
    uid = said(client.post(f"{API}/nets", json={"name": "Strike"}))["netUid"]
    entry = Archived(
        uid="net_old",
        name="Old",
        assigned_user_ids=(),
        relay_target_net_uids=(uid,),
        inbound_relay_from_net_uids=(),
    )
    app.shard.central.submit([RestoreNet(entry=entry)])
    old = status(client)["nets"][1]
    assert (old["relayTargetNetIds"], old["relayTargetNetUids"]) == ([1], [uid])


def test_an_enabled_public_net_is_one_more_protected_entry(app: ShardApp, client: FlaskClient) -> None:
    said(client.post(f"{API}/nets", json={"name": "Strike"}))
    shown = PublicNetChanges(name="Rally", role_ids=("10",))
    app.shard.central.submit([SetPublicNet(action="show", changes=shown)])
    join(app, "1", "10")
    join(app, "2", "11")
    answer = status(client)
    assert answer["publicNet"] == {"enabled": True, "name": "Rally", "roleIds": ["10"]}
    assert answer["nets"][1] == {
        "id": 250,
        "uid": "net_public",
        "netUid": "net_public",
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
    assert "virtual" not in answer["nets"][0]


@pytest.mark.parametrize("change", ["join", "write", "key up"])
def test_what_has_changed_shows_at_once(app: ShardApp, client: FlaskClient, change: str) -> None:
    app.shard.central.submit([SetOperation(open=True), SetPublicNet(action="show")])
    operator = join(app, "1")
    before = status(client)
    assert status(client) == before
    if change == "join":
        join(app, "2")
    elif change == "write":
        app.shard.central.submit([SetOperation(open=False)])
    else:
        app.shard.presence.key_up(operator, "net_public")
    assert status(client) != before

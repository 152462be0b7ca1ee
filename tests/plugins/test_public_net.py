"""/public-net: the net that is open to everyone, or to some roles."""

from apps import API, client_of, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp
from shardapi.changes import PublicNetChanges
from shardapi.commands import SetPublicNet


def test_a_new_guilds_public_net_is_hidden(app: ShardApp, client: FlaskClient) -> None:
    assert said(client.get(f"{API}/public-net")) == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "publicNet": {"enabled": False, "name": "Public Net", "roleIds": []},
    }


def test_it_shows_its_name_and_its_gates(app: ShardApp, client: FlaskClient) -> None:
    shown = PublicNetChanges(name="Rally", role_ids=("9007199254740993",))
    app.shard.central.submit([SetPublicNet(action="show", changes=shown)])
    answer = said(client.get(f"{API}/public-net"))["publicNet"]
    assert answer == {"enabled": True, "name": "Rally", "roleIds": ["9007199254740993"]}


def test_reading_it_needs_the_scope_of_the_status(app: ShardApp) -> None:
    said(client_of(app, "read:status").get(f"{API}/public-net"))
    problem(client_of(app, "manage:features").get(f"{API}/public-net"), "missing_scope")

"""/features: what is switched on."""

from collections.abc import Callable

from apps import API, client_of, said
from flask.testing import FlaskClient

from shardapi import ShardApp
from shardapi.changes import FeatureChanges, OrgLinkChanges
from shardapi.commands import SetFeatures


def test_a_new_guilds_features(client: FlaskClient) -> None:
    assert said(client.get(f"{API}/features"))["features"] == {
        "maxNets": 50,
        "globalPttEnabled": False,
        "acarsEnabled": True,
        "readyCheckEnabled": True,
        "publicNet": {"enabled": False, "name": "Public Net", "roleIds": []},
        "orgLink": {"enabled": False, "roleIds": [], "netUid": ""},
    }


def test_a_new_guild_may_have_as_many_nets_as_central_grants(make_app: Callable[..., ShardApp]) -> None:
    client = client_of(make_app(CENTRAL__MAX_NETS="7"))
    assert said(client.get(f"{API}/features"))["features"]["maxNets"] == 7


def test_the_features_are_those_of_the_last_write(app: ShardApp, client: FlaskClient) -> None:
    changes = FeatureChanges(
        max_nets=9,
        global_ptt_enabled=True,
        acars_enabled=False,
        org_link=OrgLinkChanges(enabled=True, role_ids=("1",)),
    )
    app.shard.central.submit([SetFeatures(changes=changes)])
    answer = said(client.get(f"{API}/features"))["features"]
    assert (answer["maxNets"], answer["globalPttEnabled"], answer["acarsEnabled"]) == (9, True, False)
    assert answer["orgLink"] == {"enabled": True, "roleIds": ["1"], "netUid": ""}
    assert answer == said(client.get(f"{API}/status"))["features"]

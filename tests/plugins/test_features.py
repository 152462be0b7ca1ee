"""/features: what is switched on."""

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from apps import API, client_of, join, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp
from shardapi.changes import FeatureChanges, OrgLinkChanges
from shardapi.commands import SetFeatures
from shardapi.guild import GLOBAL_UID

FEATURES = f"{API}/features"
DEFAULTS = {
    "maxNets": 50,
    "globalPttEnabled": False,
    "acarsEnabled": True,
    "readyCheckEnabled": True,
    "publicNet": {"enabled": False, "name": "Public Net", "roleIds": []},
    "orgLink": {"enabled": False, "roleIds": [], "netUid": ""},
}


def set_to(client: FlaskClient, **flags: Any) -> dict[str, Any]:
    """The answer to a write of some features."""
    return said(client.post(FEATURES, json={"features": flags}))


def read(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = said(client.get(FEATURES))["features"]
    return found


def nets(client: FlaskClient, count: int) -> list[str]:
    """Uids of new nets in the slots 1, 2, …"""
    return [said(client.post(f"{API}/nets", json={"name": "Strike"}))["netUid"] for _ in range(count)]


def test_a_new_guilds_features(client: FlaskClient) -> None:
    assert read(client) == DEFAULTS


def test_a_new_guild_may_have_as_many_nets_as_central_grants(make_app: Callable[..., ShardApp]) -> None:
    client = client_of(make_app(CENTRAL__MAX_NETS="7"))
    assert read(client)["maxNets"] == 7


def test_the_features_are_those_of_the_last_write(app: ShardApp, client: FlaskClient) -> None:
    changes = FeatureChanges(
        max_nets=9,
        global_ptt_enabled=True,
        acars_enabled=False,
        org_link=OrgLinkChanges(enabled=True, role_ids=("1",)),
    )
    app.shard.central.submit([SetFeatures(changes=changes)])
    answer = read(client)
    assert (answer["maxNets"], answer["globalPttEnabled"], answer["acarsEnabled"]) == (9, True, False)
    assert answer["orgLink"] == {"enabled": True, "roleIds": ["1"], "netUid": ""}
    assert answer == said(client.get(f"{API}/status"))["features"]


# -- writes


def test_a_write_answers_the_features_after_it_and_is_told_once(app: ShardApp, client: FlaskClient) -> None:
    after = {**DEFAULTS, "globalPttEnabled": True}
    assert set_to(client, globalPttEnabled=True) == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "action": "features.set",
        "changed": True,
        "version": 1,
        "features": after,
        "publicNet": after["publicNet"],
    }
    assert read(client) == after
    (event,) = [one.envelope for one in app.shard.events.page(0, 2**62)]
    told = {"action": "features.set", "version": 1, "keyId": app.shard.keys.all()[0].id}
    assert (event["type"], event["data"]) == ("config.changed", told)


@pytest.mark.parametrize("flag", ["globalPttEnabled", "acarsEnabled", "readyCheckEnabled"])
@pytest.mark.parametrize("value", [True, False])
def test_each_flag_is_switched_by_itself(client: FlaskClient, flag: str, value: bool) -> None:
    set_to(client, **{flag: not value})
    assert set_to(client, **{flag: value})["features"] == {**DEFAULTS, flag: value} == read(client)


@pytest.mark.parametrize("flags", [{}, {"acarsEnabled": True}, {"publicNet": {}}, {"orgLink": {}}, DEFAULTS])
def test_what_is_so_already_changes_nothing(
    app: ShardApp, client: FlaskClient, flags: dict[str, Any]
) -> None:
    answer = set_to(client, **flags)
    assert (answer["changed"], answer["version"], answer["features"]) == (False, 0, DEFAULTS)
    assert app.shard.events.newest == 0


def test_the_public_net_and_the_org_link_are_merged_one_level_deep(client: FlaskClient) -> None:
    (uid,) = nets(client, 1)
    set_to(client, publicNet={"name": " Rally ", "roleIds": ["1", "2", "1"]}, orgLink={"roleIds": ["3"]})
    set_to(client, publicNet={"enabled": True}, orgLink={"netId": 1})
    after = set_to(client, orgLink={"enabled": True})
    assert after["publicNet"] == {"enabled": True, "name": "Rally", "roleIds": ["1", "2"]}
    assert after["features"]["publicNet"] == after["publicNet"]
    assert after["publicNet"] == said(client.get(f"{API}/public-net"))["publicNet"]
    assert after["features"]["orgLink"] == {"enabled": True, "roleIds": ["3"], "netUid": uid}
    assert set_to(client, orgLink={"netUid": ""})["features"]["orgLink"]["netUid"] == ""


def test_the_org_link_lets_go_of_a_net_that_is_removed(client: FlaskClient) -> None:
    uid, other = nets(client, 2)
    link = {"enabled": True, "roleIds": ["3"], "netUid": uid}
    assert set_to(client, orgLink=link)["features"]["orgLink"] == link
    said(client.delete(f"{API}/nets/{other}"))
    assert read(client)["orgLink"] == link
    said(client.delete(f"{API}/nets/{uid}"))
    assert read(client)["orgLink"] == {**link, "netUid": ""}


def test_writes_at_the_same_time_lose_nothing_of_one_another(app: ShardApp, client: FlaskClient) -> None:
    flags = [{"globalPttEnabled": True}, {"acarsEnabled": False}, {"readyCheckEnabled": False}]
    clients = [client_of(app) for _ in flags]
    tasks = [gevent.spawn(set_to, one, **flag) for one, flag in zip(clients, flags, strict=True)]
    gevent.joinall(tasks, timeout=10, raise_error=True)
    assert read(client) == {**DEFAULTS, **flags[0], **flags[1], **flags[2]}


def test_as_many_nets_as_central_grants_and_as_few_as_are_in_use(make_app: Callable[..., ShardApp]) -> None:
    client = client_of(make_app(CENTRAL__MAX_NETS="7"))
    nets(client, 3)
    over = problem(client.post(FEATURES, json={"features": {"maxNets": 8}}), "invalid_value")
    assert over["errors"][0]["path"] == "features.maxNets" and "7" in over["detail"]
    under = problem(client.post(FEATURES, json={"features": {"maxNets": 2}}), "max_nets_in_use")
    assert "3 nets" in under["detail"] and under["hint"]
    assert read(client)["maxNets"] == 7
    for most in (3, 7, 5):
        assert set_to(client, maxNets=most)["features"]["maxNets"] == most == read(client)["maxNets"]
    nets(client, 2)
    full = problem(client.post(f"{API}/nets", json={"name": "Air"}), "no_free_slot")
    assert "All 5" in full["detail"]


def test_nets_in_high_slots_do_not_keep_the_most_from_being_lowered(client: FlaskClient) -> None:
    first, _ = nets(client, 2)
    said(client.delete(f"{API}/nets/{first}"))
    assert set_to(client, maxNets=1)["changed"] is True
    problem(client.post(f"{API}/nets", json={"name": "Air"}), "no_free_slot")
    assert [net["id"] for net in said(client.get(f"{API}/status"))["nets"]] == [2]


BAD: list[tuple[Any, str]] = [
    ({"maxNets": 0}, "features.maxNets"),
    ({"maxNets": 51}, "features.maxNets"),
    ({"maxNets": "9"}, "features.maxNets"),
    ({"maxNets": 2.5}, "features.maxNets"),
    ({"maxNets": None}, "features.maxNets"),
    ({"maxNets": True}, "features.maxNets"),
    ({"globalPttEnabled": 1}, "features.globalPttEnabled"),
    ({"globalPttEnabled": "true"}, "features.globalPttEnabled"),
    ({"acarsEnabled": None}, "features.acarsEnabled"),
    ({"readyCheckEnabled": []}, "features.readyCheckEnabled"),
    ({"publicNet": True}, "features.publicNet"),
    ({"publicNet": {"enabled": "yes"}}, "features.publicNet.enabled"),
    ({"publicNet": {"name": ""}}, "features.publicNet.name"),
    ({"publicNet": {"name": "x" * 65}}, "features.publicNet.name"),
    ({"publicNet": {"name": "a\nb"}}, "features.publicNet.name"),
    ({"publicNet": {"name": ".."}}, "features.publicNet"),
    ({"publicNet": {"roleIds": "1"}}, "features.publicNet.roleIds"),
    ({"publicNet": {"roleIds": [1]}}, "features.publicNet.roleIds[0]"),
    ({"publicNet": {"roleIds": ["a b"]}}, "features.publicNet.roleIds[0]"),
    ({"publicNet": {"roleIds": [str(role) for role in range(51)]}}, "features.publicNet.roleIds"),
    ({"orgLink": []}, "features.orgLink"),
    ({"orgLink": {"enabled": 0}}, "features.orgLink.enabled"),
    ({"orgLink": {"roleIds": [str(role) for role in range(51)]}}, "features.orgLink.roleIds"),
    ({"orgLink": {"netUid": 5}}, "features.orgLink.netUid"),
    ({"orgLink": {"netUid": "x" * 65}}, "features.orgLink.netUid"),
    ({"orgLink": {"netId": 0}}, "features.orgLink.netId"),
    ({"orgLink": {"netId": 256}}, "features.orgLink.netId"),
    ("all", "features"),
    (None, "features"),
]


@pytest.mark.parametrize(("flags", "path"), BAD)
def test_a_bad_value_is_refused_by_its_path_and_nothing_changes(
    app: ShardApp, client: FlaskClient, flags: Any, path: str
) -> None:
    whole = {"acarsEnabled": False, **flags} if isinstance(flags, dict) else flags
    found = problem(client.post(FEATURES, json={"features": whole}), "invalid_value")
    assert found["errors"][0]["path"] == path
    assert app.shard.guild.version == 0 and read(client) == DEFAULTS


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"pttEnabled": True}, "pttEnabled"),
        ({"acarsEnabled": False, "AcarsEnabled": False}, "AcarsEnabled"),
        ({"publicNet": {"visible": True}}, "visible"),
        ({"orgLink": {"netName": "Strike"}}, "netName"),
    ],
)
def test_an_unknown_flag_is_named(client: FlaskClient, flags: dict[str, Any], name: str) -> None:
    found = problem(client.post(FEATURES, json={"features": flags, "comment": "ignored"}), "invalid_value")
    assert name in found["detail"] and read(client) == DEFAULTS


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"pttEnabled": True}, "Did you mean globalPttEnabled?"),
        ({"AcarsEnabled": False}, "Did you mean acarsEnabled?"),
        ({"publicNet": {"enable": True}}, "Did you mean enabled?"),
        ({"orgLink": {"netUID": ""}}, "Did you mean netUid?"),
        ({"hailing": True}, ""),
    ],
)
def test_a_mistyped_flag_is_told_with_the_one_that_was_meant(
    client: FlaskClient, flags: dict[str, Any], told: str
) -> None:
    assert problem(client.post(FEATURES, json={"features": flags}), "invalid_value").get("hint", "") == told


@pytest.mark.parametrize("body", ["", "{}", '{"globalPttEnabled": true}'])
def test_a_write_that_names_no_features_is_refused(client: FlaskClient, body: str) -> None:
    found = problem(client.post(FEATURES, data=body), "invalid_value")
    assert "features" in found["detail"]


def test_at_the_bounds_a_value_is_taken(client: FlaskClient) -> None:
    roles = [str(role) for role in range(50)]
    given = {"name": "x" * 64, "roleIds": roles}
    after = set_to(client, maxNets=1, publicNet=given, orgLink={"roleIds": roles})["features"]
    assert after["maxNets"] == 1 and after["orgLink"]["roleIds"] == roles
    assert after["publicNet"] == {**given, "enabled": False}
    assert set_to(client, maxNets=50.0)["features"]["maxNets"] == 50


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ({"netUid": "net_gone"}, "net_not_found"),
        ({"netId": 9}, "net_not_found"),
        ({"netUid": "net_public"}, "net_protected"),
        ({"netId": 255}, "net_protected"),
        ({"netId": 2, "netUid": "FIRST"}, "net_mismatch"),
    ],
)
def test_the_org_link_takes_only_a_net_that_is_there(
    client: FlaskClient, link: dict[str, Any], code: str
) -> None:
    first, _ = nets(client, 2)
    link = {name: first if value == "FIRST" else value for name, value in link.items()}
    body = {"features": {"acarsEnabled": False, "orgLink": link}}
    found = problem(client.post(FEATURES, json=body), code)
    assert found.get("hint") or code == "net_protected"
    assert read(client) == DEFAULTS


def test_a_key_that_reads_may_not_write(app: ShardApp) -> None:
    body = {"features": {"acarsEnabled": False}}
    problem(client_of(app, "read:status").post(FEATURES, json=body), "missing_scope")
    said(client_of(app, "manage:features").post(FEATURES, json=body))


# -- operators


def test_operators_get_the_features_in_one_push(client: FlaskClient, app: ShardApp) -> None:
    operator = join(app, "1")
    set_to(client, globalPttEnabled=True, publicNet={"enabled": True})
    (config,) = operator.seen
    assert config["features"] == read(client) and config["version"] == 1
    assert config["assignments"] == [250] and config["nets"][0]["uid"] == "net_public"


def test_who_talks_to_everyone_is_stopped_as_that_is_switched_off(client: FlaskClient, app: ShardApp) -> None:
    said(client.post(f"{API}/operation", json={"open": True}))
    set_to(client, globalPttEnabled=True)
    talker = join(app, "1")
    app.shard.presence.key_up(talker, GLOBAL_UID)
    set_to(client, globalPttEnabled=False)
    assert talker.last("ptt.stop")["data"]["reason"] == "net_removed"
    assert not app.shard.presence.transmissions

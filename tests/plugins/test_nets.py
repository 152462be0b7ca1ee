"""/nets: create, rename, remove; slots, uids, and what a net leaves behind."""

import re
from collections.abc import Callable

import gevent
import pytest
from apps import API, client_of, join, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp, clock
from shardapi.changes import FeatureChanges, OrgLinkChanges
from shardapi.commands import Archived, RestoreNet, SetFeatures, SetRules
from shardapi.guild import Rule

NETS = f"{API}/nets"


def create(client: FlaskClient, name: str = "Strike") -> str:
    """A new net's uid."""
    return str(said(client.post(NETS, json={"name": name}))["netUid"])


def told(app: ShardApp) -> list[tuple[str, dict[str, object]]]:
    """All events: type and data."""
    return [(one.type, one.envelope["data"]) for one in app.shard.events.page(0, 2**62)]


def test_a_new_net_has_a_slot_and_a_uid_each_told_twice(app: ShardApp, client: FlaskClient) -> None:
    made = said(client.post(NETS, json={"name": "Strike Net"}))
    assert re.fullmatch("net_[a-z2-7]{24}", made["netUid"])
    assert made == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "action": "net.create",
        "changed": True,
        "version": 1,
        "netId": 1,
        "slot": 1,
        "netUid": made["netUid"],
        "uid": made["netUid"],
        "name": "Strike Net",
    }


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("  Strike  ", "Strike"),
        ("\tStrike\n", "Strike"),
        ("Größe 日本 🛰", "Größe 日本 🛰"),
        ("n" * 64, "n" * 64),
        ("  " + "n" * 64 + "  ", "n" * 64),
        ("...", "..."),
        ("a/b%20", "a/b%20"),
        ("<script>", "<script>"),
    ],
)
def test_a_name_is_trimmed_and_otherwise_kept(client: FlaskClient, sent: str, kept: str) -> None:
    assert said(client.post(NETS, json={"name": sent}))["name"] == kept
    assert said(client.get(f"{API}/status"))["nets"][0]["name"] == kept


def test_names_need_not_be_unique(client: FlaskClient) -> None:
    assert create(client) != create(client)
    assert [net["id"] for net in said(client.get(f"{API}/status"))["nets"]] == [1, 2]


def test_a_stale_slot_hits_nobody_as_long_as_others_are_free(make_app: Callable[..., ShardApp]) -> None:
    client = client_of(make_app(CENTRAL__MAX_NETS="4"))
    for _ in range(3):
        create(client)
    for slot in (2, 1):
        said(client.delete(f"{NETS}/{slot}"))
    slots = [said(client.post(NETS, json={"name": "N"}))["slot"] for _ in range(3)]
    assert slots == [4, 2, 1]
    problem(client.post(NETS, json={"name": "N"}), "no_free_slot")


@pytest.mark.parametrize("by", [["netUid"], ["netId"], ["netUid", "netId"]])
def test_a_net_is_renamed_by_uid_by_slot_or_by_both(
    app: ShardApp, client: FlaskClient, by: list[str]
) -> None:
    uid = create(client)
    refs = {"netUid": uid, "netId": 1}
    body = {name: refs[name] for name in by} | {"name": " Air Wing "}
    answer = said(client.post(f"{NETS}/rename", json=body))
    assert (answer["action"], answer["changed"], answer["version"]) == ("net.rename", True, 2)
    assert (answer["netId"], answer["netUid"], answer["name"]) == (1, uid, "Air Wing")
    assert told(app)[-1][1] == {
        "action": "net.rename",
        "version": 2,
        "uid": uid,
        "keyId": app.shard.keys.all()[0].id,
    }


def test_a_name_it_has_already_changes_nothing(app: ShardApp, client: FlaskClient) -> None:
    create(client)
    again = said(client.post(f"{NETS}/rename", json={"netId": 1, "name": "Strike"}))
    assert (again["changed"], again["version"]) == (False, 1) and len(told(app)) == 1


@pytest.mark.parametrize("by", ["uid in path", "slot in path", "uid in body", "slot in body"])
def test_a_net_is_removed_by_path_or_body(app: ShardApp, client: FlaskClient, by: str) -> None:
    uid = create(client)
    said(client.post(f"{API}/assignments", json={"userId": "7", "netId": 1}))
    answer = said(
        {
            "uid in path": lambda: client.delete(f"{NETS}/{uid}"),
            "slot in path": lambda: client.delete(f"{NETS}/1"),
            "uid in body": lambda: client.post(f"{NETS}/remove", json={"netUid": uid}),
            "slot in body": lambda: client.post(f"{NETS}/remove", json={"netId": 1}),
        }[by]()
    )
    assert (answer["action"], answer["changed"], answer["archived"]) == ("net.remove", True, True)
    assert (answer["netId"], answer["netUid"], answer["version"]) == (1, uid, 3)
    entry = answer["entry"]
    assert (entry["uid"], entry["name"], entry["assignedUserIds"]) == (uid, "Strike", ["7"])
    assert entry["notes"] == "" and entry["tags"] == [] and entry["relayTargetNetUids"] == []
    assert entry["createdAt"] == entry["archivedAt"] == entry["updatedAt"] != ""
    assert not app.shard.guild.nets and not app.shard.guild.members
    assert told(app)[-1][1]["action"] == "net.remove"


def test_a_net_removed_before_is_answered_with_its_entry(client: FlaskClient) -> None:
    uid = create(client)
    first = said(client.delete(f"{NETS}/{uid}"))
    for again in (client.delete(f"{NETS}/{uid}"), client.post(f"{NETS}/remove", json={"netUid": uid})):
        answer = said(again)
        assert (answer["changed"], answer["version"]) == (False, 2) and "netId" not in answer
        assert answer["entry"] == first["entry"] and answer["archived"] is True
    dry = said(client.delete(f"{NETS}/{uid}?dryRun=true"))
    assert dry["changed"] is False and dry["entry"] == first["entry"]
    problem(client.delete(f"{NETS}/1"), "net_not_found")


def test_a_net_removed_before_may_be_named_by_the_slot_it_had_too(client: FlaskClient) -> None:
    both = {"netUid": create(client), "netId": 1}
    first = said(client.post(f"{NETS}/remove", json=both))
    again = said(client.post(f"{NETS}/remove", json=both))
    assert (again["changed"], again["entry"]) == (False, first["entry"])
    problem(client.post(f"{NETS}/remove", json={"netUid": "net_none", "netId": 1}), "net_not_found")
    said(client.post(f"{API}/features", json={"features": {"maxNets": 1}}))
    create(client)  # in the same slot
    problem(client.post(f"{NETS}/remove", json=both), "net_mismatch")


def test_a_net_removed_again_keeps_the_notes_and_the_beginning_of_its_entry(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid, now = create(client), clock.now()
    first = said(client.delete(f"{NETS}/{uid}"))["entry"]
    app.shard.central.submit(
        [
            RestoreNet(
                entry=Archived(
                    uid=uid,
                    name="Back",
                    assigned_user_ids=(),
                    relay_target_net_uids=(),
                    inbound_relay_from_net_uids=(),
                )
            )
        ]
    )
    monkeypatch.setattr(clock, "now", lambda: now + 5000)
    again = said(client.delete(f"{NETS}/{uid}"))["entry"]
    assert again["name"] == "Back" and again["createdAt"] == first["createdAt"] < again["archivedAt"]


def test_removing_a_net_takes_its_rules_relays_and_org_link_along(app: ShardApp, client: FlaskClient) -> None:
    first, second = create(client), create(client)
    entry = Archived(
        uid="net_old",
        name="Old",
        assigned_user_ids=(),
        relay_target_net_uids=(first,),
        inbound_relay_from_net_uids=(second,),
    )
    app.shard.central.submit(
        [
            RestoreNet(entry=entry),
            SetRules(
                rules=(Rule(role_id="10", net_uids=(first, second)), Rule(role_id="11", net_uids=(first,)))
            ),
            SetFeatures(changes=FeatureChanges(org_link=OrgLinkChanges(enabled=True, net_uid=first))),
        ]
    )
    removed = said(client.delete(f"{NETS}/{first}"))["entry"]
    assert removed["inboundRelayFromNetUids"] == ["net_old"]
    status = said(client.get(f"{API}/status"))
    relays = {net["netUid"]: net["relayTargetNetUids"] for net in status["nets"]}
    assert relays == {second: ["net_old"], "net_old": []}
    assert said(client.get(f"{API}/features"))["features"]["orgLink"]["netUid"] == ""
    assert app.shard.guild.rules == (Rule(role_id="10", net_uids=(second,)),)


def test_who_talks_on_a_net_that_is_removed_is_stopped(app: ShardApp, client: FlaskClient) -> None:
    uid = create(client)
    said(client.post(f"{API}/operation", json={"open": True}))
    said(client.post(f"{API}/assignments", json={"userId": "7", "netId": 1}))
    talker = join(app, "7")
    app.shard.presence.key_up(talker, uid)
    gevent.sleep(0.01)
    said(client.delete(f"{NETS}/{uid}"))
    assert talker.last("ptt.stop")["data"]["reason"] == "net_removed"
    assert talker.last("config")["nets"] == [] and not app.shard.presence.transmissions
    ends = [type_ for type_, _ in told(app)][-2:]
    assert ends == ["ptt.stop", "config.changed"]


def test_every_operator_hears_of_a_change_once(app: ShardApp, client: FlaskClient) -> None:
    listeners = [join(app, "1"), join(app, "2")]
    uid = create(client)
    for listener in listeners:
        (config,) = listener.seen
        assert config["type"] == "config" and config["version"] == 1 and config["assignments"] == []
        assert config["nets"] == [{"id": 1, "uid": uid, "netUid": uid, "name": "Strike", "assigned": False}]

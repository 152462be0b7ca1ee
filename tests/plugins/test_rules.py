"""/rules: which roles are on which nets by themselves."""

from typing import Any

import gevent
import pytest
from apps import API, client_of, join, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp, clock
from shardapi.commands import RemoveNet, SetRules
from shardapi.guild import Rule

RULES = f"{API}/rules"
PILOT, MEDIC = "1505521308744679464", "9007199254740993"


@pytest.fixture
def uids(client: FlaskClient) -> list[str]:
    """Three nets, in the slots 1 to 3, and the operation open."""
    said(client.post(f"{API}/operation", json={"open": True}))
    return [said(client.post(f"{API}/nets", json={"name": name}))["netUid"] for name in "ABC"]


def put(client: FlaskClient, *rules: dict[str, Any]) -> dict[str, Any]:
    """The answer to a write of all rules."""
    return said(client.post(RULES, json={"rules": rules}))


def rule(role: str, *nets: str) -> dict[str, Any]:
    return {"roleId": role, "netUids": nets}


def read(client: FlaskClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said(client.get(RULES))["rules"]
    return found


def told(app: ShardApp, since: int) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of the events since one, in their order."""
    app.shard.writer.write(lambda: None)  # what waits goes first
    return [(one.type, one.envelope["data"]) for one in app.shard.events.page(since, 2**62)]


# -- what is written


def test_a_new_guild_has_no_rules(app: ShardApp, client: FlaskClient) -> None:
    assert said(client.get(RULES)) == {"ok": True, "guildId": app.shard.guild_id, "rules": []}


def test_rules_replace_those_before_and_are_told_once(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    put(client, rule("1", uids[0]))
    since = app.shard.events.newest
    answer = put(client, rule(PILOT, uids[2], uids[0]), rule(MEDIC, uids[1]))
    shown = [
        {"roleId": PILOT, "netUids": [uids[2], uids[0]], "netIds": [3, 1], "netId": 3},
        {"roleId": MEDIC, "netUids": [uids[1]], "netIds": [2], "netId": 2},
    ]
    assert answer == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "action": "rules.set",
        "changed": True,
        "version": 6,
        "rules": shown,
    }
    assert read(client) == shown
    key = app.shard.keys.all()[0].id
    assert told(app, since) == [("config.changed", {"action": "rules.set", "version": 6, "keyId": key})]
    assert put(client)["rules"] == [] == read(client)


def test_nets_are_named_in_any_of_three_ways(client: FlaskClient, uids: list[str]) -> None:
    ways: list[dict[str, Any]] = [
        {"netUids": [uids[1], uids[0]]},
        {"netIds": [2, 1]},
        {"netUids": [uids[1], uids[0]], "netIds": [1, 2], "netId": None},
        {"netUids": [uids[1], uids[0]], "netId": 1},
        {"netIds": [2, 1], "netId": 1, "netUids": None},
    ]
    for way in ways:
        shown = {"roleId": PILOT, "netUids": [uids[1], uids[0]], "netIds": [2, 1], "netId": 2}
        assert put(client, {"roleId": PILOT, **way})["rules"] == [shown], way
    (one,) = put(client, {"roleId": PILOT, "netId": 3})["rules"]
    assert (one["netUids"], one["netIds"], one["netId"]) == ([uids[2]], [3], 3)


def test_what_was_read_can_be_written_back(client: FlaskClient, uids: list[str]) -> None:
    put(client, rule(PILOT, *uids), rule("empty"), rule(MEDIC, uids[1]))
    again = put(client, *read(client))
    assert again["changed"] is False and again["rules"] == read(client)


def test_a_rule_without_nets_is_kept_and_names_no_first_net(client: FlaskClient, uids: list[str]) -> None:
    shown = {"roleId": PILOT, "netUids": [], "netIds": []}
    assert put(client, rule(PILOT))["rules"] == [shown] == read(client)
    said(client.delete(f"{API}/nets/{uids[0]}"))
    assert read(client) == [shown]


def test_rules_for_one_role_are_one(client: FlaskClient, uids: list[str]) -> None:
    several = [{"roleId": PILOT, "netId": 2}, rule(MEDIC, uids[0]), {"roleId": PILOT, "netIds": [1, 2]}]
    assert [(one["roleId"], one["netIds"]) for one in put(client, *several)["rules"]] == [
        (PILOT, [2, 1]),
        (MEDIC, [1]),
    ]
    assert put(client, *several)["changed"] is False


def test_a_net_that_is_removed_leaves_the_rules(client: FlaskClient, uids: list[str]) -> None:
    put(client, rule(PILOT, uids[0], uids[1]), rule(MEDIC, uids[0]))
    said(client.delete(f"{API}/nets/{uids[0]}"))
    assert read(client) == [{"roleId": PILOT, "netUids": [uids[1]], "netIds": [2], "netId": 2}]


def test_what_is_so_already_changes_nothing(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    put(client, rule(PILOT, uids[0]))
    operator = join(app, "1", PILOT)
    app.shard.writer.write(lambda: None)
    newest = app.shard.events.newest
    again = put(client, rule(PILOT, uids[0]))
    assert (again["changed"], again["version"]) == (False, 5)
    assert app.shard.events.newest == newest and operator.seen == []


# -- what is refused


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        (None, "rules"),
        ({"roleId": PILOT}, "rules"),
        ([PILOT], "rules[0]"),
        ([{"netIds": [1]}], "rules[0].roleId"),
        ([{"roleId": 1505521308744679464, "netIds": [1]}], "rules[0].roleId"),
        ([{"roleId": "", "netIds": [1]}], "rules[0].roleId"),
        ([{"roleId": "a b", "netIds": [1]}], "rules[0].roleId"),
        ([{"roleId": "1" * 65, "netIds": [1]}], "rules[0].roleId"),
        ([{"roleId": PILOT}], "rules[0].netUids"),
        ([{"roleId": PILOT, "netUids": None, "netIds": None, "netId": None}], "rules[0].netUids"),
        ([{"roleId": PILOT, "netUids": "net_a"}], "rules[0].netUids"),
        ([{"roleId": PILOT, "netUids": [1]}], "rules[0].netUids[0]"),
        ([{"roleId": PILOT, "netUids": [""]}], "rules[0].netUids[0]"),
        ([{"roleId": PILOT, "netUids": ["x" * 65]}], "rules[0].netUids[0]"),
        ([{"roleId": PILOT, "netIds": 1}], "rules[0].netIds"),
        ([{"roleId": PILOT, "netIds": ["1"]}], "rules[0].netIds[0]"),
        ([{"roleId": PILOT, "netIds": [0]}], "rules[0].netIds[0]"),
        ([{"roleId": PILOT, "netIds": [256]}], "rules[0].netIds[0]"),
        ([{"roleId": PILOT, "netIds": [1.5]}], "rules[0].netIds[0]"),
        ([{"roleId": PILOT, "netId": True}], "rules[0].netId"),
        ([{"roleId": PILOT, "netId": -1}], "rules[0].netId"),
        ([{"roleId": PILOT, "netIds": [1] * 51}], "rules[0].netIds"),
        ([{"roleId": PILOT, "netUids": ["net_a"] * 51}], "rules[0].netUids"),
        ([{"roleId": str(role), "netIds": [1]} for role in range(201)], "rules"),
    ],
)
def test_a_bad_value_is_refused_by_its_path_and_nothing_changes(
    app: ShardApp, client: FlaskClient, uids: list[str], rules: Any, path: str
) -> None:
    put(client, rule(MEDIC, uids[0]))
    before = read(client)
    found = problem(client.post(RULES, json={"rules": rules}), "invalid_value")
    assert found["errors"][0]["path"] == path
    assert app.shard.guild.version == 5 and read(client) == before


def test_a_write_that_names_no_rules_is_refused(client: FlaskClient) -> None:
    for body in ("", "{}"):
        assert "rules" in problem(client.post(RULES, data=body), "invalid_value")["detail"]


def test_200_rules_of_50_nets_are_taken(client: FlaskClient) -> None:
    uids = [said(client.post(f"{API}/nets", json={"name": "N"}))["netUid"] for _ in range(50)]
    answer = put(client, *(rule(str(role), *uids) for role in range(200)))
    assert len(answer["rules"]) == 200 and answer["rules"][199]["netIds"] == list(range(1, 51))


@pytest.mark.parametrize(
    ("nets", "code"),
    [
        ({"netUids": ["net_gone"]}, "net_not_found"),
        ({"netUids": ["A", "net_gone"]}, "net_not_found"),
        ({"netIds": [9]}, "net_not_found"),
        ({"netId": 9}, "net_not_found"),
        ({"netUids": ["net_public"]}, "net_protected"),
        ({"netIds": [250]}, "net_protected"),
        ({"netId": 255}, "net_protected"),
        ({"netUids": ["A"], "netIds": [2]}, "net_mismatch"),
        ({"netUids": ["A"], "netIds": [1, 2]}, "net_mismatch"),
        ({"netUids": ["A", "B"], "netIds": [1]}, "net_mismatch"),
        ({"netUids": ["A"], "netId": 2}, "net_mismatch"),
        ({"netIds": [1], "netId": 2}, "net_mismatch"),
        ({"netUids": [], "netIds": [1]}, "net_mismatch"),
        ({"netUids": [], "netId": 1}, "net_mismatch"),
        ({"netUids": ["A"], "netIds": []}, "net_mismatch"),
    ],
)
def test_a_net_that_is_gone_or_named_as_two_is_refused_with_its_rule(
    app: ShardApp, client: FlaskClient, uids: list[str], nets: dict[str, Any], code: str
) -> None:
    known = dict(zip("ABC", uids, strict=True))
    named = {"roleId": PILOT, **nets}
    if "netUids" in nets:
        named["netUids"] = [known.get(uid, uid) for uid in nets["netUids"]]
    found = problem(client.post(RULES, json={"rules": [rule(MEDIC, uids[0]), named]}), code)
    assert found["errors"][0]["path"] == "rules[1]"
    assert found.get("hint") or code == "net_protected"
    assert read(client) == [] and app.shard.guild.version == 4


def test_a_mistyped_net_is_told_with_the_one_that_was_meant(client: FlaskClient, uids: list[str]) -> None:
    wrong = uids[0][:-1] + ("a" if uids[0][-1] != "a" else "b")
    found = problem(client.post(RULES, json={"rules": [rule(PILOT, wrong)]}), "net_not_found")
    assert found["hint"] == f"Did you mean {uids[0]} (A)?"


def test_a_net_removed_just_before_is_refused_whatever_its_slot_holds_now(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    removing = gevent.spawn(app.shard.central.submit, [RemoveNet(uid=uids[0])])
    writing = gevent.spawn(client.post, RULES, json={"rules": [{"roleId": PILOT, "netId": 1}]})
    gevent.joinall([removing, writing], timeout=10, raise_error=True)
    problem(writing.value, "net_not_found")


def test_each_scope_opens_its_own_door(app: ShardApp) -> None:
    reads, writes = client_of(app, "read:assignments"), client_of(app, "write:rules")
    said(reads.get(RULES))
    put(writes)
    assert "write:rules" in problem(reads.post(RULES, json={"rules": []}), "missing_scope")["detail"]
    assert "read:assignments" in problem(writes.get(RULES), "missing_scope")["detail"]


# -- who moves


def nets_of(client: FlaskClient) -> dict[str, list[int]]:
    """The nets of everyone on the roster."""
    return {one["userId"]: one["nets"] for one in said(client.get(f"{API}/roster"))["operators"]}


def test_connected_operators_move_at_once_and_those_who_come_later_too(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    pilot, medic, cook = join(app, "p", PILOT), join(app, "m", MEDIC, PILOT), join(app, "c")
    put(client, rule(PILOT, uids[0]), rule(MEDIC, uids[1], uids[2]))
    pushes = [[one["assignments"] for one in operator.seen] for operator in (pilot, medic, cook)]
    assert pushes == [[[1]], [[1, 2, 3]], [[]]]
    assert [net["assigned"] for net in medic.last("config")["nets"]] == [True, True, True]
    join(app, "late", MEDIC)
    assert nets_of(client) == {"p": [1], "m": [1, 2, 3], "c": [], "late": [2, 3]}
    put(client, rule(PILOT, uids[2]))
    assert nets_of(client) == {"p": [3], "m": [3], "c": [], "late": []}
    entries = said(client.get(f"{API}/assignments"))["entries"]
    assert {(one["userId"], one["netId"], one["source"], one["roleId"]) for one in entries} == {
        ("p", 3, "rule", PILOT),
        ("m", 3, "rule", PILOT),
    }


def test_a_rule_that_goes_takes_only_what_it_gave(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    operator = join(app, "1", PILOT)
    put(client, rule(PILOT, *uids))
    said(client.post(f"{API}/assignments", json={"userId": "1", "netId": 1}))
    said(client.post(f"{API}/assignments/temporary", json={"userId": "1", "netId": 2}))
    assert operator.last("config")["assignments"] == [1, 2, 3]
    put(client)
    assert operator.last("config")["assignments"] == [1, 2]
    assert said(client.get(f"{API}/assignments"))["assignments"] == {"1": [1, 2]}


def test_who_talks_by_a_rule_that_goes_is_stopped_and_who_is_assigned_talks_on(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    put(client, rule(PILOT, uids[0]))
    said(client.post(f"{API}/assignments", json={"userId": "kept", "netId": 1}))
    gone, kept = join(app, "gone", PILOT), join(app, "kept", PILOT)
    for talker in (gone, kept):
        app.shard.presence.key_up(talker, uids[0])
    gone.seen.clear()
    since = app.shard.events.newest
    put(client, rule(PILOT, uids[1]))
    assert [one["type"] for one in gone.seen] == ["ptt.stop", "config"]
    assert gone.last("ptt.stop")["data"]["reason"] == "unassigned"
    assert app.shard.presence.transmitting(uids[0]) == ["kept"]
    assert [type_ for type_, _ in told(app, since)][-3:] == [
        "ptt.stop",
        "config.changed",
        "assignments.changed",
    ]


def test_how_many_assignments_moved_is_told_once_a_write(
    app: ShardApp, client: FlaskClient, uids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for user, roles in (("1", (PILOT,)), ("2", (PILOT,)), ("3", (PILOT, MEDIC)), ("4", ())):
        join(app, user, *roles)
    said(client.post(f"{API}/assignments", json={"userId": "1", "netId": 1}))
    said(client.post(f"{API}/assignments/temporary", json={"userId": "2", "netId": 2, "minutes": 1}))
    key = app.shard.keys.all()[0].id

    def count(*rules: dict[str, Any]) -> list[int]:
        since = app.shard.events.newest
        put(client, *rules)
        found = [data for type_, data in told(app, since) if type_ == "assignments.changed"]
        counts = [data.pop("count") for data in found]
        assert found == [{"source": "rule", "action": "rules.set", "keyId": key} for _ in counts]
        return counts

    assert count(rule(PILOT, uids[0], uids[1])) == [4]  # 2 and 3 on the first, 1 and 3 on the second
    assert count(rule(PILOT, uids[0], uids[1]), rule(MEDIC, uids[1])) == []  # 3 is there already
    assert count(rule(PILOT, uids[2]), rule(MEDIC, uids[1])) == [6]
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 61_000)
    assert count(rule(PILOT, uids[1], uids[2])) == [2]  # 1, and 2, whose time is over
    assert count(rule("nobody", uids[0])) == [6]
    assert count() == []


def test_a_dry_run_moves_nobody(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    operator = join(app, "1", PILOT)
    app.shard.writer.write(lambda: None)
    newest = app.shard.events.newest
    body = {"rules": [rule(PILOT, uids[0])]}
    dry = said(client.post(f"{RULES}?dryRun=true", json=body))
    assert (dry["changed"], dry["dryRun"], dry["version"]) == (True, True, 4)
    assert dry["rules"][0]["netIds"] == [1]
    assert read(client) == [] and operator.seen == [] and app.shard.events.newest == newest


def test_rules_outlive_the_process(client: FlaskClient, app: ShardApp, uids: list[str]) -> None:
    put(client, rule(PILOT, uids[1], uids[0]), rule("empty"))
    app.shard.writer.refresh()
    assert app.shard.guild.rules == (
        Rule(role_id=PILOT, net_uids=(uids[1], uids[0])),
        Rule(role_id="empty", net_uids=()),
    )


def test_an_unassign_beside_the_end_of_a_rule_speaks_of_what_is_left(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    put(client, rule(PILOT, uids[0]))
    join(app, "1", PILOT)
    said(client.post(f"{API}/assignments", json={"userId": "1", "netId": 1}))
    unassign = {"userId": "1", "netId": 1, "action": "unassign"}
    ending = gevent.spawn(app.shard.central.submit, [SetRules(rules=())])
    asking = gevent.spawn(client.post, f"{API}/assignments", json=unassign)
    gevent.joinall([ending, asking], timeout=10, raise_error=True)
    answer = said(asking.value)
    assert answer["effective"] is False and "hint" not in answer
    assert nets_of(client) == {"1": []}

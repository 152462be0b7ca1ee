"""/assignments: by hand, for a while, by a rule; one at a time or many at once."""

from collections.abc import Callable
from typing import Any

import pytest
from apps import API, client_of, join, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp, clock
from shardapi.clock import iso
from shardapi.commands import SetRules
from shardapi.guild import Assignment, Rule

ASSIGN, BULK, TEMPORARY = f"{API}/assignments", f"{API}/assignments/bulk", f"{API}/assignments/temporary"
SNOWFLAKE = "123456789012345678"


@pytest.fixture
def uids(app: ShardApp, client: FlaskClient) -> list[str]:
    """Two nets, in the slots 1 and 2."""
    return [said(client.post(f"{API}/nets", json={"name": name}))["netUid"] for name in ("Strike", "Air")]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> int:
    """The time, which stands still."""
    at = clock.now()
    monkeypatch.setattr(clock, "now", lambda: at)
    return at


def told(app: ShardApp) -> list[dict[str, Any]]:
    """The data of all events about assignments."""
    events = app.shard.events.page(0, 2**62)
    return [one.envelope["data"] for one in events if one.type == "assignments.changed"]


def members(app: ShardApp) -> dict[str, dict[str, Assignment]]:
    return {uid: dict(users) for uid, users in app.shard.guild.members.items()}


def rule(app: ShardApp, role: str, *nets: str) -> None:
    app.shard.central.submit([SetRules(rules=(Rule(role_id=role, net_uids=nets),))])


# -- one


def test_a_user_is_assigned_and_unassigned(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    on = said(client.post(ASSIGN, json={"userId": SNOWFLAKE, "netUid": uids[1], "action": "assign"}))
    key = app.shard.keys.all()[0].id
    assert on == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "action": "assign",
        "changed": True,
        "version": 3,
        "userId": SNOWFLAKE,
        "netId": 2,
        "netUid": uids[1],
        "effective": True,
    }
    off = said(client.post(ASSIGN, json={"userId": SNOWFLAKE, "netId": 2, "action": "unassign"}))
    assert (off["action"], off["changed"], off["effective"], off["version"]) == ("unassign", True, False, 4)
    assert members(app) == {}
    common = {"source": "api", "userId": SNOWFLAKE, "netId": 2, "netUid": uids[1], "keyId": key}
    assert told(app) == [{**common, "action": "assign"}, {**common, "action": "unassign"}]


@pytest.mark.parametrize("action", ["assign", "unassign"])
def test_what_is_so_already_changes_nothing(
    app: ShardApp, client: FlaskClient, uids: list[str], action: str
) -> None:
    body = {"userId": "1", "netId": 1, "action": action}
    if action == "assign":
        said(client.post(ASSIGN, json=body))
    version, events = app.shard.guild.version, len(told(app))
    again = said(client.post(ASSIGN, json=body))
    assert (again["changed"], again["version"], again["effective"]) == (False, version, action == "assign")
    assert len(told(app)) == events


def test_a_user_need_not_be_connected_nor_have_a_numeric_id(client: FlaskClient, uids: list[str]) -> None:
    for user in ("anybody", "a.b:c-d_e", "9007199254740993"):
        said(client.post(ASSIGN, json={"userId": user, "netId": 1}))
    assert said(client.get(ASSIGN))["assignments"] == {
        "9007199254740993": [1],
        "a.b:c-d_e": [1],
        "anybody": [1],
    }


def test_an_unassign_that_a_rule_outlasts_says_so(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    rule(app, "10", uids[0])
    join(app, "1", "10")
    body = {"userId": "1", "netId": 1}
    said(client.post(ASSIGN, json=body))
    for query in ("?dryRun=true", ""):
        off = said(client.post(ASSIGN + query, json={**body, "action": "unassign"}))
        assert off["changed"] is True and off["effective"] is True and "rule" in off["hint"]
    other = said(client.post(ASSIGN, json={"userId": "1", "netId": 2, "action": "unassign"}))
    assert other["effective"] is False and "hint" not in other


def test_an_operator_hears_of_their_assignment_at_once(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    mine, other = join(app, "1"), join(app, "2")
    said(client.post(ASSIGN, json={"userId": "1", "netId": 2}))
    assert mine.last("config")["assignments"] == [2] and other.last("config")["assignments"] == []
    assert [net["assigned"] for net in mine.last("config")["nets"]] == [False, True]


def test_who_talks_and_is_unassigned_is_stopped(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    said(client.post(f"{API}/operation", json={"open": True}))
    said(client.post(ASSIGN, json={"userId": "1", "netId": 1}))
    talker = join(app, "1")
    app.shard.presence.key_up(talker, uids[0])
    said(client.post(ASSIGN, json={"userId": "1", "netId": 1, "action": "unassign"}))
    assert talker.last("ptt.stop")["data"]["reason"] == "unassigned"


# -- temporary


@pytest.mark.parametrize(
    ("sent", "lasts"),
    [
        ({}, 300_000),
        ({"ttlMs": 15_000}, 15_000),
        ({"ttlMs": 86_400_000}, 86_400_000),
        ({"expiresMinutes": 30}, 1_800_000),
        ({"expiresMinutes": 0.25}, 15_000),
        ({"expiresMinutes": 1440}, 86_400_000),
        ({"minutes": 2.5}, 150_000),
        ({"ttlMs": 20_000, "expiresMinutes": 30, "minutes": 10}, 20_000),
        ({"expiresMinutes": 30, "minutes": 10}, 1_800_000),
        ({"ttlMs": None, "minutes": 10}, 600_000),
    ],
)
def test_a_temporary_assignment_lasts_as_long_as_is_said(
    app: ShardApp, client: FlaskClient, uids: list[str], now: int, sent: dict[str, Any], lasts: int
) -> None:
    answer = said(client.post(TEMPORARY, json={"userId": "1", "netUid": uids[0], **sent}))
    assert (answer["action"], answer["changed"], answer["netId"]) == ("assign", True, 1)
    assert answer["expiresAt"] == iso(now + lasts)
    assert members(app) == {uids[0]: {"1": Assignment(until=now + lasts)}}
    assert told(app)[0]["source"] == "temporary" and told(app)[0]["action"] == "assign"


@pytest.mark.parametrize(
    "sent",
    [{"ttlMs": 14_999}, {"ttlMs": 86_400_001}, {"minutes": 0.24}, {"expiresMinutes": 1440.1}, {"ttlMs": 0}],
)
def test_a_temporary_assignment_lasts_15_seconds_to_24_hours(
    client: FlaskClient, uids: list[str], sent: dict[str, Any]
) -> None:
    problem(client.post(TEMPORARY, json={"userId": "1", "netId": 1, **sent}), "invalid_value")


def test_a_value_that_is_not_used_is_validated_all_the_same(client: FlaskClient, uids: list[str]) -> None:
    body = {"userId": "1", "netId": 1, "ttlMs": 20_000, "minutes": 100_000}
    problem(client.post(TEMPORARY, json=body), "invalid_value")


def test_a_repeat_keeps_the_later_end(app: ShardApp, client: FlaskClient, uids: list[str], now: int) -> None:
    for ttl, kept, changed in ((60_000, 60_000, True), (30_000, 60_000, False), (90_000, 90_000, True)):
        answer = said(client.post(TEMPORARY, json={"userId": "1", "netId": 1, "ttlMs": ttl}))
        assert (answer["expiresAt"], answer["changed"]) == (iso(now + kept), changed)


def test_a_temporary_assignment_ends_once_by_itself(
    app: ShardApp, client: FlaskClient, uids: list[str], monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    operator = join(app, "1")
    said(client.post(TEMPORARY, json={"userId": "1", "netId": 1, "ttlMs": 20_000}))
    assert operator.last("config")["assignments"] == [1]
    monkeypatch.setattr(clock, "now", lambda: now + 19_999)
    app.shard.central.end_due()
    assert members(app)
    monkeypatch.setattr(clock, "now", lambda: now + 20_000)
    for _ in range(2):
        app.shard.central.end_due()
    assert members(app) == {} and operator.last("config")["assignments"] == []
    assert [one["action"] for one in told(app)] == ["assign", "unassign"]
    assert "keyId" not in told(app)[1] and told(app)[1]["source"] == "temporary"


def test_a_past_end_is_not_effective_before_it_is_written(
    app: ShardApp, client: FlaskClient, uids: list[str], monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    said(client.post(TEMPORARY, json={"userId": "1", "netId": 1, "ttlMs": 20_000}))
    monkeypatch.setattr(clock, "now", lambda: now + 20_000)
    answer = said(client.get(ASSIGN))
    assert answer["assignments"] == {} and answer["entries"] == []


def test_a_temporary_end_leaves_the_manual_assignment_alone(
    app: ShardApp, client: FlaskClient, uids: list[str], monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    said(client.post(ASSIGN, json={"userId": "1", "netId": 1}))
    said(client.post(TEMPORARY, json={"userId": "1", "netId": 1, "ttlMs": 20_000}))
    both = said(client.get(ASSIGN))
    assert both["assignments"] == {"1": [1]}
    assert [(entry["source"], entry["expiresAt"]) for entry in both["entries"]] == [
        ("manual", ""),
        ("temporary", iso(now + 20_000)),
    ]
    monkeypatch.setattr(clock, "now", lambda: now + 20_000)
    app.shard.central.end_due()
    assert members(app) == {uids[0]: {"1": Assignment(manual=True)}}
    assert [one["action"] for one in told(app)] == ["assign", "assign"]


def test_an_end_that_was_moved_is_not_ended_early(
    app: ShardApp, client: FlaskClient, uids: list[str], monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    for ttl in (20_000, 60_000):
        said(client.post(TEMPORARY, json={"userId": "1", "netId": 1, "ttlMs": ttl}))
    monkeypatch.setattr(clock, "now", lambda: now + 30_000)
    app.shard.central.end_due()
    assert members(app)
    monkeypatch.setattr(clock, "now", lambda: now + 60_000)
    app.shard.central.end_due()
    assert not members(app)


def test_an_end_that_fell_while_nothing_ran_is_ended_at_the_start(
    app: ShardApp,
    client: FlaskClient,
    uids: list[str],
    make_app: Callable[..., ShardApp],
    monkeypatch: pytest.MonkeyPatch,
    now: int,
) -> None:
    said(client.post(TEMPORARY, json={"userId": "1", "netId": 1, "ttlMs": 20_000}))
    monkeypatch.setattr(clock, "now", lambda: now + 3_600_000)
    later = make_app()
    assert said(client_of(later).get(ASSIGN))["assignments"] == {}
    later.shard.central.end_due()
    assert members(later) == {}


def test_an_unassign_ends_manual_and_temporary(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    said(client.post(ASSIGN, json={"userId": "1", "netId": 1}))
    said(client.post(TEMPORARY, json={"userId": "1", "netId": 1}))
    said(client.post(ASSIGN, json={"userId": "1", "netId": 1, "action": "unassign"}))
    assert members(app) == {}


# -- the list


def test_the_list_tells_why_each_user_is_on_a_net(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    rule(app, "10", uids[1])
    said(client.post(ASSIGN, json={"userId": "1", "netId": 1}))
    join(app, "1", "9", "10")
    join(app, "2", "9")
    answer = said(client.get(ASSIGN))
    assert answer["assignments"] == {"1": [1]}
    assert answer["entries"] == [
        {
            "userId": "1",
            "netId": 1,
            "netUid": uids[0],
            "netName": "Strike",
            "source": "manual",
            "expiresAt": "",
        },
        {
            "userId": "1",
            "netId": 2,
            "netUid": uids[1],
            "netName": "Air",
            "source": "rule",
            "roleId": "10",
            "expiresAt": "",
        },
    ]


def test_roles_are_shown_only_with_their_scope(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    rule(app, "10", uids[1])
    join(app, "1", "10")
    without = said(client_of(app, "read:assignments").get(ASSIGN))["entries"]
    assert [entry["source"] for entry in without] == ["rule"] and "roleId" not in without[0]
    with_roles = said(client_of(app, "read:assignments", "read:roster:roles").get(ASSIGN))["entries"]
    assert with_roles[0]["roleId"] == "10"


# -- bulk


def item(user: str, net: Any, **more: Any) -> dict[str, Any]:
    return {"userId": user, "netId" if isinstance(net, int) else "netUid": net, **more}


def test_an_empty_bulk_is_refused(client: FlaskClient) -> None:
    problem(client.post(BULK, json={"assignments": []}), "invalid_value")
    problem(client.post(BULK, json={}), "invalid_value")


@pytest.mark.parametrize("count", [1, 200])
def test_a_bulk_is_one_step(app: ShardApp, client: FlaskClient, uids: list[str], count: int) -> None:
    sent = [item(str(number), 1) for number in range(count)]
    answer = said(client.post(BULK, json={"assignments": sent}))
    assert (answer["applied"], answer["skipped"], answer["failed"], answer["processed"]) == (
        count,
        0,
        0,
        count,
    )
    assert (answer["version"], answer["changed"], answer["action"]) == (3, True, "assignments.bulk")
    assert [result["userId"] for result in answer["results"]] == [one["userId"] for one in sent]
    assert [one["userId"] for one in told(app)] == [one["userId"] for one in sent]
    again = said(client.post(BULK, json={"assignments": sent}))
    assert (again["applied"], again["skipped"], again["version"]) == (0, count, 3)


def test_201_items_are_too_many_and_none_is_done(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    problem(client.post(BULK, json={"assignments": [item("1", 1)] * 201}), "too_many_items")
    assert members(app) == {}


def test_each_item_of_a_mixed_bulk_is_answered_for_itself(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    said(client.post(ASSIGN, json={"userId": "2", "netId": 1}))
    sent = [
        item("1", 1),
        item("2", uids[0]),
        item("3", 9),
        item("4", "net_none"),
        item("5", 250),
        item("2", 1, action="unassign"),
        {"userId": "6", "netId": 1, "netUid": uids[1]},
        item("1", 1),
    ]
    answer = said(client.post(BULK, json={"assignments": sent}))
    assert [(one["ok"], one["changed"], one.get("code", "")) for one in answer["results"]] == [
        (True, True, ""),
        (True, False, ""),
        (False, False, "net_not_found"),
        (False, False, "net_not_found"),
        (False, False, "net_protected"),
        (True, True, ""),
        (False, False, "net_mismatch"),
        (True, False, ""),
    ]
    assert (answer["applied"], answer["skipped"], answer["failed"], answer["processed"]) == (2, 2, 4, 8)
    failed = [one for one in answer["results"] if not one["ok"]]
    assert all(one["error"].strip() for one in failed)
    assert (failed[0]["netId"], failed[1]["netUid"]) == (9, "net_none")
    assert answer["results"][0] == {
        "userId": "1",
        "netId": 1,
        "netUid": uids[0],
        "action": "assign",
        "ok": True,
        "changed": True,
    }
    assert members(app) == {uids[0]: {"1": Assignment(manual=True)}}


def test_a_bulk_in_which_all_fail_is_an_answer_too(app: ShardApp, client: FlaskClient) -> None:
    answer = said(client.post(BULK, json={"assignments": [item("1", 9)]}))
    assert (answer["failed"], answer["changed"], answer["version"]) == (1, False, 0)


def test_the_action_of_the_bulk_is_the_default_of_its_items(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    said(client.post(BULK, json={"assignments": [item("1", 1), item("2", 1)]}))
    sent = {"assignments": [item("1", 1), item("3", 1, action="assign")], "action": "unassign"}
    answer = said(client.post(BULK, json=sent))
    assert [one["action"] for one in answer["results"]] == ["unassign", "assign"]
    assert set(members(app)[uids[0]]) == {"2", "3"}


def test_an_atomic_bulk_changes_all_or_nothing(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    good, bad = [item("1", 1), item("2", 2)], [item("3", 9)]
    refused = problem(client.post(BULK, json={"assignments": good + bad, "atomic": True}), "bulk_refused")
    assert [(one["ok"], one["changed"]) for one in refused["results"]] == [
        (True, False),
        (True, False),
        (False, False),
    ]
    assert refused["results"][2]["code"] == "net_not_found"
    assert members(app) == {} and app.shard.guild.version == 2 and told(app) == []
    answer = said(client.post(BULK, json={"assignments": good, "atomic": True}))
    assert answer["applied"] == 2 and set(members(app)) == set(uids)


def test_an_item_with_a_bad_value_refuses_the_whole_bulk(
    app: ShardApp, client: FlaskClient, uids: list[str]
) -> None:
    sent = [item("1", 1), item("b a d", 1)]
    refused = problem(client.post(BULK, json={"assignments": sent}), "invalid_value")
    assert refused["errors"][0]["path"] == "assignments[1].userId" and members(app) == {}


def test_a_bulk_is_one_message_to_each_operator(app: ShardApp, client: FlaskClient, uids: list[str]) -> None:
    operator = join(app, "1")
    said(client.post(BULK, json={"assignments": [item("1", 1), item("1", 2), item("2", 1)]}))
    assert [message["assignments"] for message in operator.seen] == [[1, 2]]

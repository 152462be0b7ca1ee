"""/roster: who is connected."""

from typing import Any

from apps import API, client_of, join, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp
from shardapi.clock import iso
from shardapi.commands import SetOperation, SetPublicNet


def roster(client: FlaskClient) -> list[dict[str, Any]]:
    answer = said(client.get(f"{API}/roster"))
    assert answer["operators"] == answer["roster"]
    found: list[dict[str, Any]] = answer["operators"]
    return found


def test_nobody_is_on_a_new_roster(client: FlaskClient) -> None:
    assert roster(client) == []


def test_an_operator_is_shown_with_everything(app: ShardApp, client: FlaskClient) -> None:
    uids = [said(client.post(f"{API}/nets", json={"name": name}))["netUid"] for name in ("A", "B")]
    for slot in (2, 1):
        said(client.post(f"{API}/assignments", json={"userId": "9007199254740993", "netId": slot}))
    app.shard.central.submit([SetOperation(open=True)])
    operator = join(app, "9007199254740993", "10", "11", name="Änne")
    app.shard.presence.key_up(operator, uids[1])
    since = iso(app.shard.presence.users["9007199254740993"].since)
    assert roster(client) == [
        {
            "userId": "9007199254740993",
            "displayName": "Änne",
            "nets": [1, 2],
            "netUids": uids,
            "netUid": uids[0],
            "transport": "ws",
            "transmitting": True,
            "since": since,
            "connectedAt": since,
            "service": False,
            "roles": ["10", "11"],
        }
    ]


def test_an_operator_on_no_net_has_no_first_one(app: ShardApp, client: FlaskClient) -> None:
    join(app, "1")
    (operator,) = roster(client)
    assert (operator["nets"], operator["netUids"], operator["netUid"]) == ([], [], "")


def test_the_public_net_is_one_of_theirs(app: ShardApp, client: FlaskClient) -> None:
    app.shard.central.submit([SetPublicNet(action="show")])
    join(app, "1")
    (operator,) = roster(client)
    assert (operator["nets"], operator["netUids"]) == ([250], ["net_public"])


def test_roles_are_shown_only_with_their_scope(app: ShardApp, client: FlaskClient) -> None:
    join(app, "1", "10")
    (without,) = roster(client_of(app, "read:roster"))
    assert "roles" not in without
    (with_roles,) = roster(client_of(app, "read:roster", "read:roster:roles"))
    assert with_roles["roles"] == ["10"]
    assert "roles" not in roster(client_of(app, "read:roster"))[0]
    problem(client_of(app, "read:roster:roles").get(f"{API}/roster"), "missing_scope")


def test_a_user_with_two_connections_is_one_operator(app: ShardApp, client: FlaskClient) -> None:
    first = join(app, "1")
    join(app, "1")
    assert len(roster(client)) == 1
    app.shard.presence.leave(first, "closed")
    assert len(roster(client)) == 1


def test_a_service_listener_is_on_the_roster(app: ShardApp, client: FlaskClient) -> None:
    join(app, "svc", service=True)
    assert [operator["service"] for operator in roster(client)] == [True]

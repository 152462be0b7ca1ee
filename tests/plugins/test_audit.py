"""/audit: what was asked of this shard, and what came of it."""

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from apps import API, client_of, client_with, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp, clock


def entries(app: ShardApp, client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    app.shard.audit.flush()
    found: list[dict[str, Any]] = said(client.get(f"{API}/audit{query}"))["entries"]
    return found


def test_an_entry_tells_all_of_a_call(app: ShardApp, client: FlaskClient) -> None:
    headers = {"X-Request-Id": "r1", "X-Audit-Log-Reason": "Friday op"}
    said(client.post(f"{API}/nets?dryRun=true", json={"name": "Strike"}, headers=headers))
    (entry,) = entries(app, client)
    (key,) = app.shard.keys.all()
    assert entry.pop("at").endswith("Z") and entry.pop("id") > 0
    assert entry == {
        "keyId": key.id,
        "keyName": "test",
        "method": "POST",
        "path": f"{API}/nets",
        "status": 200,
        "code": "",
        "requestId": "r1",
        "address": "127.0.0.1",
        "dryRun": True,
        "reason": "Friday op",
        "count": 1,
    }


def test_the_newest_entries_come_first(app: ShardApp, client: FlaskClient) -> None:
    for number in range(3):
        client.get(f"{API}/status", headers={"X-Request-Id": f"r{number}"})
    found = entries(app, client)
    assert [entry["requestId"] for entry in found] == ["r2", "r1", "r0"]
    assert [entry["id"] for entry in found] == sorted((entry["id"] for entry in found), reverse=True)


def test_pages_are_cut_by_limit_and_before(app: ShardApp, client: FlaskClient) -> None:
    for number in range(5):
        client.get(f"{API}/status", headers={"X-Request-Id": f"r{number}"})
    first = entries(app, client, "?limit=2")
    assert [entry["requestId"] for entry in first] == ["r4", "r3"]
    rest = entries(app, client, f"?before={first[-1]['id']}&limit=1000")
    assert [entry["requestId"] for entry in rest] == ["r2", "r1", "r0"]
    assert entries(app, client, f"?before={rest[-1]['id']}") == []


def test_calls_stand_in_the_order_in_which_they_were_done(app: ShardApp, client: FlaskClient) -> None:
    client.post(f"{API}/nets", json={})  # waits to be written, while the next is written with its effect
    gevent.sleep(0.01)
    client.post(f"{API}/nets", json={"name": "A"})
    assert [entry["status"] for entry in entries(app, client)] == [200, 400]
    newest, oldest = entries(app, client, "?path=/nets")
    assert newest["id"] < oldest["id"] and entries(app, client, f"?before={newest['id']}&limit=1") == [oldest]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "before=x", "before=-1", f"before={2**63}"]
)
def test_a_page_out_of_bounds_is_refused(client: FlaskClient, query: str) -> None:
    problem(client.get(f"{API}/audit?{query}"), "invalid_value")


def test_a_hundred_entries_are_shown_unless_told_otherwise(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(LIMITS__DEFAULT="1000/minute")
    client = client_of(app)
    for _ in range(105):
        client.get(f"{API}/status")
    assert len(entries(app, client)) == 100 and len(entries(app, client, "?limit=1000")) == 106


def test_refused_and_keyless_tries_are_shown(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)  # a row is of one minute
    client_of(app, "read:status").get(f"{API}/roster")
    for _ in range(3):
        client_with(app, "scok_wrong").get(f"{API}/status")
    found = {entry["code"]: entry for entry in entries(app, client)}
    assert found["missing_scope"]["keyName"] == "client" and found["missing_scope"]["status"] == 403
    keyless = found["unauthorized"]
    assert (keyless["keyId"], keyless["keyName"], keyless["count"]) == ("", "", 3)


def test_a_guild_sees_its_own_audit_only(
    app: ShardApp, client: FlaskClient, make_app: Callable[..., ShardApp]
) -> None:
    other = make_app(GUILD__ID="42")
    said(client_of(other).post(f"{API}/nets", json={"name": "A"}))
    assert entries(app, client) == []


# -- filters


@pytest.fixture
def past(app: ShardApp, client: FlaskClient) -> dict[str, str]:
    """Calls of two keys, some refused; the keys' ids by name."""
    other = client_of(app, "read:status")
    client.post(f"{API}/nets", json={"name": "A"})
    for path in ("status", "archive/x_100%25", "webhooks/wh_nothing/deliveries"):
        client.get(f"{API}/{path}")
        other.get(f"{API}/{path}")
    return {key.name: key.id for key in app.shard.keys.all()}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("keyId={test}", 4),
        ("keyId={client}", 3),
        ("keyId=key_nobody", 0),
        ("status=200", 3),
        ("status=403", 2),
        ("status=4xx", 4),
        ("status=4xx&keyId={client}", 2),
        ("path=/nets", 1),
        ("path=_100%25", 2),
        ("path=%25", 2),
        ("path=stat", 2),
        ("since=2020-01-01T00:00:00Z", 7),
        ("until=2020-01-01T00:00:00Z", 0),
        ("since=2020-01-01T00:00:00%2B01:00&until=2100-01-01", 7),
    ],
)
def test_filters_leave_what_they_name(
    app: ShardApp, client: FlaskClient, past: dict[str, str], query: str, count: int
) -> None:
    assert len(entries(app, client, f"?{query.format(**past)}")) == count


def test_filters_hold_from_page_to_page(app: ShardApp, client: FlaskClient, past: dict[str, str]) -> None:
    query = f"?keyId={past['test']}&limit=3"
    first = entries(app, client, query)
    (last,) = entries(app, client, f"{query}&before={first[-1]['id']}&until={first[0]['at']}")
    assert [one["path"].split("/")[3] for one in [*first, last]] == ["webhooks", "archive", "status", "nets"]


@pytest.mark.parametrize(
    "query", ["status=9xx", "status=40x", "status=", "since=yesterday", "since=", "until=9999999-1-1"]
)
def test_a_filter_that_makes_no_sense_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"{API}/audit?{query}")
    if query == "status=":
        said(answer)
    else:
        problem(answer, "invalid_value")

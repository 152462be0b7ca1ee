"""Tests of the maintenance window, in process."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from shardapi import ShardApp, clock
from shardapi.testing import client_of

API = "/api/v1"
CHANGES = [
    ("/nets", {"name": "Strike"}),
    ("/operation", {"open": True}),
    ("/assignments", {"userId": "1", "netId": 1, "action": "assign"}),
]


@pytest.fixture
def during(client: FlaskClient) -> FlaskClient:
    """A client while there is maintenance."""
    client.post(f"{API}/nets", json={"name": "One"})
    assert client.post(f"{API}/maintenance", json={"minutes": 30, "why": "New nets"}).json["changed"]  # type: ignore[index]
    return client


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
@pytest.mark.parametrize(("path", "body"), CHANGES)
def test_changes_are_refused_and_so_are_dry_runs(
    during: FlaskClient, path: str, body: dict[str, Any], query: str
) -> None:
    refused = during.post(f"{API}{path}{query}", json=body)
    assert refused.status_code == 503 and refused.json is not None
    assert refused.json["code"] == "maintenance" and refused.json["error"].endswith(": New nets")
    assert refused.json["until"] in refused.json["hint"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 1800


def test_readers_notice_nothing(client: FlaskClient) -> None:
    client.post(f"{API}/nets", json={"name": "One"})
    before = client.get(f"{API}/status").json
    client.post(f"{API}/maintenance", json={"minutes": 30})
    client.post(f"{API}/nets", json={"name": "Two"})
    assert client.get(f"{API}/status").json == before


def test_each_of_a_bulk_is_refused_by_itself(during: FlaskClient) -> None:
    items = [{"userId": "1", "netId": 1}, {"userId": "2", "netId": 1}]
    answer = during.post(f"{API}/assignments/bulk", json={"assignments": items, "atomic": False})
    assert answer.json is not None and [one["code"] for one in answer.json["results"]] == ["maintenance"] * 2


def test_a_preset_is_not_applied(during: FlaskClient) -> None:
    assert during.post(f"{API}/presets", json={"name": "P", "open": True}).status_code == 200
    refused = during.post(f"{API}/presets/P/apply", json={})
    assert refused.status_code == 409 and "maintenance" in refused.text


def test_alerts_still_go_out(during: FlaskClient) -> None:
    assert during.post(f"{API}/acars", json={"text": "Back at ten"}).status_code == 200


def test_it_ends_by_itself_and_by_hand(during: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    later = clock.now() + 30 * 60_000
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: later)
        assert during.post(f"{API}/operation", json={"open": True}).status_code == 200
    assert during.post(f"{API}/operation", json={"open": False}).status_code == 503
    assert during.delete(f"{API}/maintenance").json["changed"] is True  # type: ignore[index]
    assert during.delete(f"{API}/maintenance").json["changed"] is False  # type: ignore[index]
    assert during.post(f"{API}/operation", json={"open": False}).status_code == 200


def test_one_that_is_to_come_refuses_nothing_yet(client: FlaskClient) -> None:
    client.post(f"{API}/maintenance", json={"minutes": 5, "startsAt": clock.iso(clock.now() + 60_000)})
    shown = client.get(f"{API}/maintenance").json
    assert shown is not None and shown["endsAt"] and not shown["on"]
    assert client.post(f"{API}/operation", json={"open": True}).status_code == 200


def test_a_dry_run_of_it_begins_nothing(client: FlaskClient) -> None:
    assert client.post(f"{API}/maintenance?dryRun=true", json={"minutes": 5}).json["changed"]  # type: ignore[index]
    assert client.post(f"{API}/operation", json={"open": True}).status_code == 200


def test_each_change_is_an_event_and_a_repeat_is_none(app: ShardApp, client: FlaskClient) -> None:
    starts = clock.iso(clock.now())
    for _ in range(2):
        client.post(f"{API}/maintenance", json={"minutes": 5, "startsAt": starts})
    log = app.shard.events
    assert [one.type for one in log.page(0, log.newest)] == ["maintenance.changed"]


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"minutes": 0}, {"minutes": 61}, {"minutes": 5, "startsAt": "soon"}),
        *({"minutes": 5, "startsAt": f"{year}-12-31T23:59:59Z"} for year in ("0001", "9999")),
    ],
)
def test_what_is_no_window_is_refused(start_app: Callable[..., ShardApp], body: dict[str, Any]) -> None:
    app = start_app({"SHARDAPI_PLUGINS__MAINTENANCE__LONGEST_MINUTES": "60"})
    _, secret = app.shard.keys.create("owner", ["write:maintenance"])
    answer = client_of(app, secret).post(f"{API}/maintenance", json=body)
    assert answer.status_code == 400 and answer.json["code"] == "invalid_value"  # type: ignore[index]


def test_it_outlives_a_restart(start_app: Callable[..., ShardApp], during: FlaskClient) -> None:
    app = start_app()
    assert app.extensions["maintenance"].span.why == "New nets"


def test_the_document_says_that_writes_may_be_refused_so(client: FlaskClient) -> None:
    paths = client.get(f"{API}/openapi.json").json["paths"]  # type: ignore[index]
    assert "maintenance" in str(paths[f"{API}/nets"]["post"]["responses"]["503"])

"""Features, Public Net and rules alike: the options of every write, and reads that are answered by their tag."""

from typing import Any

import pytest
from apps import API, client_of, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp

FAMILIES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "features": (
        "features",
        "features",
        {"features": {"acarsEnabled": False}},
        {"features": {"acarsEnabled": True}},
    ),
    "public_net": ("public-net", "publicNet", {"name": "Rally"}, {"name": "Muster"}),
    "rules": (
        "rules",
        "rules",
        {"rules": [{"roleId": "1", "netUids": []}]},
        {"rules": [{"roleId": "2", "netUids": []}]},
    ),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    """URL, the member that holds the state, a body that changes it and one that changes it again."""
    path, member, body, other = FAMILIES[request.param]
    return f"{API}/{path}", member, body, other


Family = tuple[str, str, dict[str, Any], dict[str, Any]]


def test_a_dry_run_says_what_would_be_and_does_nothing(
    app: ShardApp, client: FlaskClient, family: Family
) -> None:
    url, member, body, _ = family
    before = said(client.get(url))
    dry = said(client.post(f"{url}?dryRun=true", json=body))
    assert (dry["changed"], dry["dryRun"], dry["version"]) == (True, True, 0)
    assert said(client.get(url)) == before and app.shard.events.newest == 0
    real = said(client.post(url, json=body))
    assert real[member] == dry[member] != before[member] and real["version"] == 1
    assert said(client.post(f"{url}?dryRun=true", json=body))["changed"] is False


def test_a_repeat_with_its_key_is_the_same_answer(client: FlaskClient, family: Family) -> None:
    url, member, body, other = family
    headers = {"Idempotency-Key": "once"}
    first = client.post(url, json=body, headers=headers)
    said(client.post(url, json=other))
    again = client.post(url, json=body, headers=headers)
    assert again.data == first.data and again.headers["Idempotent-Replayed"] == "true"
    assert said(client.get(url))[member] != said(again)[member]
    problem(client.post(url, json=other, headers=headers), "idempotency_mismatch")


def test_a_write_that_rests_on_another_version_is_refused(client: FlaskClient, family: Family) -> None:
    url, member, body, other = family
    tag = client.get(url).headers["ETag"]
    said(client.post(url, json=body, headers={"If-Match": tag}))
    problem(client.post(url, json=other, headers={"If-Match": tag}), "precondition_failed")
    assert said(client.post(url, json=body))["changed"] is False


def test_the_reason_is_in_the_audit(client: FlaskClient, family: Family) -> None:
    url, _, body, _ = family
    said(client.post(url, json=body, headers={"X-Audit-Log-Reason": "Friday"}))
    entries = said(client.get(f"{API}/audit"))["entries"]
    assert [(one["path"], one["reason"]) for one in entries if one["method"] == "POST"] == [(url, "Friday")]


def test_a_read_is_answered_by_its_tag_until_the_config_moves_on(
    app: ShardApp, client: FlaskClient, family: Family
) -> None:
    url, _, body, _ = family
    tag = client.get(url).headers["ETag"]
    assert tag == '"0"'
    same = client_of(app).get(url, headers={"If-None-Match": tag})
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", tag)
    said(client.post(url, json=body))
    newer = client.get(url, headers={"If-None-Match": tag})
    assert newer.status_code == 200 and newer.headers["ETag"] == '"1"'

"""The audit: every call with a key, refused ones too; what fails without one is counted; no secret, anywhere."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apps import API, client_of, client_with, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp, auditlog, clock
from shardapi.errors import ApiError
from shardapi.store import one, rows, unavailable
from shardapi.testing import Server


def audited(app: ShardApp, *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of the audit, the oldest row first."""
    app.shard.audit.flush()
    return app.shard.store.read(lambda: rows(f"SELECT {', '.join(columns)} FROM audit ORDER BY id"))


def test_each_call_with_a_key_is_in_the_audit_with_what_came_of_it(app: ShardApp) -> None:
    client = client_of(app, "read:status", "write:nets")
    calls = [
        ("GET", "/status", 200, ""),
        ("GET", "/features/", 200, ""),
        ("GET", "/roster", 403, "missing_scope"),
        ("POST", "/nets/rename", 404, "net_not_found"),
        ("POST", "/nets", 400, "invalid_value"),
        ("DELETE", "/nets/250", 409, "net_protected"),
    ]
    for method, path, status, _ in calls:
        answer = client.open(
            API + path, method=method, json={"netId": 1, "name": "A" if "re" in path else ""}
        )
        assert answer.status_code == status
    seen = audited(app, "method", "path", "status", "code")
    assert seen == [(method, API + path, status, code) for method, path, status, code in calls]


def test_a_row_names_the_key_the_request_and_the_address(app: ShardApp) -> None:
    client = client_of(app, "read:status")
    client.get(f"{API}/status?secret=x", headers={"X-Request-Id": "r1"})
    (key,) = app.shard.keys.all()
    columns = ("key_id", "key_name", "path", "request_id", "address", "count", "guild")
    assert audited(app, *columns) == [
        (key.id, "client", f"{API}/status", "r1", "127.0.0.1", 1, app.shard.guild_id)
    ]


def test_a_call_over_the_limit_is_in_the_audit(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(LIMITS__DEFAULT="1/minute")
    client = client_of(app)
    for _ in range(3):
        client.get(f"{API}/status")
    assert audited(app, "status", "code") == [(200, ""), (429, "rate_limited"), (429, "rate_limited")]


def test_what_fails_without_a_key_is_one_row_for_each_address_and_minute(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute = clock.now() // 60_000 * 60_000
    nobody = client_with(app, "scok_wrong")

    def knock(address: str, times: int) -> None:
        for _ in range(times):
            nobody.get(f"{API}/status", environ_overrides={"REMOTE_ADDR": address})

    monkeypatch.setattr(clock, "now", lambda: minute + 1000)
    knock("192.0.2.1", 3)
    knock("192.0.2.2", 1)
    app.shard.audit.flush()
    knock("192.0.2.1", 2)
    app.shard.audit.flush()
    monkeypatch.setattr(clock, "now", lambda: minute + 61_000)
    knock("192.0.2.1", 4)
    assert audited(app, "address", "count", "status", "code", "key_id") == [
        ("192.0.2.1", 5, 401, "unauthorized", ""),
        ("192.0.2.2", 1, 401, "unauthorized", ""),
        ("192.0.2.1", 4, 401, "unauthorized", ""),
    ]


def test_refused_knocks_are_counted_too(
    make_app: Callable[..., ShardApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)  # a row is of one minute
    app = make_app(LIMITS__AUTH_FAILURES="2/minute")
    codes = [client_with(app, "").get(f"{API}/status").status_code for _ in range(5)]
    assert codes == [401, 401, 429, 429, 429]
    assert audited(app, "count") == [(5,)]


@pytest.mark.parametrize("path", ["/health", "/ready", f"{API}/openapi.json", "/nothing", f"{API}/nothing"])
def test_what_needs_no_key_is_not_in_the_audit(app: ShardApp, client: FlaskClient, path: str) -> None:
    client.get(path)
    assert audited(app, "path") == []


def test_rows_that_cannot_be_written_wait_and_counts_add_up(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody, write = client_with(app, "scok_wrong"), app.shard.writer.write

    def full(*_: Any, **__: Any) -> None:
        raise unavailable("full")

    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(app.shard.writer, "write", full)
    for _ in range(2):
        client.get(f"{API}/status")
        nobody.get(f"{API}/status")
        with pytest.raises(ApiError):
            app.shard.audit.flush()
    monkeypatch.setattr(app.shard.writer, "write", write)
    assert audited(app, "status", "count") == [(200, 1), (200, 1), (401, 2)]


def test_rows_over_the_most_that_may_wait_are_counted_as_lost(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditlog, "MOST_WAITING", 2)
    for _ in range(5):
        client.get(f"{API}/status")
    assert app.shard.audit.lost == 3 and len(audited(app, "id")) == 2


def test_rows_are_forgotten_after_thirty_days_or_when_they_are_too_many(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    for days in (31, 29, 2, 1):
        monkeypatch.setattr(clock, "now", lambda days=days: now - days * 86_400_000)
        client.get(f"{API}/status", headers={"X-Request-Id": f"d{days}"})
        app.shard.audit.flush()
    monkeypatch.setattr(clock, "now", lambda: now)
    app.shard.writer.write(app.shard.audit.prune)
    assert audited(app, "request_id") == [("d29",), ("d2",), ("d1",)]
    monkeypatch.setattr(auditlog, "KEEP_ROWS", 2)
    app.shard.writer.write(app.shard.audit.prune)
    assert audited(app, "request_id") == [("d2",), ("d1",)]


def test_no_secret_is_in_the_store_the_answers_or_the_log(
    app: ShardApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keys, shard = app.shard.keys, app.shard
    secrets = [keys.create("bot", shard.plugins.all_scopes)[1], keys.create("radio", [], kind="service")[1]]
    secrets += [shard.central.operator_token("1", "Ann"), "scok_" + "mistyped" * 4 + "abcd"]
    answers = []
    for secret in secrets:
        client = client_with(app, secret)
        for path in ("/status", "/audit", "/roster", f"/status?token={secret}"):
            answers.append(client.get(API + path).text)
        answers.append(client.post(f"{API}/nets", json={"name": "A"}, headers={"Idempotency-Key": "k"}).text)
    said(client_with(app, secrets[0]).get(f"{API}/audit"))
    shard.audit.flush()
    shard.store.execute(lambda: one("PRAGMA wal_checkpoint(TRUNCATE)"))
    signing = (tmp_path / "data" / "signing.secret").read_text().strip()
    files = [file for file in (tmp_path / "data").iterdir() if file.name != "signing.secret"]
    written = b"".join(file.read_bytes() for file in files)
    assert b"api_key" in written and b"/api/v1/nets" in written
    for secret in [*secrets, signing]:
        assert secret.encode() not in written
        assert secret not in caplog.text and all(secret not in answer for answer in answers)


def test_no_body_is_in_the_audit(app: ShardApp, client: FlaskClient) -> None:
    client.post(f"{API}/nets", json={"name": "Hidden Name"})
    client.post(f"{API}/nets/rename", json={"netId": 9, "name": "Hidden Name"})
    found = app.shard.store.read(lambda: rows("SELECT * FROM audit"))
    assert "Hidden" not in repr(found)


def test_a_read_is_in_the_audit_within_a_second(shard: Server, size: str) -> None:
    shard.get("/status", headers={"X-Request-Id": "look-for-me"})

    def found() -> bool:
        entries = shard.get("/audit").json()["entries"]
        return any(entry["requestId"] == "look-for-me" for entry in entries)

    shard.wait(found, "the read to be in the audit", seconds={"ci": 10, "soak": 1.5}[size])


def test_a_problem_is_told_even_where_nothing_can_be_written(app: ShardApp, client: FlaskClient) -> None:
    app.shard.store.execute(lambda: one("PRAGMA query_only = 1"))
    problem(client.post(f"{API}/nets", json={"name": "A"}), "store_unavailable")
    problem(client.post(f"{API}/nets/remove", json={"netId": 1}), "net_not_found")
    said(client.get(f"{API}/status"))
    app.shard.store.execute(lambda: one("PRAGMA query_only = 0"))
    assert [row[0] for row in audited(app, "status")] == [503, 404, 200]


def test_counting_a_keyless_failure_looks_at_this_minute_only(app: ShardApp) -> None:
    values = (1, app.shard.guild_id, "127.0.0.1")
    plan = app.shard.store.read(lambda: rows(f"EXPLAIN QUERY PLAN {auditlog.FAILURE_OF_THE_MINUTE}", values))
    assert "audit_at" in plan[0][-1]

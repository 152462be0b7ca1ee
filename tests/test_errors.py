"""Every row of the error table: its status, its code, its shape; over raw sockets where framing counts."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from apps import API, client_of, client_with, problem, said
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import rest

from shardapi import ShardApp, auth, body, clock, create_app, errors
from shardapi.config import load
from shardapi.errors import CODES, ErrorCode
from shardapi.testing import Server
from shardapi.wording import schemas

NETS, BULK = f"{API}/nets", f"{API}/assignments/bulk"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client that the tests of this module share, without a limit to speak of; for what leaves no trace."""
    folder = str(tmp_path_factory.mktemp("easy"))
    app = create_app(load(environ={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}, data_dir=folder))
    yield client_of(app)
    app.shard.close()


# -- the list of codes


def test_each_code_is_listed_once() -> None:
    declared = [kind for kind in vars(errors).values() if isinstance(kind, ErrorCode)]
    assert sorted(kind.code for kind in declared) == sorted(CODES)
    assert len({kind.code for kind in declared}) == len(declared)


@pytest.mark.parametrize("kind", CODES.values(), ids=CODES)
def test_a_code_is_snake_case_with_a_status_and_a_title(kind: ErrorCode) -> None:
    assert kind.code.replace("_", "").isalpha() and kind.code == kind.code.lower()
    assert 400 <= kind.status < 600 and kind.title


# -- 400: bodies


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"not json",
        b"{'name': 'x'}",
        b'{"name": "x",}',
        b'{"name": "\xff\xfe"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\\ud800"}',
        b"\xef\xbb\xbf{",
        b'{"name": "x"}{}',
        b'{"name": NaN}',
        b'{"unknown": ' + b"[" * 100_000,
        b'{"unknown": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b"[" * 5000 + b"]" * 5000,
        b"\x00",
    ],
    ids=lambda data: data[:16],
)
def test_a_body_that_is_not_json_is_malformed(easy: FlaskClient, data: bytes) -> None:
    refused = easy.post(NETS, data=data, headers=JSON)
    assert refused.status_code == 400
    assert refused.json is not None and refused.json["code"] in ("malformed_json", "invalid_value")
    problem(refused, refused.json["code"])


@pytest.mark.parametrize(
    "data", [b"{", b"not json", b'{"name": "\xff"}', b'{"unknown": ' + b"[" * 100_000, rb'{"name": "\ud800"}']
)
def test_malformed_json_is_told_as_such(easy: FlaskClient, data: bytes) -> None:
    problem(easy.post(NETS, data=data, headers=JSON), "malformed_json")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
def test_a_body_is_read_as_json_whatever_its_content_type_says(client: FlaskClient, kind: str) -> None:
    said(client.post(NETS, data=b'{"name": "A"}', headers={"Content-Type": kind}))
    refused = problem(client.post(NETS, data=b"name=A", headers={"Content-Type": kind}), "malformed_json")
    assert f'"{kind}"' in refused["hint"] if kind else refused["hint"] == "Send JSON."


def test_a_byte_order_mark_before_a_body_is_passed_over(client: FlaskClient) -> None:
    said(client.post(NETS, data=b'\xef\xbb\xbf{"name": "A"}', headers=JSON))
    assert "name" in problem(client.post(NETS, data=b"\xef\xbb\xbf", headers=JSON), "invalid_value")["error"]


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/json;q=0", ""])
def test_accept_never_refuses(easy: FlaskClient, accept: str) -> None:
    said(easy.get(f"{API}/status", headers={"Accept": accept}))


def test_unknown_fields_and_parameters_are_ignored(client: FlaskClient) -> None:
    said(client.post(f"{NETS}?colour=red", json={"name": "A", "colour": {"deep": [1]}}))
    said(client.get(f"{API}/status?limit=nonsense"))


# -- 400: values


@pytest.mark.parametrize(
    ("path", "sent", "where"),
    [
        ("/nets", {}, "name"),
        ("/nets", [], ""),
        ("/nets", "text", ""),
        ("/nets", None, ""),
        ("/nets", {"name": 5}, "name"),
        ("/nets", {"name": None}, "name"),
        ("/nets", {"name": ""}, "name"),
        ("/nets", {"name": "   "}, "name"),
        ("/nets", {"name": "."}, "name"),
        ("/nets", {"name": " .. "}, "name"),
        ("/nets", {"name": "a\nb"}, "name"),
        ("/nets", {"name": "a\x00"}, "name"),
        ("/nets", {"name": "\x7f"}, "name"),
        ("/nets", {"name": "n" * 65}, "name"),
        ("/nets/rename", {"name": "A"}, "netUid"),
        ("/nets/rename", {"name": "A", "netId": 0}, "netId"),
        ("/nets/rename", {"name": "A", "netId": 256}, "netId"),
        ("/nets/rename", {"name": "A", "netId": -1}, "netId"),
        ("/nets/rename", {"name": "A", "netId": 1.5}, "netId"),
        ("/nets/rename", {"name": "A", "netId": "1"}, "netId"),
        ("/nets/rename", {"name": "A", "netId": 2**70}, "netId"),
        ("/nets/rename", {"name": "A", "netId": True}, "netId"),
        ("/nets/rename", {"name": "A", "netUid": 7}, "netUid"),
        ("/nets/rename", {"name": "A", "netUid": ""}, "netUid"),
        ("/assignments", {"netId": 1}, "userId"),
        ("/assignments", {"netId": 1, "userId": 123456789012345678}, "userId"),
        ("/assignments", {"netId": 1, "userId": ""}, "userId"),
        ("/assignments", {"netId": 1, "userId": "a b"}, "userId"),
        ("/assignments", {"netId": 1, "userId": "1\n"}, "userId"),
        ("/assignments", {"netId": 1, "userId": "ü"}, "userId"),
        ("/assignments", {"netId": 1, "userId": "u" * 65}, "userId"),
        ("/assignments", {"netId": 1, "userId": "1", "action": "toggle"}, "action"),
        ("/assignments/temporary", {"netId": 1, "userId": "1", "ttlMs": 14_999}, "ttlMs"),
        ("/assignments/temporary", {"netId": 1, "userId": "1", "ttlMs": 86_400_001}, "ttlMs"),
        ("/assignments/temporary", {"netId": 1, "userId": "1", "ttlMs": "60000"}, "ttlMs"),
        ("/assignments/temporary", {"netId": 1, "userId": "1", "minutes": 0.2}, "minutes"),
        ("/assignments/temporary", {"netId": 1, "userId": "1", "expiresMinutes": 1441}, "expiresMinutes"),
        ("/assignments/bulk", {"assignments": []}, "assignments"),
        ("/assignments/bulk", {"assignments": {}}, "assignments"),
        ("/assignments/bulk", {"assignments": [{"netId": 1}]}, "assignments[0].userId"),
        ("/assignments/bulk", {"assignments": [{"userId": "1"}]}, "assignments[0].netUid"),
        (
            "/assignments/bulk",
            {"assignments": [{"userId": "1", "netId": 1}, {"userId": "1", "netId": "x"}]},
            "assignments[1].netId",
        ),
        ("/assignments/bulk", {"assignments": [{"userId": "1", "netId": 1}], "atomic": "yes"}, "atomic"),
        ("/operation", {"open": "true"}, "open"),
        ("/operation", {"open": 1}, "open"),
    ],
)
def test_a_bad_value_is_told_with_its_path(easy: FlaskClient, path: str, sent: Any, where: str) -> None:
    refused = problem(easy.post(API + path, data=json.dumps(sent), headers=JSON), "invalid_value")
    (one,) = refused["errors"]
    assert one["path"] == where and one["message"]


@pytest.mark.parametrize(
    ("path", "sent", "told"),
    [
        (
            "/nets",
            {"name": ""},
            "Expected 1 to 64 characters after trimming, none of them a control character",
        ),
        (
            "/assignments",
            {"netId": 1, "userId": "a b"},
            "Expected a Discord user id, or any name of 1 to 64 of",
        ),
        (
            "/assignments",
            {"netId": 1, "userId": "1", "action": "x"},
            "action: Expected assign or unassign.",
        ),
        (
            "/assignments/bulk",
            {"assignments": [{"action": "x"}]},
            "Expected assign or unassign.",
        ),
        ("/rules", {"rules": [{"roleId": "a b"}]}, "Expected a Discord role id, or any name of 1 to 64 of"),
        ("/acars", {"text": "\x07"}, "Expected 1 to 280 characters after trimming;"),
        (
            "/acars",
            {"text": "x", "alertType": "loud"},
            "alertType: Expected critical or emergency or non-emergency.",
        ),
        ("/archive", {"name": "A", "uid": "5"}, "Expected net_ and 1 to 60 of A-Z a-z 0-9 _ -,"),
        (
            "/presets",
            {"name": "A", "assignments": {"a b": [1]}},
            "Expected a Discord user id, or any name of",
        ),
        (
            "/webhooks",
            {"url": "https://example.com", "events": ["A"]},
            "Expected a type of event, or a pattern",
        ),
    ],
)
def test_what_a_value_must_be_is_told_in_words(easy: FlaskClient, path: str, sent: Any, told: str) -> None:
    refused = problem(easy.post(API + path, json=sent), "invalid_value")
    assert told in refused["error"] and "regex" not in refused["error"]


def test_a_key_of_a_map_is_told_with_the_path_of_the_map(easy: FlaskClient) -> None:
    sent = {"name": "A", "assignments": {"a b": [1]}}
    refused = problem(easy.post(f"{API}/presets", json=sent), "invalid_value")
    assert refused["error"].startswith("assignments: Expected a Discord user id") and refused[
        "error"
    ].endswith(" as each key.")
    assert [one["path"] for one in refused["errors"]] == ["assignments"]


def test_a_number_for_text_is_told_to_be_quoted(easy: FlaskClient) -> None:
    sent = {"netId": 1, "userId": 123456789012345678}
    assert "quotes" in problem(easy.post(f"{API}/assignments", json=sent), "invalid_value")["hint"]


def test_no_description_of_a_pattern_is_missing(app: ShardApp) -> None:
    kinds = [kind for route in app.shard.plugins.routes for kind in (route.body, route.query) if kind]
    assert kinds
    for kind in kinds:
        for schema in schemas(kind):
            if schema.get("type") == "string" and "pattern" in schema:
                assert schema.get("description"), (kind, schema)


@pytest.mark.parametrize(
    ("query", "where"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=ten", "limit"), ("before=-1", "before")],
)
def test_a_bad_query_is_told_with_its_parameter(easy: FlaskClient, query: str, where: str) -> None:
    (one,) = problem(easy.get(f"{API}/audit?{query}"), "invalid_value")["errors"]
    assert one["path"] == where


def test_net_id_and_net_uid_must_agree(client: FlaskClient) -> None:
    uids = [said(client.post(NETS, json={"name": name}))["netUid"] for name in "AB"]
    said(client.post(f"{NETS}/rename", json={"netUid": uids[0], "netId": 1, "name": "C"}))
    problem(client.post(f"{NETS}/rename", json={"netUid": uids[0], "netId": 2, "name": "C"}), "net_mismatch")


@pytest.mark.parametrize(
    "user_id", ["9007199254740993", "18446744073709551617", "123456789012345678", "a.b:c-d_e", "0" * 64]
)
def test_ids_beyond_a_doubles_precision_come_back_unchanged(client: FlaskClient, user_id: str) -> None:
    said(client.post(NETS, json={"name": "A"}))
    assert said(client.post(f"{API}/assignments", json={"userId": user_id, "netId": 1}))["userId"] == user_id
    stored = said(client.get(f"{API}/assignments"))
    assert stored["assignments"] == {user_id: [1]} and stored["entries"][0]["userId"] == user_id


# -- 401, 403


def test_every_key_that_opens_nothing_gets_one_and_the_same_answer(
    app: ShardApp, make_app: Callable[..., ShardApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = app.shard.keys
    _, good = keys.create("good", ["read:status"])
    revoked, gone = keys.create("revoked", ["read:status"])
    keys.revoke(revoked.id)
    _, expired = keys.create("expired", ["read:status"], expires_at=clock.now() - 1)
    _, foreign = make_app(GUILD__ID="42").shard.keys.create("foreign", ["read:status"])
    _, service = keys.create("service", ["read:status"], kind="service")
    mistyped = good[:-1] + ("0" if good[-1] != "0" else "1")
    secrets = ["", "nonsense", mistyped, auth.mint_secret("owner"), gone, expired, foreign, service, "ü" * 40]
    answers = set()
    for secret in secrets:
        refused = client_with(app, secret).get(f"{API}/status", headers={"X-Request-Id": "same"})
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        problem(refused, "unauthorized")
        answers.add((refused.data, tuple(refused.headers)))
    assert len(answers) == 1
    said(client_with(app, good).get(f"{API}/status"))


@pytest.mark.parametrize("header", ["Basic Og==", "Bearer", "Bearer ", "bearer", "Token x", "Bearer a b"])
def test_what_is_no_bearer_key_is_unauthorized(app: ShardApp, header: str) -> None:
    problem(app.test_client().get(f"{API}/status", headers={"Authorization": header}), "unauthorized")


def test_a_key_in_the_query_opens_nothing(app: ShardApp, key: str) -> None:
    for name in ("key", "token", "access_token", "api_key"):
        problem(app.test_client().get(f"{API}/status?{name}={key}"), "unauthorized")


def test_a_missing_scope_is_named(app: ShardApp) -> None:
    client = client_of(app, "read:status")
    refused = problem(client.post(NETS, json={"name": "A"}), "missing_scope")
    assert "write:nets" in refused["error"] and "write:nets" in refused["hint"]
    assert not app.shard.guild.nets


# -- 404, 405


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v2/status",
        "/api/v1/nothing",
        "//api/v1/status",
        "/api//v1/status",
        "/api/v1//status",
        "/api/v1/status//",
        "/api/v1/status/x",
        "/api/v1/STATUS",
        "/api/v1/\xff",
        "/api/v1/sta%00tus",
        "/api/v1/../v1/status",
    ],
)
def test_there_is_nothing_at_another_address(easy: FlaskClient, path: str) -> None:
    problem(easy.open("/", environ_overrides={"PATH_INFO": path}), "not_found")


def test_no_route_depends_on_a_trailing_slash(client: FlaskClient) -> None:
    assert said(client.get(f"{API}/features/")) == said(client.get(f"{API}/features"))
    said(client.post(f"{NETS}/", json={"name": "A"}))
    said(client.delete(f"{NETS}/1/"))


def test_a_path_spelled_like_a_rule_is_a_path(easy: FlaskClient) -> None:
    for _ in range(2):
        problem(easy.delete(f"{NETS}/<ref>"), "net_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/nets", {"POST"}),
        ("POST", "/status", {"GET", "HEAD"}),
        ("OPTIONS", "/status", {"GET", "HEAD"}),
        ("PUT", "/operation", {"POST"}),
        ("DELETE", "/features", {"GET", "HEAD"}),
        ("PATCH", "/nets/1", {"DELETE"}),
        ("TRACE", "/status", {"GET", "HEAD"}),
        ("BREW", "/status", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_refused_with_those_that_are_allowed(
    easy: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    refused = easy.open(API + path, method=method)
    problem(refused, "method_not_allowed")
    assert set(refused.headers["Allow"].split(", ")) >= allowed


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/nets/rename", {"netId": 7, "name": "A"}),
        ("POST", "/nets/rename", {"netUid": "net_" + "a" * 24, "name": "A"}),
        ("POST", "/nets/remove", {"netId": 7}),
        ("POST", "/nets/remove", {"netUid": "net_" + "a" * 24}),
        ("DELETE", "/nets/7", None),
        ("DELETE", "/nets/net_x", None),
        ("DELETE", "/nets/99999999999999999999", None),
        ("DELETE", "/nets/%E2%82%AC", None),
        ("POST", "/assignments", {"userId": "1", "netId": 7}),
        ("POST", "/assignments/temporary", {"userId": "1", "netId": 7}),
    ],
)
def test_an_unknown_net_is_not_found(easy: FlaskClient, method: str, path: str, sent: Any) -> None:
    refused = problem(easy.open(API + path, method=method, json=sent), "net_not_found")
    assert refused["hint"]


# -- 408, 413, 415


class Slow:
    """A body that comes a byte at a time."""

    def __init__(self, pause: float) -> None:
        self.pause = pause

    def read(self, size: int = -1) -> bytes:
        gevent.sleep(self.pause)
        return b" "


def test_a_body_that_comes_too_slowly_is_given_up(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "SECONDS", 0.05)
    environ = {"wsgi.input": Slow(0.01), "CONTENT_LENGTH": "1000", "wsgi.input_terminated": True}
    problem(client.post(NETS, environ_overrides=environ), "body_timeout")


@pytest.mark.parametrize("length", [body.MOST_BYTES + 1, 10 * body.MOST_BYTES])
def test_a_body_over_512_kib_is_too_large(easy: FlaskClient, length: int) -> None:
    problem(easy.post(NETS, data=b" " * length, headers=JSON), "body_too_large")


def test_a_body_of_512_kib_is_read(client: FlaskClient) -> None:
    said(client.post(NETS, data=b'{"name": "A"}'.ljust(body.MOST_BYTES), headers=JSON))


def test_more_than_200_items_are_too_many(client: FlaskClient) -> None:
    said(client.post(NETS, json={"name": "A"}))
    items = [{"userId": str(number), "netId": 1} for number in range(201)]
    problem(client.post(BULK, json={"assignments": items}), "too_many_items")
    assert said(client.post(BULK, json={"assignments": items[:200]}))["applied"] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "Multipart/Mixed"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
)
def test_multipart_and_compressed_bodies_are_not_read(easy: FlaskClient, headers: dict[str, str]) -> None:
    problem(easy.post(NETS, data=b'{"name": "A"}', headers=headers), "unsupported_body")


def test_an_identity_coding_is_none(client: FlaskClient) -> None:
    said(client.post(NETS, data=b'{"name": "A"}', headers={"Content-Encoding": "identity"}))


# -- 409, 412


def test_a_net_too_many_is_refused(make_app: Callable[..., ShardApp]) -> None:
    client = client_of(make_app(CENTRAL__MAX_NETS="2"))
    for name in "AB":
        said(client.post(NETS, json={"name": name}))
    assert "archive" in problem(client.post(NETS, json={"name": "C"}), "no_free_slot")["hint"]
    said(client.delete(f"{NETS}/1"))
    assert said(client.post(NETS, json={"name": "C"}))["netId"] == 1


@pytest.mark.parametrize(
    "ref", [{"netId": 250}, {"netId": 255}, {"netUid": "net_public"}, {"netUid": "net_global"}]
)
@pytest.mark.parametrize("path", ["/nets/rename", "/nets/remove", "/assignments", "/assignments/temporary"])
def test_the_protected_nets_cannot_be_written(easy: FlaskClient, path: str, ref: dict[str, Any]) -> None:
    problem(easy.post(API + path, json={"userId": "1", "name": "A", **ref}), "net_protected")


@pytest.mark.parametrize("ref", ["250", "255", "net_public", "net_global"])
def test_the_protected_nets_cannot_be_deleted(easy: FlaskClient, ref: str) -> None:
    problem(easy.delete(f"{NETS}/{ref}"), "net_protected")


# -- 421


@pytest.mark.parametrize("host", ["evil.example", "shard.example.com:8080", "sub.shard.example.com", ""])
def test_a_foreign_host_is_misdirected(make_app: Callable[..., ShardApp], host: str) -> None:
    client = client_of(make_app(SERVER__PUBLIC_URL="https://shard.example.com"))
    for path in (f"{API}/status", f"{API}/openapi.json", "/ready", "/nothing"):
        problem(client.get(path, environ_overrides={"HTTP_HOST": host}), "foreign_host")
    assert client.get("/health", environ_overrides={"HTTP_HOST": host}).json["ok"] is True  # type: ignore[index]


@pytest.mark.parametrize("host", ["shard.example.com", "SHARD.example.com", "shard.example.com:443"])
def test_the_host_of_the_public_url_is_served(make_app: Callable[..., ShardApp], host: str) -> None:
    client = client_of(make_app(SERVER__PUBLIC_URL="https://shard.example.com"))
    said(client.get(f"{API}/status", environ_overrides={"HTTP_HOST": host}))


def test_any_host_is_served_where_no_public_url_is_set(client: FlaskClient) -> None:
    said(client.get(f"{API}/status", headers={"Host": "anything.example"}))


# -- request ids


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/nothing", f"{API}/status", f"{API}/openapi.json", NETS]
)
@pytest.mark.parametrize("given", ["a", "A-Z_0.9", "x" * 64])
def test_a_request_id_is_taken_from_the_request(easy: FlaskClient, path: str, given: str) -> None:
    assert easy.get(path, headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 65, "ä", "a/b", 'a"b'])
def test_a_request_id_that_is_not_well_formed_is_replaced(easy: FlaskClient, given: str) -> None:
    ids = {
        easy.get(path, headers={"X-Request-Id": given}).headers["X-Request-Id"]
        for path in ("/health", f"{API}/status", "/nothing")
    }
    assert len(ids) == 3 and given not in ids
    assert all(id_.isalnum() and len(id_) <= 64 for id_ in ids)


# -- no 500


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=70)
    | st.sampled_from(["net_public", "assign", "1", "..", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = ["name", "netUid", "netId", "userId", "action", "assignments", "atomic", "open", "ttlMs", "minutes"]
bodies = st.one_of(
    st.dictionaries(st.sampled_from(fields), values, max_size=5).map(
        lambda value: json.dumps(value).encode()
    ),
    values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=50),
)
headers = st.dictionaries(
    st.sampled_from(["IDEMPOTENCY_KEY", "IF_MATCH", "IF_NONE_MATCH", "X_AUDIT_LOG_REASON", "X_REQUEST_ID"]),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20),
    max_size=3,
)
queries = st.dictionaries(st.sampled_from(["dryRun", "limit", "before"]), st.text(max_size=5), max_size=2)


@pytest.fixture
def loose(make_app: Callable[..., ShardApp]) -> FlaskClient:
    """A client without a limit, whose app may be left in any state."""
    return client_of(make_app(LIMITS__DEFAULT="1000000/minute"))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=bodies, environ=headers, query=queries, choice=st.integers(0, 1000))
def test_no_input_is_answered_with_a_500(
    loose: FlaskClient, data: bytes, environ: dict[str, str], query: dict[str, str], choice: int
) -> None:
    app: Any = loose.application
    routes = [r for r in app.shard.plugins.routes if not r.websocket and r.rule != f"{API}/stream"]
    route = routes[choice % len(routes)]
    answer = loose.open(
        route.rule.replace("<ref>", "1"),
        method=route.method,
        data=data,
        query_string=query,
        environ_overrides={f"HTTP_{name}": value for name, value in environ.items()},
    )
    assert answer.status_code < 500, (route.rule, data, answer.text)
    if answer.status_code >= 400:
        problem(answer, (answer.json or {})["code"])


# -- over the wire


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running shard that waits a third of a second for a body."""
    plugins = tmp_path_factory.mktemp("plugins")
    (plugins / "impatient.py").write_text("import shardapi.body\nshardapi.body.SECONDS = 2.0\n")
    server = Server(tmp_path_factory.mktemp("shard"), {"SHARDAPI_PLUGINS__DIR": str(plugins)})
    try:
        yield server.start()
    finally:
        server.kill()


class Wire:
    """A connection on which requests are written by hand."""

    def __init__(self, server: Server) -> None:
        host, _, port = server.url.removeprefix("http://").partition(":")
        self.host, self.key = host, server.key()
        self.sock = socket.create_connection((host, int(port)), timeout=10)

    def send(self, rest_of_head: str, data: bytes = b"", path: str = NETS) -> None:
        """A POST with these header lines after the usual ones, and what comes after the head."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {self.key}\r\n{rest_of_head}\r\n"
        self.sock.sendall(head.encode() + data)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of the one answer that comes until the server closes."""
        head, _, data = rest(self.sock).partition(b"\r\n\r\n")
        assert head, "closed without an answer"
        assert data.count(b"HTTP/1.1") == 0
        return int(head.split()[1]), json.loads(data)


@pytest.fixture
def wire(impatient: Server) -> Iterator[Wire]:
    """One connection."""
    made = Wire(impatient)
    yield made
    made.sock.close()


def test_a_slow_body_is_408_and_ends_the_connection(wire: Wire) -> None:
    wire.send("Content-Length: 100\r\n", b'{"name"')
    status, told = wire.answer()
    assert (status, told["code"]) == (408, "body_timeout")


def test_a_truncated_body_is_refused(impatient: Server, wire: Wire) -> None:
    wire.send("Content-Length: 100\r\n", b'{"name": "A"}')
    wire.sock.shutdown(socket.SHUT_WR)
    status, told = wire.answer()
    assert (status, told["code"]) == (400, "body_incomplete")
    assert not impatient.get("/status").json()["nets"]


@pytest.mark.parametrize(
    "data", [b"zz\r\n{}\r\n0\r\n\r\n", b"5\r\n{}{}{}{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n", b"\r\n"]
)
def test_garbage_for_chunks_is_refused(wire: Wire, data: bytes) -> None:
    wire.send("Transfer-Encoding: chunked\r\n", data)
    wire.sock.shutdown(socket.SHUT_WR)
    status, told = wire.answer()
    assert (status, told["code"]) == (400, "body_incomplete")


def test_chunks_that_end_too_early_are_refused(wire: Wire) -> None:
    wire.send("Transfer-Encoding: chunked\r\n", b'd\r\n{"name": "A"}\r\n')
    wire.sock.shutdown(socket.SHUT_WR)
    status, told = wire.answer()
    assert (status, told["code"]) == (400, "body_incomplete")


def test_a_chunked_body_is_read(wire: Wire) -> None:
    chunk = b'd\r\n{"open":false\r\n1\r\n}\r\n0\r\n\r\n'
    wire.send("Transfer-Encoding: chunked\r\nConnection: close\r\n", chunk, f"{API}/operation")
    status, told = wire.answer()
    assert (status, told["action"]) == (200, "operation.set")


def test_a_body_announced_as_too_large_is_refused_unread(wire: Wire) -> None:
    wire.send(f"Content-Length: {body.MOST_BYTES + 1}\r\nConnection: close\r\n")
    status, told = wire.answer()
    assert (status, told["code"]) == (413, "body_too_large")


def test_chunks_without_end_are_refused_when_they_are_too_many(wire: Wire) -> None:
    wire.send("Transfer-Encoding: chunked\r\nConnection: close\r\n")
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    try:
        for _ in range(20):
            wire.sock.sendall(piece)
    except OSError:
        pass
    status, told = wire.answer()
    assert (status, told["code"]) == (413, "body_too_large")


def test_an_unread_body_is_not_taken_for_the_next_request(wire: Wire) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    wire.send(f"Content-Type: multipart/form-data\r\nContent-Length: {len(smuggled)}\r\n", smuggled)
    wire.sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = rest(wire.sock)
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 415") + answers.count(b"HTTP/1.1 404")


def test_head_answers_as_get_without_its_body(impatient: Server) -> None:
    got, head = impatient.get("/features"), impatient.request("HEAD", "/features")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == got.headers[name]


def test_every_answer_over_the_wire_carries_a_request_id(impatient: Server) -> None:
    for path, key in (("/health", ""), (f"{API}/nothing", ""), ("/status", None), ("/status", "")):
        assert impatient.get(path, key=key).headers["X-Request-Id"]

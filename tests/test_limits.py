"""Limits: windows, what they announce, and whom they never refuse."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from apps import API, client_of, client_with, problem, said
from flask.testing import FlaskClient

from shardapi import ShardApp, limits
from shardapi.config import Rate
from shardapi.errors import ApiError
from shardapi.limits import Limit, seconds_left, subnet


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def time(self) -> float:
        return self.seconds + 1_800_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all limits."""
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    return made


def test_a_window_is_spent_and_opens_anew(clock: Clock) -> None:
    limit = Limit("default", Rate(2, 60))
    limit.spend("a")
    clock.seconds += 30
    assert limit.spend("a").left == 0
    clock.seconds += 29.9
    with pytest.raises(ApiError) as caught:
        limit.spend("a")
    assert caught.value.kind.code == "rate_limited"
    clock.seconds += 0.1
    assert limit.spend("a").left == 1


def test_each_name_has_a_window_of_its_own(clock: Clock) -> None:
    limit = Limit("default", Rate(1, 60))
    for who in ("a", "b", "c"):
        limit.spend(who)


@pytest.mark.parametrize(("passed", "left"), [(0.0, 60), (0.5, 60), (59.0, 1), (59.99, 1)])
def test_a_refusal_says_when_to_come_back(clock: Clock, passed: float, left: int) -> None:
    limit = Limit("default", Rate(1, 60))
    window = limit.spend("a")
    clock.seconds += passed
    headers = dict(limit.refusal(window).headers)
    assert abs(int(headers["Retry-After"]) - left) <= 1 and seconds_left(window) >= 1
    clock.seconds += int(headers["Retry-After"])
    limit.spend("a")


def test_a_limit_announces_itself_in_both_forms(clock: Clock) -> None:
    limit = Limit("default", Rate(120, 60))
    headers = dict(limit.headers(limit.spend("a")))
    assert headers["RateLimit-Policy"] == '"default";q=120;w=60'
    assert re.fullmatch(r'"default";r=119;t=\d+', headers["RateLimit"])
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("120", "119")
    assert 0 < int(headers["X-RateLimit-Reset"]) - clock.time() <= 61


def test_windows_that_are_over_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SWEEP_AT", 10)
    limit = Limit("default", Rate(1, 60))
    for number in range(20):
        limit.spend(f"old {number}")
    clock.seconds += 61
    limit.spend("new")
    assert len(limit._windows) == 1


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_address_stands_for_its_network(address: str, who: str) -> None:
    assert subnet(address) == who


# -- over HTTP


def test_a_key_over_its_limit_is_refused_and_told_when_to_come_back(
    make_app: Callable[..., ShardApp],
) -> None:
    app = make_app(LIMITS__DEFAULT="3/minute")
    client, other = client_of(app), client_of(app)
    left = [client.get(f"{API}/status").headers["X-RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    refused = client.get(f"{API}/status")
    problem(refused, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    for name in (
        "RateLimit-Policy",
        "RateLimit",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
    ):
        assert len(refused.headers.getlist(name)) == 1
    said(other.get(f"{API}/status"))
    assert client.get("/health").status_code == 200


def test_every_authenticated_answer_announces_the_limit(client: FlaskClient) -> None:
    for method, path in (
        ("GET", "/status"),
        ("GET", "/features"),
        ("POST", "/nets"),
        ("POST", "/nets?dryRun=true"),
        ("DELETE", "/nets/9"),
        ("GET", "/audit?limit=0"),
    ):
        answer = client.open(API + path, method=method, json={"name": "A"})
        assert answer.headers["RateLimit-Policy"] == '"default";q=120;w=60', path
        assert answer.headers["RateLimit"] and answer.headers["X-RateLimit-Reset"]


def test_a_key_without_the_scope_is_told_its_limit_too(app: ShardApp) -> None:
    refused = client_of(app, "read:roster").get(f"{API}/status")
    problem(refused, "missing_scope")
    assert refused.headers["X-RateLimit-Limit"] == "120"


def test_public_calls_spend_nothing(app: ShardApp, client: FlaskClient) -> None:
    before = client.get(f"{API}/status").headers["X-RateLimit-Remaining"]
    for path in ("/health", "/ready", f"{API}/openapi.json", "/nothing"):
        assert "X-RateLimit-Limit" not in client.get(path).headers
    assert int(client.get(f"{API}/status").headers["X-RateLimit-Remaining"]) == int(before) - 1


def test_failed_authentication_is_limited_by_address_and_refuses_no_valid_key(
    make_app: Callable[..., ShardApp],
) -> None:
    app = make_app(LIMITS__AUTH_FAILURES="3/minute")
    nobody, client = client_with(app, "scok_wrong"), client_of(app)
    for _ in range(3):
        problem(nobody.get(f"{API}/status"), "unauthorized")
    refused = nobody.get(f"{API}/status")
    problem(refused, "rate_limited")
    assert int(refused.headers["Retry-After"]) >= 1
    said(client.get(f"{API}/status"))
    elsewhere = {"REMOTE_ADDR": "192.0.2.9"}
    problem(nobody.get(f"{API}/status", environ_overrides=elsewhere), "unauthorized")


def test_failures_of_one_ipv6_network_are_counted_together(make_app: Callable[..., ShardApp]) -> None:
    nobody = client_with(make_app(LIMITS__AUTH_FAILURES="2/minute"), "")
    codes = [
        nobody.get(f"{API}/status", environ_overrides={"REMOTE_ADDR": address}).status_code
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1")
    ]
    assert codes == [401, 401, 429, 401]


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("198.51.100.4", "192.0.2.1", "198.51.100.4"),
        ("", "192.0.2.1", "192.0.2.1"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(
    make_app: Callable[..., ShardApp], peer: str, forwarded: str, who: str
) -> None:
    app = make_app(SERVER__TRUSTED_PROXIES="10.0.0.0/8")
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    client = client_of(app)
    said(client.get(f"{API}/status", environ_overrides=environ))
    assert said(client.get(f"{API}/audit"))["entries"] == []
    app.shard.audit.flush()
    addresses = [entry["address"] for entry in said(client.get(f"{API}/audit"))["entries"]]
    assert addresses[-1] == who


def test_nobody_says_who_asks_where_no_proxy_is_trusted(app: ShardApp, client: FlaskClient) -> None:
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    said(client.get(f"{API}/status", environ_overrides=environ))
    app.shard.audit.flush()
    assert said(client.get(f"{API}/audit"))["entries"][0]["address"] == "127.0.0.1"


# -- a plugin's own


@pytest.fixture
def tight(tmp_path: Path, make_app: Callable[..., ShardApp]) -> ShardApp:
    """An app with a plugin that has a limit of its own, as its settings say."""
    (tmp_path / "tight.py").write_text(
        "import flask, msgspec\n"
        "from shardapi import PUBLIC, Answer, Call, Routes, hookimpl\n"
        "from shardapi.config import Rate\n"
        "from shardapi.limits import Limit\n"
        "routes = Routes('tight')\n"
        "class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):\n"
        "    rate: Rate = Rate(100, 60)\n"
        "@routes.get('/tight', scope='read:status')\n"
        "def keyed(call: Call) -> Answer:\n"
        "    'With a key.'\n"
        "    flask.current_app.extensions['tight'].charge(call)\n"
        "    return Answer()\n"
        "@routes.get('/loose', scope=PUBLIC)\n"
        "def public(call: Call) -> Answer:\n"
        "    'Without one.'\n"
        "    flask.current_app.extensions['tight'].charge(call)\n"
        "    return Answer()\n"
        "@hookimpl\n"
        "def shardapi_blueprints(app):\n"
        "    app.extensions['tight'] = Limit('tight', app.shard.settings(Settings).rate)\n"
        "    return [routes]\n"
    )
    return make_app(PLUGINS__DIR=str(tmp_path), PLUGINS__TIGHT__RATE="2/minute")


def test_a_limit_of_a_plugin_counts_by_key_beside_ours(tight: ShardApp) -> None:
    clients = [client_of(tight), client_of(tight)]
    for client in clients:
        answers = [client.get(f"{API}/tight") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit"].split(", ")[1].startswith('"tight";r=1')
        assert answers[0].headers["X-RateLimit-Limit"] == "120"
        assert int(answers[2].headers["Retry-After"]) <= 61


def test_a_limit_of_a_plugin_counts_by_address_where_there_is_no_key(tight: ShardApp) -> None:
    answers = [client_with(tight, "").get(f"{API}/loose") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[0].headers["X-RateLimit-Remaining"] == "1"


def test_a_limit_of_a_plugin_that_is_none_is_refused(tmp_path: Path, tight: ShardApp) -> None:
    from shardapi.config import load
    from shardapi.installed import PluginError
    from shardapi.plugins import Plugins

    given = {"SHARDAPI_PLUGINS__DIR": str(tmp_path), "SHARDAPI_PLUGINS__TIGHT__RATE": "often"}
    with pytest.raises(PluginError, match="plugin tight: .*COUNT/minute"):
        Plugins(load(environ=given))

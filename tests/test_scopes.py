"""The scope table whole: every route with a key of every scope and of none, and with those that open nothing."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import reference
from apps import client_with, problem
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shardapi import PUBLIC, ShardApp, clock, create_app
from shardapi.auth import SCOPES, mint_secret
from shardapi.config import load
from shardapi.routes import Route

UNLIMITED = "1000000/minute"


class House(NamedTuple):
    """An app whose limits are out of the way, and a client for each key."""

    app: ShardApp
    by_scope: dict[str, FlaskClient]
    by_all_but: dict[str, FlaskClient]
    opening_nothing: dict[str, FlaskClient]

    @property
    def routes(self) -> list[Route]:
        """Every declared call, the gateway's upgrade excepted, which takes tokens instead."""
        return [route for route in self.app.shard.plugins.routes if not route.websocket]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One app for the whole table; calls that are let in may leave it in any state."""
    folder = str(tmp_path_factory.mktemp("scopes"))
    environ = {
        "SHARDAPI_LIMITS__DEFAULT": UNLIMITED,
        "SHARDAPI_LIMITS__AUTH_FAILURES": UNLIMITED,
        "SHARDAPI_LIMITS__ACARS": UNLIMITED,
    }
    app = create_app(load(environ=environ, data_dir=folder))
    elsewhere = create_app(load(environ={"SHARDAPI_GUILD__ID": "42"}, data_dir=folder))
    keys, everything = app.shard.keys, app.shard.plugins.all_scopes

    def client(*scopes: str) -> FlaskClient:
        return client_with(app, keys.create("one", scopes)[1])

    revoked, gone = keys.create("revoked", everything)
    keys.revoke(revoked.id)
    secrets = {
        "no key": "",
        "unknown": mint_secret("owner"),
        "mistyped": keys.create("mistyped", everything)[1][:-1] + "-",
        "expired": keys.create("expired", everything, expires_at=clock.now() - 1)[1],
        "revoked": gone,
        "foreign": elsewhere.shard.keys.create("foreign", everything)[1],
        "service": keys.create("service", everything, kind="service")[1],
    }
    yield House(
        app,
        {scope: client(*([scope] if scope else [])) for scope in ("", *sorted(everything))},
        {scope: client(*(everything - {scope})) for scope in everything},
        {name: client_with(app, secret) for name, secret in secrets.items()},
    )
    app.shard.close()
    elsewhere.shard.close()


def call(client: FlaskClient, route: Route) -> TestResponse:
    """The call, its path's parameters made up, its body an empty object; an endless answer is left at once."""
    path = re.sub(r"<(?:[^:<>]+:)?[^<>]+>", "9", route.rule)
    body: dict[str, Any] = {} if route.method == "GET" else {"json": {}}
    answer = client.open(path, method=route.method, buffered=False, **body)
    if answer.is_streamed:
        answer.close()
    return answer


def code_of(answer: TestResponse) -> str:
    """The code of a problem; "" for anything else."""
    if answer.content_type != "application/problem+json":
        return ""
    return str(answer.get_json()["code"])


def test_the_scopes_are_those_of_the_reference(app: ShardApp) -> None:
    assert SCOPES == reference.scopes()
    assert app.shard.plugins.all_scopes == reference.scopes().keys()


def test_a_key_is_let_in_by_the_scope_of_a_route_and_by_no_other(house: House) -> None:
    tried = 0
    for route in house.routes:
        for scope, client in house.by_scope.items():
            answer, tried = call(client, route), tried + 1
            if route.scope in (PUBLIC, scope):
                assert code_of(answer) not in ("missing_scope", "unauthorized"), (route.name, scope)
            else:
                _names(problem(answer, "missing_scope"), route.scope)
    assert tried == len(house.routes) * (len(reference.scopes()) + 1)


def test_all_scopes_but_its_own_do_not_open_a_route(house: House) -> None:
    for route in house.routes:
        if route.scope != PUBLIC:
            _names(problem(call(house.by_all_but[route.scope], route), "missing_scope"), route.scope)


def _names(refused: dict[str, Any], scope: str) -> None:
    assert scope in refused["error"] and scope in refused["hint"]


@pytest.mark.parametrize(
    "kind", ["no key", "unknown", "mistyped", "expired", "revoked", "foreign", "service"]
)
def test_a_key_that_opens_nothing_gets_one_answer_everywhere(house: House, kind: str) -> None:
    client, told = house.opening_nothing[kind], set()
    for route in house.routes:
        answer = call(client, route)
        if route.scope == PUBLIC:
            assert code_of(answer) not in ("missing_scope", "unauthorized"), route.name
            continue
        refused = problem(answer, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "X-RateLimit-Limit" not in answer.headers
        told.add((refused["error"], refused["hint"]))
    assert len(told) == 1


def test_a_scope_that_a_plugin_brings_guards_its_routes(
    make_app: Callable[..., ShardApp], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "extra.py").write_text(
        "from shardapi import Answer, Routes, hookimpl\n"
        "extra = Routes('extra', scopes={'read:extra': 'more'})\n"
        "@extra.get('/extra', scope='read:extra')\n"
        "def read() -> Answer:\n    'Answer as little as can be.'\n    return Answer()\n"
        "@hookimpl\ndef shardapi_blueprints(app):\n    return [extra]\n"
    )
    app = make_app(PLUGINS__DIR=str(folder))
    (route,) = (route for route in app.shard.plugins.routes if route.name == "extra.read")
    _, with_it = app.shard.keys.create("with", ["read:extra"])
    _, without = app.shard.keys.create("without", SCOPES)
    assert call(client_with(app, with_it), route).status_code == 200
    _names(problem(call(client_with(app, without), route), "missing_scope"), "read:extra")

"""The doctor's question: only the shard's own secret asks it, and only the shard answers it."""

from typing import TYPE_CHECKING

import pytest

from shardapi import clock, probe
from shardapi.testing import client_of
from shardapi.tokens import BadToken, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from shardapi import ShardApp


def ask(client: "FlaskClient", question: str, path: str = "/health", **headers: str) -> bytes:
    """What a request with this question is answered."""
    return client.get(path, headers={probe.HEADER: question, **headers}).data


def test_the_shard_tells_how_a_question_arrived(app: "ShardApp", client: "FlaskClient") -> None:
    tokens = app.shard.tokens
    answer = ask(
        client, probe.question(tokens, "n1"), Host="shard.example.com", **{"X-Forwarded-For": "192.0.2.1"}
    )
    seen = probe.read(tokens, answer, "n1")
    assert (seen.address, seen.peer, seen.host) == ("127.0.0.1", "127.0.0.1", "shard.example.com")
    assert seen.forwarded and 0 < seen.files < seen.most_files


@pytest.mark.parametrize("path", ["/api/v1/stream", "/api/v1/status", "/ws", "/nowhere"])
def test_it_is_answered_at_any_path_without_a_key(app: "ShardApp", path: str) -> None:
    answer = ask(client_of(app, ""), probe.question(app.shard.tokens, "n2"), path)
    assert probe.read(app.shard.tokens, answer, "n2").nonce == "n2"


def test_it_is_answered_under_a_foreign_host_too(make_app: "Callable[..., ShardApp]") -> None:
    app = make_app(SERVER__PUBLIC_URL="https://shard.example.com")
    client = client_of(app, "")
    assert client.get("/api/v1/status").status_code == 421
    assert b"." in ask(client, probe.question(app.shard.tokens, "n3"), "/api/v1/status")


@pytest.mark.parametrize("secret", ["another secret of another shard", ""])
def test_a_question_of_anybody_else_is_no_question(app: "ShardApp", secret: str) -> None:
    question = probe.question(Tokens([secret]), "n4") if secret else "made up"
    client = client_of(app, "")
    assert ask(client, question) == client.get("/health").data
    assert client.get("/api/v1/status", headers={probe.HEADER: question}).status_code == 401


def test_a_token_for_something_else_is_no_question(app: "ShardApp") -> None:
    token = app.shard.central.operator_token("1", "Ann")
    assert client_of(app, "").get("/api/v1/status", headers={probe.HEADER: token}).status_code == 401


@pytest.mark.parametrize("seconds", [-200, 3600])
def test_a_question_is_good_for_a_minute(
    app: "ShardApp", client: "FlaskClient", seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    with monkeypatch.context() as then:
        then.setattr(clock, "now", lambda: now + seconds * 1000)
        question = probe.question(app.shard.tokens, "n5")
    assert ask(client, question) == client.get("/health").data


def test_a_question_for_ever_is_none(app: "ShardApp", client: "FlaskClient") -> None:
    question = app.shard.tokens.sign(probe.ASKED, {"nonce": "n6"})
    assert ask(client, question) == client.get("/health").data


def test_an_answer_to_another_question_is_none(app: "ShardApp", client: "FlaskClient") -> None:
    answer = ask(client, probe.question(app.shard.tokens, "n7"))
    with pytest.raises(BadToken):
        probe.read(app.shard.tokens, answer, "n8")


def test_a_question_leaves_no_trace(app: "ShardApp", client: "FlaskClient", key: str) -> None:
    assert client.get("/api/v1/status").status_code == 200
    app.shard.audit.flush()
    before, newest = client.get("/api/v1/audit").json, app.shard.events.newest
    app.shard.audit.flush()
    for path in ("/health", "/api/v1/stream", "/ws"):
        ask(client, probe.question(app.shard.tokens, "n9"), path)
    app.shard.audit.flush()
    after = client.get("/api/v1/audit").json
    assert before is not None and after is not None
    assert [one["path"] for one in after["entries"]] == [
        "/api/v1/audit",
        *(one["path"] for one in before["entries"]),
    ]
    assert app.shard.events.newest == newest

"""What tests of the app in process share: clients with keys of their own, and what a problem must look like."""

import json
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shardapi import ShardApp
from shardapi.errors import CODES
from shardapi.presence import Identity, Message

API = "/api/v1"


class Listener:
    """An operator's connection that keeps what it is sent; made by `join`."""

    transport = "ws"

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.closed = ""

    def send(self, message: Message) -> bool:
        self.seen.append(json.loads(message.text))
        return not self.closed

    def close(self, reason: str, text: str = "") -> None:
        self.closed = reason

    def last(self, kind: str) -> dict[str, Any]:
        """The newest message of a type."""
        return [message for message in self.seen if message["type"] == kind][-1]


def join(app: ShardApp, user_id: str, *roles: str, name: str = "Ann", service: bool = False) -> Listener:
    """Connect an operator to an app in this process."""
    listener = Listener()
    app.shard.presence.join(listener, Identity(user_id, name, roles, service))
    return listener


def client_of(app: ShardApp, *scopes: str, **options: Any) -> FlaskClient:
    """A client that sends a new key with these scopes, or with all of them."""
    _, secret = app.shard.keys.create("client", scopes or app.shard.plugins.all_scopes, **options)
    return client_with(app, secret)


def client_with(app: ShardApp, secret: str) -> FlaskClient:
    """A client that sends this credential; none for ""."""
    client = app.test_client()
    if secret:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return client


def said(answer: TestResponse) -> dict[str, Any]:
    """The JSON of an answer that must be a success."""
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/json"
    found: dict[str, Any] = answer.get_json()
    assert found["ok"] is True and found["guildId"]
    return found


def problem(answer: TestResponse, code: str) -> dict[str, Any]:
    """The JSON of an answer that must be this error, in the shape every error has."""
    assert answer.content_type == "application/problem+json", answer.text
    found: dict[str, Any] = answer.get_json()
    kind = CODES[code]
    assert (found["code"], found["status"], answer.status_code) == (code, kind.status, kind.status), found
    assert found["ok"] is False and found["title"] == kind.title
    assert found["error"].strip() and found["error"] == found["detail"]
    assert found["requestId"] == answer.headers["X-Request-Id"]
    for one in found.get("errors", ()):
        assert isinstance(one["path"], str) and one["message"]
    return found

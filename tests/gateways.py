"""What tests of the gateway share: a shard whose secret they know, tokens made with it, and the log about one user."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from shardapi.testing import Operator, Server
from shardapi.tokens import Tokens

GUILD = "424242"
SECRET = "a-secret-for-the-tests-of-the-gateway"
Join = Callable[..., Operator]
Connect = Callable[..., ClientConnection]


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Server]:
    """A shard whose guild and secret are known, so that tokens can be made here."""
    known = {"GUILD__ID": GUILD, "SIGNING_SECRET": SECRET, "LIMITS__DEFAULT": "1000000/minute"}
    server = Server(folder, {f"SHARDAPI_{name}": value for name, value in {**known, **settings}.items()})
    try:
        yield server.start()
    finally:
        server.kill()


def token(
    user: str,
    name: str = "Ann",
    roles: Sequence[str] = (),
    guild: str = GUILD,
    days: float = 1,
    age: int = 0,
) -> str:
    """An operator token as central made it `age` seconds ago."""
    now = int(time.time()) - age
    said = {"userId": user, "displayName": name, "roles": list(roles), "guildId": guild, "iat": now}
    return Tokens([SECRET]).sign("operator", {**said, "exp": now + int(days * 86400)})


class Tail:
    """The event stream from now on, as far as it is about one user."""

    def __init__(self, shard: Server, user: str) -> None:
        self.user = user
        headers = {"Authorization": f"Bearer {shard.key()}"}
        self.answer = urlopen(Request(shard.url + "/api/v1/stream", headers=headers), timeout=30)
        assert self.answer.readline().startswith(b":")

    def types(self, count: int) -> list[str]:
        """The types of the next events about the user."""
        return [self.next()["type"] for _ in range(count)]

    def expect(self, kind: str) -> dict[str, Any]:
        """The data of the user's next event of this type."""
        while (event := self.next())["type"] != kind:
            pass
        data: dict[str, Any] = event["data"]
        return data

    def next(self) -> dict[str, Any]:
        """The next event about the user."""
        while True:
            line = self.answer.readline()
            assert line, "the stream was closed"
            if line.startswith(b"data: "):
                event: dict[str, Any] = json.loads(line[6:])
                if event["data"].get("userId") == self.user:
                    return event

    def close(self) -> None:
        """Stop reading."""
        self.answer.close()


def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next message on a socket."""
    message: dict[str, Any] = json.loads(socket.recv(30))
    return message


def told_to_go(socket: ClientConnection) -> str:
    """The text of the `disconnect` that comes before the socket is closed with 4001."""
    while (message := receive(socket))["type"] != "disconnect":
        pass
    with pytest.raises(ConnectionClosed) as end:
        socket.recv(30)
    assert end.value.rcvd is not None and end.value.rcvd.code == 4001
    text: str = message["reason"]
    return text


def refused(refusal: pytest.ExceptionInfo[InvalidStatus]) -> tuple[int, str]:
    """Status and code of a refused upgrade."""
    answer = refusal.value.response
    return answer.status_code, json.loads(bytes(answer.body))["code"]


def connected(shard: Server) -> list[str]:
    """Ids of the users on the roster."""
    return [one["userId"] for one in shard.get("/roster").json()["operators"]]

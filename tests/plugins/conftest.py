"""What tests of plugins share: Chromium, a broker, and operators at the `shard` of a module.

`gateways.served` gives that shard the secret that tokens are made with here.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gateways import GUILD, Connect, Join, Tail, token
from samples import Broker, install
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from shardapi.testing import Operator, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
collect_ignore = ["samples"]  # their tests want them installed; test_samples.py sees to it
numbers = count(1)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the sample plugins are installed."""
    return install(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Debian's Chromium; expectations wait long, because tests share the machine."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Mosquitto, to which one gets with a password."""
    broker = Broker(tmp_path_factory.mktemp("broker"))
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
def user() -> str:
    """A user nobody else uses."""
    return f"user-{next(numbers)}"


@pytest.fixture
def connect(shard: Server) -> Iterator[Connect]:
    """Opens sockets that do not join."""
    with ExitStack() as opened:

        def connect_one(
            shown: str = "", query: str = "", server: Server = shard, **options: Any
        ) -> ClientConnection:
            headers = {"Authorization": f"Bearer {shown}"} if shown else {}
            address = server.url.replace("http", "ws", 1) + "/ws" + query
            socket: ClientConnection = opened.enter_context(
                open_socket(address, additional_headers=headers, proxy=None, **options)
            )
            return socket

        yield connect_one


@pytest.fixture
def join(shard: Server) -> Iterator[Join]:
    """Connects operators that join; `shown` is what they show instead of a token of `user`."""
    joined: list[Operator] = []

    def join_one(
        user: str, name: str = "Ann", roles: Sequence[str] = (), server: Server = shard, shown: str = ""
    ) -> Operator:
        joined.append(Operator(server.url, shown or token(user, name, roles), GUILD).join())
        return joined[-1]

    yield join_one
    for one in joined:
        one.close()


@pytest.fixture
def net(shard: Server) -> Iterator[dict[str, Any]]:
    """A net, and the operation open."""
    shard.post("/operation", {"open": True})
    made = shard.net()
    yield made
    shard.delete(f"/nets/{made['netUid']}")


@pytest.fixture
def tail(shard: Server, user: str) -> Iterator[Tail]:
    """What the log tells of `user`."""
    opened = Tail(shard, user)
    yield opened
    opened.close()

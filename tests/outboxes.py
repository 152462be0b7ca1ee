"""An outbox that delivers in the test's own process, on a schedule that takes seconds instead of days."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from flask.testing import FlaskClient
from receivers import Receiver

from shardapi import Event, ShardApp
from shardapi.commands import SetOperation
from shardapi.events import UserJoined
from shardapi.outbox.outbox import Outbox
from shardapi.outbox.schedule import Schedule

LOOPBACK = {
    "PLUGINS__WEBHOOKS__ALLOW_PRIVATE": '["127.0.0.0/8", "::1"]',
    "LIMITS__DEFAULT": "1000000/minute",
}
# 5 s are 20 ms, and ten minutes 2.4 s.
QUICK = Schedule(waits=(0.02, 0.12, 0.48, 1.2, 2.4), shortest_asked=0.01, give_up_ms=10**12)
# Every wait is short.
IMPATIENT = Schedule(waits=(0.01, 0.01, 0.01, 0.01, 0.01), shortest_asked=0.01, give_up_ms=10**12)


class Desk:
    """An app, a client with every scope, and its outbox."""

    def __init__(self, app: ShardApp) -> None:
        self.app, self.shard = app, app.shard
        self.client: FlaskClient = app.test_client()
        secret = app.shard.keys.create("desk", app.shard.plugins.all_scopes)[1]
        self.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
        self.box: Outbox = app.extensions["webhooks"].outbox
        self.box.schedule = IMPATIENT
        self._running: gevent.Greenlet | None = None

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """A call that must succeed."""
        answer = self.client.open(f"/api/v1{path}", method=method, json=body, **options)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    def hook(self, url: str, *events: str, **members: Any) -> str:
        """The id of a new webhook."""
        body = {"url": url, "events": events, **members}
        return str(self.call("POST", "/webhooks", body)["webhook"]["id"])

    def state(self, id: str) -> dict[str, Any]:
        """A webhook as it is listed."""
        return next(one for one in self.call("GET", "/webhooks")["webhooks"] if one["id"] == id)

    def deliveries(self, id: str) -> dict[str, Any]:
        """What a webhook was sent, and what is parked."""
        return self.call("GET", f"/webhooks/{id}/deliveries?limit=100")

    def join(self, *users: object) -> list[str]:
        """Log joins; returns the ids of these events."""
        self.shard.writer.append(
            [
                Event("user.joined", UserJoined(user_id=str(user), display_name="", transport="ws", nets=()))
                for user in users
            ]
        )
        newest = self.shard.events.newest
        return [self.shard.events.id_of(newest - at) for at in reversed(range(len(users)))]

    def toggle(self) -> None:
        """Open or close the operation."""
        self.shard.central.submit([SetOperation(open=not self.shard.guild.operation_open)])

    def settle(self) -> None:
        """Wait until what was delivered is known to be, so that a restart delivers none of it again."""
        until(lambda: not any(sender.behind for sender in self.box.senders.values()), "for it to settle")

    def begin(self) -> "Desk":
        """Deliver from now on."""
        self._running = gevent.spawn(self.box.run)
        return self

    def end(self) -> None:
        """Deliver no more, without a farewell, as when the process is killed."""
        if self._running is not None:
            for sender in list(self.box.senders.values()):
                sender.stop()
            self._running.kill()
            self._running = None


def until(condition: Callable[[], Any], what: str = "", seconds: float = 30.0) -> Any:
    """Let deliveries go on until it is so."""
    with gevent.Timeout(seconds, AssertionError(f"waited {seconds} s in vain {what}")):
        while not (found := condition()):
            gevent.sleep(0.005)
    return found


def users(receiver: Receiver) -> list[str]:
    """Whose joins came, in their order."""
    return [one.event["data"]["userId"] for one in receiver.got if one.event["type"] == "user.joined"]


@contextmanager
def delivering(app: ShardApp) -> Iterator[Desk]:
    """A desk whose outbox delivers while the block runs."""
    desk = Desk(app).begin()
    try:
        yield desk
    finally:
        desk.end()

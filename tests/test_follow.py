"""events.follow as a plugin's task uses it: durable, at least once, one with the rows made from the events."""

import os
import signal
from collections.abc import Iterator

import pytest
from strangers import install

from shardapi.testing import Server

STEP = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE counted_event (number INTEGER, type TEXT)')\n"
COUNTER = '''
from shardapi import Answer, Model, Routes, Shard, ShardApp, hookimpl
import peewee

routes = Routes("counter", __name__, scopes={"read:counter": "what was counted"})

class CountedEvent(Model):
    number = peewee.IntegerField(primary_key=True)
    type = peewee.TextField()

class Counted(Answer, kw_only=True):
    numbers: list[int]
    types: list[str]

@routes.get("/counter", scope="read:counter")
def read(shard: Shard) -> Counted:
    """What was counted."""
    rows = shard.store.read(lambda: list(CountedEvent.select().order_by(CountedEvent.number)))
    return Counted(numbers=[one.number for one in rows], types=[one.type for one in rows])

def count(shard: Shard) -> None:
    follower = shard.events.follow("counter", hold=True)
    for events in follower:
        def keep():
            for event in events:
                CountedEvent.insert(number=event.number, type=event.envelope["type"]).execute()
            follower.done(events[-1].number)
        shard.writer.write(keep)

@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [routes]

@hookimpl
def shardapi_tasks(app: ShardApp):
    def counting() -> None:
        count(app.shard)
    return [counting]
'''


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with a plugin that counts events in a table of its own."""
    folder = install(tmp_path_factory.mktemp("plugins"), "counter", COUNTER, {"0001_first": STEP})
    env = {
        "PYTHONPATH": str(folder),
        "SHARDAPI_PLUGINS__ENABLED": "counter,nets,operation,gateway",
        "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
    }
    server = Server(tmp_path_factory.mktemp("shard"), env)
    try:
        yield server.start()
    finally:
        server.kill()


def settled(server: Server, at_least: int) -> list[int]:
    """The numbers that are counted, once there are so many."""
    found: list[int] = server.wait(
        lambda: (said := server.get("/counter").json()["numbers"]) and len(said) >= at_least and said,
        "the count",
    )
    return found


def test_a_task_that_follows_sees_each_event_once_through_crashes_and_absence(counted: Server) -> None:
    counted.net("One")
    settled(counted, 1)
    for _ in range(2):
        counted.post("/operation", {"open": True})
        counted.post("/operation", {"open": False})
        os.kill(counted.worker_pid, signal.SIGKILL)
        counted.wait(lambda: counted.get("/ws", key="").status_code == 426, "a new worker")
    before = settled(counted, 5)
    counted.stop()
    counted.env["SHARDAPI_PLUGINS__ENABLED"] = "nets,operation,gateway"  # the plugin is away for a while
    counted.start()
    counted.net("Two")
    shown = {one["name"]: one for one in counted.command("plugins", "list")}
    assert shown["counter"]["enabled"] is False and shown["counter"]["kept"] == ["counted_event"]
    assert counted.command("config", "check")["kept"] == {"counter": ["counted_event"]}
    counted.stop()
    counted.env["SHARDAPI_PLUGINS__ENABLED"] = "counter,nets,operation,gateway"
    counted.start()
    after = settled(counted, len(before) + 1)
    assert after[: len(before)] == before and len(after) == len(set(after))
    assert counted.get("/counter").json()["types"] == [
        "config.changed", "operation.opened", "operation.closed", "operation.opened", "operation.closed",
        "config.changed",
    ]  # fmt: skip
    (mine,) = (one for one in counted.command("plugins", "list") if one["name"] == "counter")
    assert (mine["distribution"], mine["version"], mine["bundled"]) == ("stranger-counter", "1.2", False)
    assert mine["tables"] == ["counted_event"] and mine["kept"] == [] and len(mine["tasks"]) == 1

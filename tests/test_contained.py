"""A plugin that fails wherever it is let in, on a running shard: who listens, talks or calls notices nothing."""

from collections.abc import Iterator

import pytest
from faults.reader import Reader

from shardapi.testing import Server

HOSTILE = '''
import sys

import gevent

from shardapi import Answer, Guard, Query, Routes, Shard, ShardApp, hookimpl

routes = Routes("hostile", __name__, scopes={"read:hostile": "see it fail"})

class HostileQuery(Query, kw_only=True):
    how: str

def ends():
    sys.exit(3)

def interrupts(*_):
    raise KeyboardInterrupt

def waits(*_):
    raise gevent.Timeout(1)

def exits(*_):
    raise gevent.GreenletExit

class Collector:
    def collect(self):
        exits()

HOW = {
    "read": lambda shard: shard.store.read(ends),
    "write": lambda shard: shard.writer.write(ends),
    "tell": lambda shard: shard.writer.write(lambda: None, tell=lambda _: ends()),
    "spawn": lambda shard: shard.spawn(interrupts),
    "exit": lambda shard: exits(),
    "itself": lambda shard: ends(),
}

@routes.get("/hostile", scope="read:hostile")
def fail(query: HostileQuery, shard: Shard) -> Answer:
    """Fail."""
    HOW[query.how](shard)
    return Answer()

@hookimpl
def shardapi_blueprints(app: ShardApp):
    shard = app.shard
    for listeners in (shard.events.on_commit, shard.writer.on_change, shard.writer.on_foreign, shard.keys.on_ended):
        listeners[:0] = [waits, exits]
    app.extensions.setdefault("prometheus_collectors", []).append(Collector())
    return [routes]

@hookimpl
def shardapi_guards():
    return [Guard(waits), Guard(exits)]

@hookimpl
def shardapi_subscribers():
    return [interrupts, exits]

@hookimpl
def shardapi_tasks():
    return [interrupts, ends, exits]
'''
FAILS = {"read": 500, "write": 500, "tell": 500, "spawn": 200, "exit": 500, "itself": 500}
PLACES = {"view", "subscriber", "listener", "task", "guard", "metrics"}


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with that plugin."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "hostile.py").write_text(HOSTILE)
    server = Server(tmp_path_factory.mktemp("shard"), {"SHARDAPI_PLUGINS__DIR": str(folder)})
    try:
        yield server.start()
    finally:
        server.kill()


def test_nothing_that_a_plugin_raises_takes_the_stream_the_gateway_or_another_plugin_down(
    shard: Server,
) -> None:
    worker, reader, ann = shard.worker_pid, Reader(shard, shard.key()), shard.operator("1", "Ann")
    try:
        net = shard.net()["netUid"]
        shard.post("/assignments", {"userId": "1", "netUid": net, "action": "assign"})
        shard.post("/operation", {"open": True})
        for how, status in FAILS.items():
            assert shard.get(f"/hostile?how={how}").status_code == status, how
        shard.key("read:status")  # of another process
        ann.send(type="ptt.start", netUid=net)
        ann.expect("ptt.start")
        wanted = ["user.joined", "config.changed", "assignments.changed", "operation.opened", "ptt.start"]
        shard.wait(lambda: [one["type"] for one in reader.events] == wanted, "the stream to tell all of it")
        assert shard.get("/metrics/prometheus").status_code == 200
        text = shard.get("/metrics/prometheus").text
        for place in PLACES:
            assert f'shardapi_plugin_errors_total{{plugin="hostile",where="{place}"}}' in text, place
        ready = shard.get("/ready", key="")
        assert ready.status_code == 200
        found = {(one["plugin"], one["where"]) for one in ready.json()["problems"]}
        assert found >= {("hostile", place) for place in PLACES}
        assert (shard.worker_pid, reader.connects) == (worker, 1)
        for place in PLACES - {"view"}:
            said = f"plugin hostile: {place} "
            shard.wait(lambda said=said: any(said in line for line in shard.log), f"the log to say {said}")
    finally:
        reader.close()
        ann.close()

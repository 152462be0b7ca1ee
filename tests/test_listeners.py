"""Listeners: what plugins do wrong in them is told, and reaches nobody else."""

from functools import partial

import gevent
import pytest

from shardapi import Event, ShardApp
from shardapi.commands import SetOperation
from shardapi.events import OperationChanged
from shardapi.listeners import Listeners


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), SystemExit(3), gevent.Timeout(1, "secret"), gevent.GreenletExit("secret")],
)
def test_a_plugins_listener_that_raises_takes_neither_the_writer_nor_the_stream_down(
    app: ShardApp, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    shard, seen = app.shard, []

    def breaks(what: BaseException, *_: object) -> None:
        raise what

    broken = partial(breaks, error)
    for listeners in (
        shard.events.on_commit,
        shard.writer.on_change,
        shard.writer.on_foreign,
        shard.keys.on_ended,
    ):
        listeners.insert(0, broken)  # in front of the core's own
        listeners.append(lambda *_: seen.append(1))
    shard.central.submit([SetOperation(open=True)])
    shard.writer.append([Event("operation.closed", OperationChanged(open=False))])
    shard.writer.refresh()
    key, _ = shard.keys.create("test", [])
    shard.keys.revoke(key.id)
    assert len(seen) >= 5 and shard.guild.operation_open and shard.hub.log.newest == shard.events.newest
    assert set(shard.problems.counts) == {("test_listeners", "listener")}
    ready = app.test_client().get("/ready")
    said = f"breaks failed: {type(error).__name__}"
    assert ready.status_code == 200 and said in ready.text and "secret" not in ready.text
    assert "plugin test_listeners: listener " in caplog.text


def test_the_cores_own_listener_is_not_contained() -> None:
    def broken() -> None:
        raise ValueError

    broken.__module__ = "shardapi.presence"
    listeners: Listeners[[]] = Listeners([broken])
    with pytest.raises(ValueError):
        listeners.tell()

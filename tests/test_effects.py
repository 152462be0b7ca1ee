"""Effects outside the store: each once at most, its answer and event true, whatever breaks in between."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from apps import problem, said
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shardapi import ShardApp, effects
from shardapi.store import one
from shardapi.testing import Server

RINGS = "/api/v1/rings"
KEPT = {"Idempotency-Key": "first"}

# Plans one ring and answers seven; a file counts how often it was done. Others have it break, die, or fill the disk.
BELL = '''
import os
import pathlib
import signal

from shardapi import Event, EventType, NoBody, Routes, Shard, Write, Written, hookimpl
from shardapi.guild import Frozen
from shardapi.store import one

bell = Routes("bell")


class Rung(Written, kw_only=True):
    rings: int


class BellRung(Frozen, frozen=True, kw_only=True):
    rings: int


@bell.post("/rings", scope="write:clients")
def ring(body: NoBody, write: Write, shard: Shard) -> Rung:
    """Ring the bell."""
    folder = pathlib.Path(shard.config.data_dir)

    def pull(answer: Rung) -> None:
        death = folder / "death"
        if death.exists() and death.read_text() == "before":
            death.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        with open(folder / "rung", "a") as file:
            file.write("x")
        if death.exists() and death.read_text() == "after":
            death.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (folder / "read-only").exists():
            shard.store.execute(lambda: one("PRAGMA query_only = 1"))
        answer.rings = 7
        if (folder / "broken").exists():
            raise ZeroDivisionError

    return write.perform(Rung(action="ring", rings=1), pull, events=lambda rung: [told(rung)])


def told(rung: Rung) -> Event:
    return Event("bell.rung", BellRung(rings=rung.rings))


@hookimpl
def shardapi_blueprints(app):
    return [bell]


@hookimpl
def shardapi_events():
    return [EventType("bell.rung", BellRung, "The bell was rung.")]
'''


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder of plugins with the bell."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "bell.py").write_text(BELL)
    return folder


@pytest.fixture
def app(make_app: Callable[..., ShardApp], plugins: Path) -> ShardApp:
    return make_app(PLUGINS__DIR=str(plugins))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of `app`."""
    return tmp_path / "data"


def rung(folder: Path) -> int:
    """How often the bell was really rung."""
    file = folder / "rung"
    return len(file.read_text()) if file.exists() else 0


def told(app: ShardApp) -> list[dict[str, Any]]:
    """What the log says of the bell."""
    return [event.envelope["data"] for event in app.shard.events.page(0, 2**62) if event.type == "bell.rung"]


def open_effects(app: ShardApp) -> int:
    return int(app.shard.store.read(lambda: one("SELECT count(*) FROM effect"))[0])


def test_what_came_of_it_is_answered_kept_and_told(app: ShardApp, client: FlaskClient, folder: Path) -> None:
    first = client.post(RINGS, headers=KEPT)
    again = client.post(RINGS, headers=KEPT)
    assert said(first)["rings"] == 7 and said(first)["changed"] is True
    assert again.data == first.data and again.headers["Idempotent-Replayed"] == "true"
    assert (rung(folder), told(app), open_effects(app)) == (1, [{"rings": 7}], 0)


def test_a_dry_run_answers_the_plan(app: ShardApp, client: FlaskClient, folder: Path) -> None:
    answer = said(client.post(f"{RINGS}?dryRun=true", headers=KEPT))
    assert (answer["rings"], answer["dryRun"]) == (1, True)
    assert (rung(folder), told(app), open_effects(app)) == (0, [], 0)


def test_what_broke_off_is_told_as_planned_and_not_done_again(
    app: ShardApp, client: FlaskClient, folder: Path
) -> None:
    (folder / "broken").touch()
    problem(client.post(RINGS, headers=KEPT), "internal")
    assert said(client.post(RINGS, headers=KEPT))["rings"] == 1
    assert (rung(folder), told(app), open_effects(app)) == (1, [{"rings": 1}], 0)


def test_another_version_does_nothing(app: ShardApp, client: FlaskClient, folder: Path) -> None:
    problem(client.post(RINGS, headers={**KEPT, "If-Match": '"7"'}), "precondition_failed")
    assert (rung(folder), told(app), open_effects(app)) == (0, [], 0)


def writable(app: ShardApp, yes: bool) -> None:
    """Let the store take writes, or refuse them as a full disk does."""
    app.shard.store.execute(lambda: one(f"PRAGMA query_only = {int(not yes)}"))


def test_nothing_is_done_while_the_store_cannot_write(
    app: ShardApp, client: FlaskClient, folder: Path
) -> None:
    writable(app, False)
    problem(client.post(RINGS, headers=KEPT), "store_unavailable")
    writable(app, True)
    assert rung(folder) == 0
    assert said(client.post(RINGS, headers=KEPT))["rings"] == 7
    assert rung(folder) == 1


@pytest.fixture
def full_in_between(app: ShardApp, client: FlaskClient, folder: Path) -> Iterator[TestResponse]:
    """The answer to a ring after which the disk was full."""
    (folder / "read-only").touch()
    yield client.post(RINGS, headers=KEPT)


def test_a_disk_that_fills_up_in_between_does_not_belie_what_was_done(
    app: ShardApp, client: FlaskClient, folder: Path, full_in_between: TestResponse
) -> None:
    assert said(full_in_between)["rings"] == 7
    problem(client.post(RINGS, headers=KEPT), "idempotency_running")
    assert told(app) == []
    (folder / "read-only").unlink()
    writable(app, True)
    with gevent.Timeout(10):
        while app.shard.running_writes:
            gevent.sleep(0.01)
    again = client.post(RINGS, headers=KEPT)
    assert again.data == full_in_between.data and again.headers["Idempotent-Replayed"] == "true"
    assert (rung(folder), told(app), open_effects(app)) == (1, [{"rings": 7}], 0)


def test_an_end_that_another_process_has_made_is_not_made_again(app: ShardApp) -> None:
    effect = effects.Effect(app.shard.guild_id, "key_1", "first")
    app.shard.writer.write(lambda: effect.begin([]))
    assert app.shard.writer.write(lambda: effects.left_open(app.shard.guild_id)) == []
    assert app.shard.writer.write(lambda: effect.end(b"{}")) is False


def test_another_guild_ends_its_own(app: ShardApp) -> None:
    effect = effects.Effect("another", "key_1", "first")
    app.shard.writer.write(lambda: effect.begin([]))
    app.shard.writer.write(lambda: effects.left_open(app.shard.guild_id))
    assert open_effects(app) == 1


def test_what_cannot_be_kept_yet_is_said_in_the_log(app: ShardApp, caplog: pytest.LogCaptureFixture) -> None:
    writable(app, False)
    with caplog.at_level(logging.WARNING, "shardapi.effects"):
        keeping = gevent.spawn(effects.keep, app.shard.writer, lambda: None, lambda done: ())
        with gevent.Timeout(10):
            while not caplog.records:
                gevent.sleep(0.01)
    writable(app, True)
    keeping.get(timeout=10)
    assert "cannot be kept yet" in caplog.text


@pytest.mark.parametrize(("death", "times"), [("before", 0), ("after", 1)])
def test_a_crash_in_between_leaves_the_plan_and_no_second_ring(
    start_shard: Callable[..., Server], plugins: Path, death: str, times: int
) -> None:
    server = start_shard(env={"SHARDAPI_PLUGINS__DIR": str(plugins)})
    worker = server.worker_pid
    (server.data_dir / "death").write_text(death)
    with pytest.raises(OSError):
        server.post("/rings", headers=KEPT)
    server.wait(lambda: server.worker_pid not in (0, worker), "a new worker")
    server.wait(lambda: server.get("/ws", key="").status_code != 503, "the new worker to serve")
    again = server.wait(lambda: _replayed(server.post("/rings", headers=KEPT)), "the kept answer")
    assert again["rings"] == 1 and rung(server.data_dir) == times
    (told,) = server.command("tail", "--no-follow", "--types", "bell.rung")["data"].items()
    assert told == ("rings", 1)


def _replayed(answer: Any) -> Any:
    if answer.status_code == 409:
        return None
    assert answer.headers["Idempotent-Replayed"] == "true"
    return answer.json()

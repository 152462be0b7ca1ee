"""Backups beside writers who were promised that what was acknowledged is kept: each is one moment of the log."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from terminal import SHARDAPI

from shardapi.testing import Server

from . import store
from .bots import Load, state_after

BACKUPS = {"ci": 2, "soak": 20}
FIGURE = Callable[[str, float, str], None]
EVENTS = "SELECT number, guild, type, net, at, data FROM event ORDER BY number"


class Taken(NamedTuple):
    """A backup, and the version that was acknowledged before it began."""

    path: Path
    acknowledged: int
    ms: int


def take(server: Server, load: Load, path: Path) -> Taken:
    """Make a backup while the bots work."""
    before = load.version
    said = server.command("backup", str(path))
    return Taken(path, before, said["ms"])


def restored(taken: Taken) -> Path:
    """The backup as a data folder, by a command of its own."""
    folder = taken.path.with_suffix("")
    call = [*SHARDAPI, "restore", str(taken.path), "--data-dir", str(folder)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_backups_under_load_hold_what_was_acknowledged_and_nothing_torn(
    start_shard: Callable[..., Server], tmp_path: Path, size: str, figure: FIGURE
) -> None:
    server = start_shard(env={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"})
    with Load(server) as load:
        time.sleep(0.2)
        taken = [take(server, load, tmp_path / f"{number}.zip") for number in range(BACKUPS[size])]
    log = store.rows(server.data_dir, EVENTS)
    lost = torn = broken = 0
    for one in taken:
        folder = restored(one)
        broken += not store.whole(folder)
        version = store.value(folder, "SELECT version FROM guild")
        lost += version < one.acknowledged
        events = store.rows(folder, EVENTS)
        torn += events != log[: len(events)] or store.state(folder) != state_after(load.done, version)
    figure("backup.taken-under-load", len(taken), f">= {BACKUPS[size]}")
    figure("backup.not-whole", broken, "== 0")
    figure("backup.without-what-was-acknowledged", lost, "== 0")
    figure("backup.torn", torn, "== 0")
    load.check("backup", figure, 0)
    goes_on(server, start_shard(folder))


def goes_on(before: Server, again: Server) -> None:
    """What is restored serves, tells those who knew the other shard of a gap, and takes writes."""
    epoch = store.value(before.data_dir, "SELECT value FROM meta WHERE name = 'epoch'")
    newest = store.newest(before.data_dir)
    assert again.net("after")["changed"]
    with again.get("/stream", headers={"Last-Event-ID": f"{epoch}-{newest}"}, stream=True) as stream:
        line = next(line for line in stream.iter_lines(chunk_size=1) if line.startswith(b"event:"))
    assert line == b"event: stream.gap"

"""The store's door: presence events a second, a lone command's latency, and how long the loop stalls meanwhile."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
from measure import at_least, at_most, percentile

from shardapi.app import create_app
from shardapi.commands import CreateNet, RenameNet
from shardapi.config import load
from shardapi.events import Event, PttStart, PttStop
from shardapi.shard import Shard

SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd) { usleep(10000); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
int fsync(int fd) { usleep(10000); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
"""


def talk(user: int, up: bool) -> Event:
    said = {"user_id": str(user), "display_name": "Ann", "net_id": 1, "net_uid": "net_1"}
    if up:
        return Event("ptt.start", PttStart(**said), "net_1")
    return Event("ptt.stop", PttStop(**said, reason="released", duration_ms=1), "net_1")


class Ticker:
    """How late a 1 ms timer is, in ms."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.task = gevent.spawn(self.run)

    def run(self) -> None:
        while True:
            due = time.perf_counter() + 0.001
            gevent.sleep(0.001)
            self.late.append((time.perf_counter() - due) * 1000)


def append_for(shard: Shard, waiters: int, seconds: float) -> tuple[float, list[float]]:
    end, done = time.perf_counter() + seconds, [0] * waiters

    def wait(number: int) -> None:
        up, down = (talk(number, True),), (talk(number, False),)
        while time.perf_counter() < end:
            shard.writer.append(up)
            shard.writer.append(down)
            done[number] += 2

    ticker, began = Ticker(), time.perf_counter()
    gevent.joinall([gevent.spawn(wait, number) for number in range(waiters)])
    took = time.perf_counter() - began
    ticker.task.kill()
    return sum(done) / took, ticker.late


def lone_writes(shard: Shard, count: int) -> list[float]:
    uid, times = next(iter(shard.guild.nets)), []
    for number in range(count):
        began = time.perf_counter()
        shard.central.submit([RenameNet(uid=uid, name=f"Net {number}")])
        times.append((time.perf_counter() - began) * 1000)
    return times


@contextmanager
def fresh() -> Iterator[Shard]:
    """A shard with one net and every plugin's tasks, on a store of its own: no cell logs on top of another's log."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(load(environ={}, data_dir=folder))
        shard, tasks = app.shard, [gevent.spawn(task.run) for task in app.tasks]
        shard.central.submit([CreateNet(uid="net_1", name="Net")])
        yield shard
        gevent.killall(tasks)
        shard.close()


def run(label: str, seconds: float) -> None:
    with fresh() as shard:
        lone_writes(shard, 50)
        p50 = percentile(lone_writes(shard, 500), 0.5)
        print(
            f"store.lone_write_p50_ms{label} {p50:.3f}"
            if label
            else at_most("store.lone_write_p50_ms", p50, 0.5)
        )
    for waiters in (1, 10, 100, 1000):
        with fresh() as shard:
            rate, late = append_for(shard, waiters, seconds)
        name = f"store.events_per_s.{waiters}{label}"
        wanted = waiters == 1000 and not label
        print(at_least(name, rate, 100_000) if wanted else f"{name} {rate:.0f}")
        print(at_most(f"store.loop_stall_p99_ms.{waiters}{label}", percentile(late, 0.99), 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--slow", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.slow:
        return run(".fsync+10ms", options.seconds)
    run("", options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "slow.c"), Path(folder, "slow.so")
        source.write_text(SLOW_DISK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        again = [sys.executable, __file__, "--slow", "--seconds", str(options.seconds)]
        subprocess.run(again, env={**os.environ, "LD_PRELOAD": str(library)}, check=True)


if __name__ == "__main__":
    main()

"""A long mixed load leaves the worker as it was: memory, descriptors, greenlets, threads."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from receivers import Delivery, Receiver

from shardapi.testing import Server

from .crowd import KNOWN, Crowd
from .day import HEARTBEAT, Day
from .mixed import Mixed

SECONDS = {"ci": 10.0, "soak": 1800.0}
ASKED = "STEADY_SECONDS"  # the environment may ask for another length
WARM_UP = 0.5  # of the time; housekeeping has run once, too, if that is more than a minute
MEMORY_MIB = 8
# Of a pool that is not full yet; what each call, stream or visit left would be a hundred.
MORE = {"ci": 6, "soak": 0}
EVENTS_KEPT = 3000  # so that they are pruned, too

INSIDE = '''
"""Counts what lives in the worker."""

import ctypes
import gc

import greenlet

from shardapi import Answer, Routes, hookimpl

routes = Routes("inside", __name__, scopes={"read:inside": "count what lives"})


class Counts(Answer):
    greenlets: int
    objects: int


@routes.get("/inside", scope="read:inside")
def count() -> Counts:
    """What lives; memory that is free is given back first, so that its resident size is what is held."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    there = gc.get_objects()
    return Counts(greenlets=sum(isinstance(one, greenlet.greenlet) for one in there), objects=len(there))


@hookimpl
def shardapi_blueprints(app):
    return [routes]
'''


class Counted(list[Delivery]):
    """Deliveries, of which only the number is kept."""

    count = 0

    def append(self, delivery: Delivery) -> None:
        self.count += 1


class Kept(NamedTuple):
    """What a worker holds."""

    rss_mib: float
    descriptors: int
    threads: int
    greenlets: int
    objects: int


def kept(server: Server) -> Kept:
    """What the worker holds now."""
    proc = Path(f"/proc/{server.worker_pid}")
    inside = server.get("/inside").json()
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return Kept(
        int(status["VmRSS"].split()[0]) / 1024,
        len(os.listdir(proc / "fd")),
        int(status["Threads"]),
        inside["greenlets"],
        inside["objects"],
    )


def at_rest(server: Server) -> Kept:
    """What the worker holds once everybody has left, and what was under way is done."""
    server.wait(lambda: not server.get("/roster").json()["operators"], "all to have left", 30)
    seen = [kept(server)]
    until = time.monotonic() + 30  # connections that are kept are closed after 20 s
    while time.monotonic() < until and not _settled(seen):
        time.sleep(0.5)
        seen.append(kept(server))
    return seen[-1]


def _settled(seen: list[Kept]) -> bool:
    return len(seen) > 4 and len({(one.descriptors, one.threads, one.greenlets) for one in seen[-4:]}) == 1


def test_mixed_load_leaves_memory_descriptors_greenlets_and_threads_flat(
    start_shard: Callable[..., Server],
    tmp_path: Path,
    size: str,
    figure: Callable[[str, float, str], None],
) -> None:
    seconds = float(os.environ.get(ASKED) or SECONDS[size])
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "inside.py").write_text(INSIDE)
    env = {
        **KNOWN,
        HEARTBEAT: "1.0",
        "SHARDAPI_PLUGINS__DIR": str(tmp_path / "plugins"),
        "SHARDAPI_PLUGINS__WEBHOOKS__ALLOW_PRIVATE": '["127.0.0.0/8"]',
        "SHARDAPI_EVENTS__KEEP_COUNT": str(EVENTS_KEPT),
    }
    server = start_shard(env=env)
    worker = server.worker_pid
    with Receiver(got=Counted()) as receiver:
        assert server.post("/webhooks", {"url": receiver.url, "events": ["*"]}).status_code == 200
        with Crowd(server) as crowd:
            day = Day(server, crowd, seed=5)
            before = load(server, day, seconds * WARM_UP)[0]
            after, mixed = load(server, day, seconds * (1 - WARM_UP))
        delivered = receiver.got
    assert isinstance(delivered, Counted)
    assert server.worker_pid == worker, "it was started anew"
    assert not mixed.bad, mixed.bad[:5]
    figure("flat.seconds", seconds, ">= 10")
    figure("flat.calls", mixed.calls, f">= {2 * seconds}")
    figure("flat.streams", mixed.streams, f">= {0.1 * seconds}")
    figure("flat.deliveries", delivered.count, f">= {2 * seconds}")
    figure("flat.more-mib", after.rss_mib - before.rss_mib, f"<= {MEMORY_MIB}")
    figure("flat.more-descriptors", after.descriptors - before.descriptors, f"<= {MORE[size]}")
    figure("flat.more-greenlets", after.greenlets - before.greenlets, f"<= {MORE[size]}")
    figure("flat.more-threads", after.threads - before.threads, f"<= {MORE[size]}")


def load(server: Server, day: Day, seconds: float) -> tuple[Kept, Mixed]:
    """The load for a while; what the worker holds once it is over."""
    until = time.monotonic() + seconds
    with Mixed(server) as mixed:
        while time.monotonic() < until:
            day.life(20)
    day.crowd.forget()
    return at_rest(server), mixed

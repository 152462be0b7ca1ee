"""SIGKILL, again and again, under writers and a reader: nothing is lost, doubled or untold."""

import os
import random
import signal
import time
from collections.abc import Callable

from shardapi.testing import Server

from .bots import Load

KILLS = {"ci": 6, "soak": 100}


def kill_worker(server: Server) -> None:
    """SIGKILL the worker alone; its master starts another."""
    before = server.worker_pid
    os.kill(before, signal.SIGKILL)
    server.wait(lambda: server.worker_pid not in (0, before) and server.get("/health").ok, "another worker")


def kill_everything(server: Server) -> None:
    """SIGKILL master and worker, and start anew on the same data and port."""
    server.kill()
    server.start()


def test_killed_under_writes_nothing_is_lost_doubled_or_untold(
    start_shard: Callable[..., Server], size: str, figure: Callable[[str, float, str], None]
) -> None:
    server = start_shard(env={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"})
    chance = random.Random(20)
    with Load(server) as load:
        for turn in range(KILLS[size]):
            time.sleep(chance.uniform(0.02, 0.5))  # into another moment of the load each time
            written, connects = load.acknowledged, load.reader.connects
            (kill_worker if turn % 3 else kill_everything)(server)
            server.wait(
                lambda written=written, connects=connects: (
                    load.acknowledged > written + 20 and load.reader.connects > connects
                ),
                "the bots and the reader to get on",
            )
    figure("kill.stream-cuts", load.reader.connects - 1, f">= {KILLS[size]}")
    load.check("kill", figure, KILLS[size])

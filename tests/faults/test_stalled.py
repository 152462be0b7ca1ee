"""Operators who stop reading: the others hear each other as before they stopped, and those are sent off."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shardapi.testing import Server
from shardapi_gateway.outbox import QUEUE_BYTES

from . import store
from .crowd import KNOWN, Crowd, on_nets
from .pairs import Tally, of_log
from .talk import Talk, percentile

TALKERS, STALLED = 100, 100
RATE = 300.0  # key-ups and key-downs a second, of all together
WAVES = {"ci": 1, "soak": 12}
MORE_WAVES = 4  # where other processes have disturbed those
PEACE = 3.0
TIMES = {"ci": 10.0, "soak": 2.0}  # the first beside other tests
OVERHEAD_MIB = 4


def rss_mib(server: Server) -> float:
    """The worker's memory."""
    return int(Path(f"/proc/{server.worker_pid}/statm").read_text().split()[1]) * 4096 / 2**20


def after(seconds: float) -> Callable[[], bool]:
    """True once so many seconds have passed."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def ratio(before: list[float], later: list[float]) -> float:
    """How many times as long the slowest hundredth takes."""
    return percentile(later, 0.99) / percentile(before, 0.99) if before else 1.0


class Watch:
    """Looks now and then whether so many have been sent off, and how much memory that takes."""

    def __init__(self, server: Server, gone: int) -> None:
        self.server, self.gone, self.most = server, gone, 0.0
        self._next, self._until = 0.0, time.monotonic() + 30

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        assert now < self._until, "not all were sent off"
        self._next = now + 0.1
        self.most = max(self.most, rss_mib(self.server))
        sql = "SELECT count(*) FROM event WHERE type = 'user.left'"
        return bool(store.value(self.server.data_dir, sql) >= self.gone)


@pytest.mark.usefixtures("undisturbed")
def test_operators_who_stop_reading_are_sent_off_and_do_not_delay_the_others(
    start_shard: Callable[..., Server], size: str, figure: Callable[[str, float, str], None]
) -> None:
    talkers = [str(10**17 + number) for number in range(TALKERS)]
    listeners = [str(10**16 + number) for number in range(STALLED)]
    server = start_shard(env=KNOWN)
    net = on_nets(server, [*talkers, *listeners])[0]
    reading, stalled, grown, wave = list[float](), list[float](), 0.0, 0
    with Crowd(server) as crowd:
        talk = Talk(crowd, crowd.enter(talkers), net["netUid"], RATE)
        talk.go_on(after(1.0))
        while wave < WAVES[size] + MORE_WAVES * (ratio(reading, stalled) > TIMES[size]):
            wave += 1
            deaf = crowd.enter(listeners)
            for peer in deaf:
                peer.skims = True
            reading += talk.go_on(after(PEACE))
            before = rss_mib(server)
            for peer in deaf:
                crowd.stall(peer)
            watch = Watch(server, STALLED * wave)
            stalled += talk.go_on(watch)
            grown = max(grown, watch.most - before)
            for peer in deaf:
                peer.sock.close()
        there = [peer.user for peer in crowd.joined]
    figure("stalled.ptt-p99-ratio", ratio(reading, stalled), f"<= {TIMES[size]}")
    figure("stalled.memory-mib", grown, f"<= {STALLED * QUEUE_BYTES / 2**20 + OVERHEAD_MIB}")
    figure("stalled.others-lost", TALKERS - len(there), "== 0")
    server.wait(lambda: len(server.get("/roster").json()["operators"]) == 0, "everyone to have left")
    server.stop()
    tally = Tally(of_log(store.events(server.data_dir)))
    figure("stalled.sent-off-as-slow", tally.reasons["user.left", "slow"], f"== {STALLED * wave}")
    assert not tally.unpaired_joins + tally.unpaired_transmissions + tally.negative

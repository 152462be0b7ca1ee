"""Peers that are gone without a word: their packets are lost, and nobody tells the server."""

import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from shardapi.testing import Server

from . import store
from .crowd import KNOWN, Crowd, Peer, on_nets
from .day import HEARTBEAT
from .network import HERE, Network
from .pairs import Tally, of_log

PEERS, TALKING, WITNESSES, WAVES = 200, 10, 5, 2
BEAT = {"ci": 2.0, "soak": 8.0}
GONE_SECONDS, REAL_BEAT = 30.0, 8.0
GROWN_MIB = 2  # what a wave may leave, of 200 times some 24 KiB

pytestmark = [pytest.mark.root, pytest.mark.debian("ip", "nft")]


def descriptors(server: Server) -> int:
    """How many the worker has open."""
    return len(list(Path(f"/proc/{server.worker_pid}/fd").iterdir()))


def mib(server: Server) -> float:
    """The worker's memory of its own."""
    lines = Path(f"/proc/{server.worker_pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def test_two_hundred_half_open_peers_are_gone_in_time_and_leave_nothing(
    start_shard: Callable[..., Server], size: str, figure: Callable[[str, float, str], None]
) -> None:
    users = [str(10**17 + number) for number in range(PEERS)]
    witnesses = [str(10**16 + number) for number in range(WITNESSES)]
    beat, took, left = BEAT[size], list[float](), list[tuple[int, float]]()
    with Network() as network, network.at_the_server():
        server = start_shard(env={**KNOWN, HEARTBEAT: str(beat)}, bind=f"{HERE}:0")
        net = {"netUid": on_nets(server, [*users, *witnesses])[0]["netUid"]}
        with Crowd(server) as near, Crowd(server) as far:
            near.enter(witnesses)
            before = descriptors(server)
            for _ in range(WAVES):
                with network.at_the_operators():
                    peers = list[Peer]()
                    for place in range(0, PEERS, 20):
                        peers += far.enter(users[place : place + 20])
                        near.turn()  # they answer pings meanwhile
                for peer in peers[:TALKING]:
                    far.send(peer, type="ptt.start", **net)
                far.idle(0.2)
                network.lose()
                took.append(gone_after(server, near, near.joined[0], net))
                near.until(lambda: descriptors(server) <= before)
                left.append((descriptors(server), mib(server)))
                network.find()
                far.forget()
            figure("half-open.seconds-until-gone", max(took), f"<= {GONE_SECONDS * beat / REAL_BEAT}")
            figure("half-open.descriptors-left", left[-1][0] - before, "== 0")
            figure("half-open.mib-left-by-a-wave", left[-1][1] - left[0][1], f"<= {GROWN_MIB}")
            tally = Tally(of_log(store.events(server.data_dir)), witnesses)
    reasons = {reason: count for (type_, reason), count in tally.reasons.items() if type_ == "user.left"}
    figure("half-open.gone", reasons.pop("timeout"), f"== {WAVES * PEERS}")
    figure("half-open.gone-for-another-reason", sum(reasons.values()), "== 0")
    assert tally.reasons["ptt.stop", "disconnect"] == WAVES * TALKING
    assert not tally.unpaired_joins + tally.unpaired_transmissions + tally.negative


def gone_after(server: Server, crowd: Crowd, talker: Peer, net: dict[str, str]) -> float:
    """Seconds until nobody but this crowd is there; one of them talks, so that there is something to lose."""
    began, kinds = time.monotonic(), cycle(("ptt.start", "ptt.stop"))
    while server.get("/status").json()["connected"] > len(crowd.joined):
        assert time.monotonic() < began + 2 * GONE_SECONDS
        crowd.send(talker, type=next(kinds), **net)
        crowd.idle(0.25)
    return time.monotonic() - began

"""A store that cannot be written for so long that not all that happens can be kept for it.

What is let go are whole visits and whole transmissions. So a reader who got `stream.gap` need not fear for what it
knows: each leave it is told of has its join before it, and who is not told to have left is there.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shardapi.testing import Server
from shardapi.writer import HELD_EVENTS

from . import store
from .crowd import KNOWN, Crowd, Peer, spread
from .disk import Disk
from .pairs import Tally, of_log, of_stream
from .reader import Reader

PEOPLE, NETS = 640, 40
OUTAGES = {"ci": 1, "soak": 6}
CHURN = 40
HAPPENING = HELD_EVENTS + PEOPLE  # heard by operators while nothing is written

pytestmark = pytest.mark.root


class Conversation:
    """Everyone of a crowd keys up and down, one net for a few; `heard` counts what arrives of it."""

    def __init__(self, crowd: Crowd, nets: dict[str, str]) -> None:
        self.crowd, self.nets, self.heard = crowd, nets, 0
        crowd.heard = self._count

    def _count(self, peer: Peer, text: bytes) -> None:
        self.heard += text.startswith(b'{"type":"ptt.')

    def go_on(self, peers: Sequence[Peer], events: int) -> None:
        """Until so much was heard by all on the net; faster than this nobody may."""
        wanted = self.heard + events * (PEOPLE - CHURN) // NETS
        until = time.monotonic() + 60
        while self.heard < wanted:
            assert time.monotonic() < until
            for kind in ("ptt.start", "ptt.stop"):
                for peer in peers:
                    self.crowd.send(peer, type=kind, netUid=self.nets[peer.user])
                self.crowd.idle(0.06)

    def change_over(self, peers: Sequence[Peer], coming: Sequence[str]) -> None:
        """Some leave, as many come, and as many come and leave again and again."""
        for peer in peers:
            self.crowd.leave(peer)
        self.crowd.enter(coming)
        for _ in range(3):
            for guest in self.crowd.enter([f"guest-{number}" for number in range(CHURN)]):
                self.crowd.leave(guest)
            self.crowd.until(lambda: not any(peer.user.startswith("guest") for peer in self.crowd.joined))


def test_more_than_can_be_held_is_a_gap_after_which_everything_still_pairs_up(
    start_shard: Callable[..., Server], tmp_path: Path, size: str, figure: Callable[[str, float, str], None]
) -> None:
    users = [str(10**17 + number) for number in range(PEOPLE)]
    with Disk(tmp_path / "disk", "48m") as disk:
        server = start_shard(disk.path / "data", env=KNOWN)
        nets = spread(server, users, NETS)
        reader = Reader(server, server.key(), first(server))
        try:
            with Crowd(server) as crowd:
                talk = Conversation(crowd, nets)
                crowd.enter(users[:-CHURN])
                for outage in range(OUTAGES[size]):
                    outside = [user for user in users if user not in {peer.user for peer in crowd.joined}]
                    disk.fill()
                    crowd.until(lambda: full(server))
                    disk.fill()  # what SQLite has given back meanwhile
                    newest = store.newest(server.data_dir)
                    talk.change_over(crowd.joined[: len(outside)], outside)
                    talk.go_on(crowd.joined, HAPPENING)
                    for peer in crowd.joined[::2]:
                        crowd.send(peer, type="ptt.start", netUid=nets[peer.user])
                    crowd.idle(1.0)
                    slipped = store.newest(server.data_dir) - newest  # into pages that its WAL had already
                    figure("gap.events-written-meanwhile", slipped, "<= 20")
                    disk.free()
                    crowd.until(lambda gaps=outage + 1: len(reader.of("stream.gap")) == gaps)
                    kept = store.newest(server.data_dir) - newest
                    figure("gap.events-kept", kept, f"<= {HELD_EVENTS + 4 * PEOPLE}")
                    figure("gap.events-let-go-at-least", HAPPENING - kept, ">= 1")
                    crowd.idle(5)  # until the next key-ups are allowed
                    for peer in crowd.joined:
                        crowd.send(peer, type="ptt.stop", netUid=nets[peer.user])
                    crowd.idle(0.5)
                crowd.until(
                    lambda: not any(one["transmitting"] for one in server.get("/roster").json()["operators"])
                )
                assert server.post(
                    "/nets/rename", {"netId": 1, "name": "Fence"}
                ).ok  # all before is logged now
                there = {peer.user for peer in crowd.joined}
                assert len(there) == PEOPLE - CHURN
                assert there == set(roster(server))
                newest = store.newest(server.data_dir)
                server.wait(lambda: reader.last.endswith(f"-{newest}"), "the reader to have it all")
                told = of_stream(event for event in reader.events if event["type"] != "stream.gap")
                logged = of_log(store.events(server.data_dir))
        finally:
            reader.close()
        figure("gap.gaps-told", len(reader.of("stream.gap")), f"== {OUTAGES[size]}")
        figure("gap.events-told-otherwise-than-logged", len(told) - len(logged), "== 0")
        assert told == logged
        tally = Tally(told, there)
        figure("gap.unpaired-joins-and-leaves", tally.unpaired_joins, "== 0")
        figure("gap.unpaired-transmissions", tally.unpaired_transmissions, "== 0")
        figure("gap.negative-spans", tally.negative, "== 0")
        server.wait(lambda: not roster(server), "everyone to have left")
        server.stop()
        assert store.value(server.data_dir, "SELECT count(*) FROM open_event") == 0


def first(server: Server) -> str:
    """The id before the first event."""
    epoch = store.value(server.data_dir, "SELECT value FROM meta WHERE name = 'epoch'")
    return f"{epoch}-0"


def full(server: Server) -> bool:
    """Whether a write is refused."""
    return server.post("/nets/rename", {"netId": 1, "name": str(time.time())}).status_code == 503


def roster(server: Server) -> list[str]:
    """Who is there."""
    return [one["userId"] for one in server.get("/roster").json()["operators"]]

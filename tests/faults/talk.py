"""Operators who key up and down at a steady rate, and how long it takes until each of the others hears it."""

import gc
import random
import time
from collections.abc import Callable, Sequence

from .crowd import Crowd, Peer

WHO = b'"userId":"'


class Talk:
    """People of a crowd in a conversation; `took` has the milliseconds from a key to each other's ear."""

    def __init__(
        self, crowd: Crowd, people: Sequence[Peer], net_uid: str, rate: float, seed: int = 1
    ) -> None:
        self.crowd, self.people, self.net_uid, self.rate = crowd, list(people), net_uid, rate
        self.took: list[float] = []
        self._sent: dict[tuple[bytes, bytes], float] = {}
        self._turn = 0
        random.Random(seed).shuffle(self.people)
        crowd.heard = self._heard

    def go_on(self, ended: Callable[[], bool]) -> list[float]:
        """Talk until then; what it took each to hear."""
        self.crowd.idle(0.2)
        self.took, began, first = [], time.perf_counter(), self._turn
        gc.disable()  # what it takes here would be taken for the server's
        try:
            while not ended():
                due = first + int((time.perf_counter() - began) * self.rate)
                while self._turn < due:
                    self._key()
                self.crowd.turn(1 / self.rate)
        finally:
            gc.enable()
        return self.took

    def _key(self) -> None:
        turn, down = divmod(self._turn, 2)
        peer, kind = self.people[turn % len(self.people)], ("ptt.start", "ptt.stop")[down]
        self._turn += 1
        self._sent[peer.user.encode(), kind.encode()] = time.perf_counter()
        self.crowd.send(peer, type=kind, netUid=self.net_uid)

    def _heard(self, peer: Peer, text: bytes) -> None:
        if text.startswith(b'{"type":"ptt.'):
            begin = text.index(WHO) + len(WHO)
            who = text[begin : text.index(b'"', begin)]
            if who != peer.user.encode():
                kind = text[9 : text.index(b'"', 9)]
                self.took.append((time.perf_counter() - self._sent[who, kind]) * 1000)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]

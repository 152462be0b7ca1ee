"""Everybody comes back at once, as clients do after a restart: again and again until they are let in."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence

import requests

from shardapi.testing import Server

from .crowd import ENDED, JOINED, Crowd, Peer, refused


class Storm:
    """Users who try until they have joined; `failures` are those who were turned away for no good reason."""

    def __init__(self, crowd: Crowd, users: Sequence[str], seed: int = 1) -> None:
        self.crowd, self.chance = crowd, random.Random(seed)
        self.failures: Counter[tuple[str, int]] = Counter()
        self.tries = 0
        self._due = [(0.0, user) for user in users]
        self._trying: list[Peer] = []

    @property
    def over(self) -> bool:
        """Whether everyone is in."""
        return not self._due and not self._trying

    def go_on(self) -> None:
        """Let those try whose time has come, and see what became of the others."""
        now = time.monotonic()
        coming = [user for at, user in self._due if at <= now]
        self._due = [(at, user) for at, user in self._due if at > now]
        self._trying += [self.crowd.begin(user) for user in coming]
        self.tries += len(coming)
        self.crowd.turn(0.02)
        for peer in self._trying:
            if peer.state == ENDED:
                if not refused(peer):
                    self.failures[peer.farewell, peer.status] += 1
                self._due.append((now + self.chance.uniform(0.1, 1.0), peer.user))
        self._trying = [peer for peer in self._trying if peer.state not in (ENDED, JOINED)]


class Caller:
    """A bot that reads and writes over HTTP all the time, each time on a new connection, in a thread of its own.

    `took` has seconds; the first of them had to wait until somebody answered at all.
    """

    def __init__(self, server: Server) -> None:
        self.server, self.took, self.bad = server, list[float](), list[str]()
        self._key, self._ended = server.key(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        for turn in range(10**9):
            if self._ended.wait(0.02):
                return
            began = time.monotonic()
            try:
                if turn % 2:
                    answer = self.server.get("/status", key=self._key)
                else:
                    answer = self.server.post("/operation", {"open": turn % 4 == 0}, key=self._key)
            except requests.ConnectionError as error:
                if self.took:  # else nobody listens yet
                    self.bad.append(str(error))
                continue
            self.took.append(time.monotonic() - began)
            if answer.status_code != 200:
                self.bad.append(answer.text)

"""The demo's plot: operators come and go, talk in turns and change nets, for ever; the same seed, the same plot."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from random import Random

from . import speech
from .script import Action, Step

# Two thirds are there at once, the others turn up one by one.
AT_ONCE, AT_ONCE_SECONDS, LATE_SECONDS = 0.67, 0.8, 45.0
FIRST_WORDS_SECONDS, NEXT_NET_SECONDS = 0.3, 0.4
STAY_SECONDS, SHORTEST_STAY, AWAY_SECONDS = 240.0, 20.0, (6.0, 40.0)
MOVE_SECONDS = (4.0, 12.0)
BUSY_SECONDS = 1.0

Process = Iterator[float]


class Scene:
    """Who is where, in the plot's own time; `posts` says on which nets each user starts.

    The first net of all is everyone's leaders': nobody is moved from it or to it.
    """

    def __init__(self, seed: int, posts: Mapping[str, Sequence[str]]) -> None:
        self.rng = Random(seed)
        self.posts = {user: list(nets) for user, nets in posts.items()}
        self.nets = list(dict.fromkeys(net for nets in posts.values() for net in nets))
        self.here: dict[str, None] = {}
        self.talking: set[str] = set()
        self.now = 0.0
        self._steps: list[Step] = []
        self._order = count()
        self._due: list[tuple[float, int, Process]] = []

    def steps(self) -> Iterator[Step]:
        """Every step in the order of time; it has no end."""
        users = list(self.posts)
        first = max(1, round(len(users) * AT_ONCE))
        for place, user in enumerate(users):
            late = 0.0 if place < first else self.rng.uniform(0, LATE_SECONDS)
            self._begin(self._life(user, late + AT_ONCE_SECONDS * min(place / first, 1)))
        for place, net in enumerate(self.nets):
            self._begin(self._traffic(net, FIRST_WORDS_SECONDS + place * NEXT_NET_SECONDS))
        if len(self.nets) > 2:
            self._begin(self._moves())
        while self._due:
            self.now, _, process = heapq.heappop(self._due)
            self._wait(next(process), process)
            yield from self._steps
            self._steps.clear()

    def _begin(self, process: Process) -> None:
        self._wait(next(process), process)

    def _wait(self, seconds: float, process: Process) -> None:
        heapq.heappush(self._due, (round(self.now + seconds, 3), next(self._order), process))

    def _do(self, action: Action, user: str, net: str = "") -> None:
        self._steps.append(Step(at=self.now, do=action, user=user, net=net))

    # -- what goes on

    def _life(self, user: str, arrival: float) -> Process:
        yield arrival
        while True:
            self.here[user] = None
            self._do("join", user)
            yield SHORTEST_STAY + self.rng.expovariate(1 / STAY_SECONDS)
            while user in self.talking:
                yield BUSY_SECONDS
            del self.here[user]
            self._do("leave", user)
            yield self.rng.uniform(*AWAY_SECONDS)

    def _traffic(self, net: str, begin: float) -> Process:
        yield begin
        while True:
            present = self._idle(net)
            if present:
                yield from self._exchange(net, present)
            yield speech.silence(self.rng)

    def _exchange(self, net: str, present: list[str]) -> Process:
        speakers = self.rng.sample(present, min(len(present), self.rng.choice((2, 2, 3))))
        self.talking.update(speakers)
        for speaker in speech.exchange(self.rng, speakers):
            self._do("key", speaker, net)
            yield speech.utterance(self.rng)
            self._do("release", speaker, net)
            yield speech.breath(self.rng)
        self.talking.difference_update(speakers)

    def _moves(self) -> Process:
        while True:
            yield self.rng.uniform(*MOVE_SECONDS)
            movable = [user for user in self._idle() if self.posts[user][-1] != self.nets[0]]
            if movable:
                user = self.rng.choice(movable)
                old = self.posts[user][-1]
                new = self.rng.choice([net for net in self.nets[1:] if net != old])
                self.posts[user][-1] = new
                self._do("assign", user, new)
                self._do("unassign", user, old)

    def _idle(self, net: str = "") -> list[str]:
        """Who is here, on the net if one is named, and not in an exchange."""
        return [
            user for user in self.here if user not in self.talking and (not net or net in self.posts[user])
        ]

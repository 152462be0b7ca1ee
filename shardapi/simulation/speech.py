"""How people talk on a net: who speaks next, for how long, and what pauses there are; all from one generator."""

import math
from collections.abc import Iterator, Sequence
from random import Random

# Radio traffic is short: half of what is said takes less than this, hardly anything more than five times as long.
USUAL_SECONDS, SPREAD = 2.2, 0.55
SHORTEST, LONGEST = 0.6, 12.0
EXCHANGE = (2, 6)
ANSWERS = 0.75


def utterance(rng: Random) -> float:
    """Seconds that one speaker holds the key."""
    seconds = rng.lognormvariate(math.log(USUAL_SECONDS), SPREAD)
    return round(min(max(seconds, SHORTEST), LONGEST), 3)


def breath(rng: Random) -> float:
    """Seconds before the answer."""
    return round(rng.uniform(0.25, 1.4), 3)


def silence(rng: Random) -> float:
    """Seconds before anyone has something new to say."""
    return round(min(1.0 + rng.expovariate(1 / 5), 25.0), 3)


def exchange(rng: Random, speakers: Sequence[str]) -> list[str]:
    """Who speaks in one exchange, in order: nobody answers themselves, and mostly the one who was called answers."""
    if len(speakers) == 1:
        return list(speakers)
    said = [rng.choice(speakers)]
    for _ in range(rng.randint(*EXCHANGE) - 1):
        others = [one for one in speakers if one != said[-1]]
        before = said[-2] if len(said) > 1 else said[-1]
        said.append(before if before in others and rng.random() < ANSWERS else rng.choice(others))
    return said


def conversation(rng: Random, speakers: Sequence[str], seconds: float) -> Iterator[tuple[float, float, str]]:
    """Exchange after exchange as (begin, end, speaker), all of it within so many seconds from 0."""
    at = 0.0
    while True:
        for speaker in exchange(rng, speakers):
            end = at + utterance(rng)
            if end > seconds:
                return
            yield round(at, 3), round(end, 3), speaker
            at = end + breath(rng)
        at += silence(rng)

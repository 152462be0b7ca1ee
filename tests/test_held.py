"""Which events are let go when there are too many to hold: never one of a pair without the other."""

import random

import pytest

from shardapi.events import Event, OperationChanged, PttStart, PttStop, UserJoined, UserLeft
from shardapi.held import spared


def made(word: str) -> Event:
    """`+1` joins, `-1` leaves, `(1` keys up, `)1` keys down; anything else opens the operation."""
    user = word[1:]
    who = {"user_id": user, "display_name": user}
    match word[0]:
        case "+":
            return Event("user.joined", UserJoined(**who, transport="ws", nets=()))
        case "-":
            return Event("user.left", UserLeft(**who, transport="ws", reason="closed"))
        case "(":
            return Event("ptt.start", PttStart(**who, net_id=1, net_uid="net_a"), "net_a")
        case ")":
            stop = PttStop(**who, net_id=1, net_uid="net_a", reason="released", duration_ms=1)
            return Event("ptt.stop", stop, "net_a")
    return Event("operation.opened", OperationChanged(open=True))


@pytest.mark.parametrize(
    "most, held, kept",
    [
        (4, "+1 (1 )1 -1", "+1 (1 )1 -1"),
        (3, "+1 (1 )1 -1", "+1 -1"),
        (1, "+1 (1 )1 -1", ""),
        (2, "+1 -1 +2 -2", "+2 -2"),
        (2, "+1 +2 -1 -2", "+2 -2"),
        (0, "-1 )2 +3 (3", "-1 )2 +3 (3"),
        (0, "-1 +1 -1 +1", "-1 +1"),
        (0, "+1 (1 )1 (1", "+1 (1"),
        (0, ")1 (1 )1 -1 +1 -1", ")1 -1"),
        (2, "o o +1 -1", "+1 -1"),
        (1, "+1 o o", "+1"),
    ],
)
def test_the_oldest_pairs_go_first_and_what_lasts_stays(most: int, held: str, kept: str) -> None:
    events = [made(word) for word in held.split()]
    left = spared(events, most)
    assert left == [made(word) for word in kept.split()]


def told_by(chance: random.Random, count: int) -> list[str]:
    """What eight people do, one thing after another."""
    there, talking, words = set[str](), set[str](), list[str]()
    while len(words) < count:
        user = str(chance.randrange(8))
        if user not in there:
            words.append("+" + user)
            there.add(user)
        elif user in talking:
            words.append(")" + user)
            talking.remove(user)
        elif chance.random() < 0.5:
            words.append("(" + user)
            talking.add(user)
        else:
            words.append("-" + user)
            there.remove(user)
    return words


def open_after(events: list[Event]) -> tuple[set[str], set[str]]:
    """Who is there and who talks after these events; each of them must be possible after those before it."""
    there, talking = set[str](), set[str]()
    for event in events:
        user = event.data.user_id
        match event.type:
            case "user.joined":
                assert user not in there
                there.add(user)
            case "ptt.start":
                assert user in there - talking
                talking.add(user)
            case "ptt.stop":
                talking.remove(user)
            case _:
                assert user not in talking
                there.remove(user)
    return there, talking


@pytest.mark.parametrize("seed", range(20))
def test_what_was_logged_before_and_what_is_kept_make_a_whole(seed: int) -> None:
    chance = random.Random(seed)
    events = [made(word) for word in told_by(chance, 600)]
    cut = chance.randrange(200)
    kept = spared(events[cut:], 50)
    assert open_after(events[:cut] + kept) == open_after(events)
    assert len(kept) <= max(50, 2 * 2 * 8)

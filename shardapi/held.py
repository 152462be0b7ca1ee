"""Events that wait for a store which cannot write: which of too many are let go."""

from collections.abc import Sequence

from .eventlog import CLOSING, OPENING, subject
from .events import Event


def spared(events: Sequence[Event], most: int) -> list[Event]:
    """The events without the oldest that nobody misses: whole pairs, and those that are no part of one.

    What began and still lasts stays, and so does the end of what the log knows the beginning of: what is logged later
    pairs up. There are never more of these than people connected and talking, now and when the trouble began.
    """
    excess, begun, gone = len(events) - most, dict[tuple[str, ...], int](), set[int]()
    for place, event in enumerate(events):
        if len(gone) >= excess:
            break
        if event.type in OPENING:
            begun[subject(event)] = place
        elif event.type not in CLOSING:
            gone.add(place)
        elif (beginning := begun.pop(subject(event), None)) is not None:
            gone |= {beginning, place}
    return [event for place, event in enumerate(events) if place not in gone]

"""Whether the clock can be believed: keys, tokens and deadlines end by it."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

from .. import clock
from .case import Case
from .finding import Finding, error, ok, warn

AHEAD_MS = 60_000
UNSYNCHRONISED = 5  # what adjtimex(2) answers
TIMEX_BYTES = 512  # more than struct timex has
SET = "Set the clock, and have it kept: apt-get install systemd-timesyncd"
NEWEST = (
    "SELECT max(at) FROM (SELECT max(at) AS at FROM event UNION ALL SELECT max(updated_at) FROM guild"
    " UNION ALL SELECT max(alive_at) FROM guild UNION ALL SELECT max(at) FROM audit)"
)


def look(case: Case) -> Iterator[Finding]:
    """Against when shardapi was installed, against what the store has seen, and whether something keeps it."""
    now, installed = clock.now(), int(Path(__file__).stat().st_mtime * 1000)
    if now < installed:
        what = f"it is {clock.iso(now)} here, before shardapi was installed ({clock.iso(installed)})"
        yield error("clock", what, SET)
    else:
        yield ok("clock", f"it is {clock.iso(now)} here")
    if _unsynchronised():
        yield warn("clock.kept", "nothing keeps this machine's clock right", SET)
    case.need_store()
    newest = max((int(row[0] or 0) for row in case.rows(NEWEST)), default=0)
    if newest > now + AHEAD_MS:
        what = f"the store has seen {clock.iso(newest)} already: the clock was ahead, or is behind now"
        yield error("clock.store", what, f"{SET}; until then keys and temporary assignments last too long.")


def _unsynchronised() -> bool:
    """What the kernel says; a machine that does not tell is believed."""
    try:
        told: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return False
    return told == UNSYNCHRONISED

"""The events of a shard in a terminal, read from its store."""

import json
import select
import signal
import sys
from collections.abc import Sequence
from typing import Any

from .events import matches
from .shard import Shard

LOOK_AGAIN_MS = 200
NEWEST = 2**63 - 1


def follow(shard: Shard, patterns: Sequence[str], last: int, go_on: bool, as_json: bool) -> None:
    """Print the last so many events, then each new one until interrupted or until nobody reads any more."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing to tidy up
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    reader = select.poll()
    reader.register(sys.stdout, 0)
    place = shard.store.read(lambda: shard.events.place_before_last(last))
    while True:
        while page := shard.events.page(place, NEWEST):
            place = page[-1].number
            for event in page:
                if not any(patterns) or matches(event.type, patterns):
                    print(line(event.envelope, as_json), flush=True)
        if not go_on or reader.poll(LOOK_AGAIN_MS):
            return


def line(envelope: dict[str, Any], as_json: bool = False) -> str:
    """One event as one line."""
    if as_json:
        return json.dumps(envelope, ensure_ascii=False)
    data = "  ".join(f"{name}={_word(value)}" for name, value in envelope["data"].items())
    return f"{envelope['at']}  {envelope['type']:20} {data}".rstrip()


def _word(value: Any) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=False)

"""Effects outside the store: noted before they happen, so that each happens at most once and none goes untold.

The note holds what is to be told if the process dies before it knows what came of the effect.
"""

import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import msgspec

from .errors import ApiError
from .events import Event
from .store import database, many, rows
from .writer import RETRY_SECONDS, Writer

log = logging.getLogger("shardapi.effects")

BEGUN, DONE = 102, 200  # the status of a kept answer: planned, or as it was given

Told = list[tuple[str, msgspec.Raw, str, int]]


class Effect:
    """One effect from its note to its end; `name` is the Idempotency-Key under which `key_id` asked for it, or ""."""

    def __init__(self, guild_id: str, key_id: str, name: str) -> None:
        self.id = secrets.token_hex(12)
        self.asked = (guild_id, key_id, name)

    def begin(self, events: Iterable[Event]) -> None:
        """Note it, with the events that are to be logged if nobody can say what came of it; runs in a write."""
        told = [(event.type, event.data, event.net, event.at) for event in events]
        many("INSERT INTO effect VALUES (?, ?, ?, ?, ?)", [(self.id, *self.asked, msgspec.json.encode(told))])

    def end(self, body: bytes) -> bool:
        """Keep its true answer; False if it was ended already, by a process that took us for dead; runs in a write."""
        if not _remove(self.id):
            return False
        many(
            "UPDATE idempotency SET status = ?, body = ? WHERE guild = ? AND key_id = ? AND name = ? AND status = ?",
            [(DONE, body, *self.asked, BEGUN)],
        )
        return True


def _remove(id_: str) -> bool:
    gone = database.connection().execute("DELETE FROM effect WHERE id = ?", (id_,))
    return bool(gone.rowcount)


def any_left(guild_id: str) -> bool:
    """Whether a crash has interrupted any; runs in a read."""
    return bool(rows("SELECT 1 FROM effect WHERE guild = ? LIMIT 1", (guild_id,)))


def left_open(guild_id: str) -> list[Event]:
    """End what a crash has interrupted as it was planned; returns what is to be logged; runs in a write."""
    events: list[Event] = []
    for id_, key_id, name, told in rows(
        "SELECT id, key_id, name, events FROM effect WHERE guild = ? ORDER BY rowid", (guild_id,)
    ):
        _remove(id_)
        many(
            "UPDATE idempotency SET status = ? WHERE guild = ? AND key_id = ? AND name = ? AND status = ?",
            [(DONE, guild_id, key_id, name, BEGUN)],
        )
        events += [Event(*event) for event in msgspec.json.decode(told, type=Told)]
    return events


def keep(writer: Writer, work: Callable[[], Any], tell: Callable[[Any], Iterable[Event]]) -> None:
    """Write what has happened already; while the store cannot, try again."""
    while True:
        try:
            writer.write(work, tell=tell)
        except ApiError as error:
            log.warning("what came of an effect cannot be kept yet: %s", error)
            gevent.sleep(RETRY_SECONDS)
        else:
            return

"""What a delivery to Discord is: a message in which each event is a line, as many as there is room for."""

from collections.abc import Sequence
from typing import Any

import msgspec

from shardapi import Event, Logged, Shard, clock
from shardapi.outbox.kind import Pack, Parcel
from shardapi.outbox.models import Row
from shardapi.outbox.vault import Secret

from . import transitions
from .markdown import bold, length
from .sentences import Sentences
from .settings import Settings

MOST_CHARACTERS = 2000
MOST_EVENTS = 100
SUPPRESS_EMBEDS = 4
PREFIX = "dc_"
TEST = "discord.test"
# It is not there, or its token is another: whoever asks again gets the same answer.
GONE = frozenset((401, 404, 410))
LONG_AGO_MS = 72_000_000
FIELDS = b"Content-Type: application/json\r\n"


class Messages:
    """The kind of outbox that Discord is; a row's secret is the end of its URL."""

    name, word, most, tells_limits = "discord", "Discord channel", MOST_EVENTS, True

    def __init__(self, shard: Shard, settings: Settings) -> None:
        self.shard, self.settings, self.sentences = shard, settings, Sentences(shard)

    def url(self, row: Row, secrets: Sequence[Secret]) -> str:
        """That of the settings' base, with the token."""
        return f"{self.settings.base}/api/webhooks/{row.id.removeprefix(PREFIX)}/{secrets[0].secret}"

    def wants(self, row: Row, type_: str) -> bool:
        """What the settings name, and never who talks."""
        return self.settings.wants(type_)

    def packer(self, row: Row, secrets: Sequence[Secret]) -> Pack:
        """Puts events into a message, from the first on."""
        return self.pack

    def pack(self, events: Sequence[Logged]) -> Parcel:
        """The message of the first events, and how many it tells."""
        lines: list[str] = []
        room, told = MOST_CHARACTERS, 0
        for event in events:
            line = self._line(event)
            if line and length(line) + 1 > room and lines:
                break
            told += 1
            if line:
                lines.append(line)
                room -= length(line) + 1
        if not lines:
            return Parcel(b"", b"", told)
        said = {"content": "\n".join(lines), "allowed_mentions": {"parse": []}, "flags": SUPPRESS_EMBEDS}
        return Parcel(FIELDS, msgspec.json.encode(said), told)

    def _line(self, event: Logged) -> str:
        if event.type == TEST:
            return f"This is a test: what happens at {bold(self.shard.guild.name)} is told here"
        envelope = event.envelope
        sentence, at = self.sentences.of(event.type, envelope["data"]), clock.ms(envelope["at"])
        style = "f" if clock.now() - at > LONG_AGO_MS else "t"  # with the date, or the time alone
        return f"<t:{at // 1000}:{style}> {sentence}" if sentence else ""

    def is_gone(self, status: int) -> bool:
        """Whether the webhook is not there any more."""
        return status in GONE

    def told(self, what: str, row: Row, **facts: Any) -> Event | None:
        """Every transition is an event of the log."""
        if "number" in facts:
            facts = {"event_id": self.shard.events.id_of(facts["number"])}
        return transitions.told(what, {"webhook": row.id.removeprefix(PREFIX), **facts})

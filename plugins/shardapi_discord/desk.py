"""The channel of the settings, and the outbox that tells it what happens."""

import logging
from difflib import get_close_matches

import flask

from shardapi import Logged, Shard, clock, errors
from shardapi.events import matches
from shardapi.outbox.line import Result
from shardapi.outbox.models import Row, last_number
from shardapi.outbox.outbox import Outbox
from shardapi.outbox.target import Gate
from shardapi.outbox.vault import Secret, Unreadable

from .delivery import PREFIX, TEST, Messages
from .settings import DEFAULT_EVENTS, HOME, Channel, Settings
from .transitions import told

log = logging.getLogger("shardapi.discord")

EXTENSION = "discord"
ANYWHERE = ("0.0.0.0/0", "::/0")


class Desk:
    """What tasks and commands do with the channel."""

    def __init__(self, shard: Shard) -> None:
        self.shard, self.settings = shard, shard.settings(Settings)
        self.channel = self.settings.channel
        # A base of the owner's own may be anywhere; Discord is on the public internet.
        gate = Gate(() if self.settings.base == HOME else ANYWHERE)
        self.outbox = Outbox(shard, Messages(shard, self.settings), gate)
        self.table = self.outbox.table

    @classmethod
    def current(cls) -> "Desk":
        """That of the running app."""
        found: Desk = flask.current_app.extensions[EXTENSION]
        return found

    def check_events(self) -> None:
        """Raises ValueError for a pattern of the owner's that names no type of event."""
        known = [type_ for type_ in self.shard.events.types if not type_.startswith("ptt.")]
        for pattern in self.settings.events:
            if pattern in DEFAULT_EVENTS or any(matches(type_, (pattern,)) for type_ in known):
                continue
            close = get_close_matches(pattern, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
            raise ValueError(f"plugins.discord.events: {pattern} names no type of event; {hint}")

    # -- serving

    def run(self) -> None:
        """Tell the channel what happens for as long as this process serves the shard."""
        if not self._is_settled():  # a start writes nothing without need
            self._begin_anew()
        if self.channel is not None:
            self.outbox.run()

    def _is_settled(self) -> bool:
        kept = [(row.id, self._kept(row)) for row in self.shard.store.read(self.table.all)]
        wanted = self.channel
        return kept == ([] if wanted is None else [(PREFIX + wanted.webhook, wanted.secret)])

    def _begin_anew(self) -> None:
        webhook = self.channel.webhook if self.channel is not None else ""
        event = told("enabled", {"webhook": webhook})
        if self.outbox.persist(self._settle, [event] if event is not None else []):
            log.info("Discord channel %s is enabled: its URL has another token", PREFIX + webhook)

    def _settle(self) -> bool:
        """Keep the channel of the settings and no other; runs inside a write. True if that enables it again."""
        wanted = PREFIX + self.channel.webhook if self.channel is not None else ""
        for row in self.table.all():
            if row.id != wanted:
                self.table.remove(row.id)
        if self.channel is None:
            return False
        known = self.table.find(wanted)
        if known is None:
            self.table.add(self._row(self.channel), last_number())
        elif self._kept(known) != self.channel.secret:
            self.table.secrets(wanted, self._sealed(self.channel))
            return self.table.enable(wanted, True)
        return False

    def _row(self, channel: Channel) -> Row:
        id_ = PREFIX + channel.webhook
        return Row(id_, channel.shown, self._sealed(channel), (), True, clock.now())

    def _sealed(self, channel: Channel) -> bytes:
        return self.outbox.vault.close([Secret(channel.secret)])

    def _kept(self, row: Row) -> str:
        try:
            return self.outbox.vault.open(row.secret)[0].secret
        except Unreadable:
            return ""

    # -- for commands

    def chosen(self) -> Channel:
        """The channel of the settings. Raises conflict."""
        if self.channel is None:
            raise errors.CONFLICT(
                "There is no channel: plugins.discord.url is not set.",
                hint="Put the URL of a channel's webhook there, or its file into SHARDAPI_PLUGINS__DISCORD__URL_FILE.",
            )
        return self.channel

    def row(self) -> tuple[Row, int, int]:
        """How the channel fares, how many events are parked, and how many tried again."""
        channel = self.chosen()
        rows, parked, aside = self.outbox.rows()
        id_ = PREFIX + channel.webhook
        row = next((one for one in rows if one.id == id_), None)
        return row or self._row(channel), parked.get(id_, 0), aside.get(id_, 0)

    def test(self) -> Result:
        """Send the channel a message now. Raises conflict."""
        return self.outbox.try_once(self._row(self.chosen()), Logged(0, TEST, "", b""))

    def replay(self) -> int:
        """Tell the channel again what it has refused; returns how many events that is. Raises conflict."""
        webhook = self.chosen().webhook
        count: int = self.shard.writer.write(lambda: self.table.release_all(PREFIX + webhook))
        return count

    def enable(self) -> bool:
        """Tell the channel again what happens, from where it was; False if it is told. Raises conflict."""
        webhook = self.chosen().webhook
        event = told("enabled", {"webhook": webhook})
        changed: bool = self.shard.writer.write(
            lambda: self.table.enable(PREFIX + webhook, True),
            tell=lambda changed: [event] if changed and event is not None else [],
        )
        return changed

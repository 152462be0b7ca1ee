"""The webhooks of a shard: what views and commands do with them."""

import secrets

import flask
import msgspec

from shardapi import Logged, Shard, clock, errors
from shardapi.outbox.kind import Kind
from shardapi.outbox.line import Result
from shardapi.outbox.models import Row, last_number, number_at
from shardapi.outbox.outbox import Outbox
from shardapi.outbox.target import Gate, parse
from shardapi.outbox.vault import Secret, Unreadable

from .bodies import WebhookBody, check_events, check_secret, time_of
from .delivery import Deliveries
from .settings import Settings
from .shown import WebhookShown, shown
from .signatures import mint

MOST = 50
OVERLAP_MS = 86_400_000  # how long the secret before the present one signs too
MOST_SECRETS = 5  # that sign at once
RESOLVE_SECONDS = 5.0
EXTENSION = "webhooks"
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


class Registry:
    """The outbox and what is done with its endpoints."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        kind: Kind = Deliveries(shard)
        self.outbox = Outbox(shard, kind, Gate(shard.settings(Settings).allow_private))
        self.table = self.outbox.table

    @classmethod
    def current(cls) -> "Registry":
        """That of the running app."""
        found: Registry = flask.current_app.extensions[EXTENSION]
        return found

    # -- inside a write

    def find(self, id_: str) -> Row:
        """A webhook as it is kept. Raises webhook_not_found."""
        row = self.table.find(id_)
        if row is None:
            raise errors.WEBHOOK_NOT_FOUND(
                f"There is no webhook {id_}.", hint="GET /api/v1/webhooks lists them."
            )
        return row

    def add(self, row: Row) -> Row:
        """Keep a new webhook, which is sent what happens from now on. Raises too_many_webhooks."""
        if self.table.count() >= MOST:
            raise errors.TOO_MANY_WEBHOOKS(
                f"There are {MOST} webhooks, which is the most.", hint="Delete one first."
            )
        self.table.add(row, last_number())
        return row

    def rotate(self, id_: str, secret: str) -> tuple[Row, int, bool]:
        """Let a new secret sign, and for a day those before it too; returns until when, and whether it is new.

        Raises webhook_not_found, and conflict where one of those before would end sooner.
        """
        row, now = self.find(id_), clock.now()
        until = now + OVERLAP_MS
        try:
            known = self.outbox.vault.open(row.secret)
        except Unreadable:
            known = ()
        before = [
            Secret(one.secret, one.until or until)
            for one in known
            if one.secret != secret and (not one.until or one.until > now)
        ]
        is_new = not known or known[0].secret != secret
        if is_new:
            if len(before) >= MOST_SECRETS:
                ends = clock.iso(min(one.until for one in before))
                raise errors.CONFLICT(
                    f"{MOST_SECRETS} secrets sign already, which is the most.",
                    hint=f"The oldest ends at {ends}; then a new one can be made.",
                )
            self.table.secrets(id_, self.outbox.vault.close([Secret(secret), *before]))
        return row, max((one.until for one in before), default=0), is_new

    def replay(self, id_: str, since: str) -> tuple[Row, str, int]:
        """Have events sent again: all after `since`, or what is parked; returns after which, how many of those."""
        row = self.find(id_)
        if not since:
            return row, "", self.table.release_all(id_)
        number = self._number(since)
        self.table.ask_back(id_, number)
        released = self.table.release(id_, number, self.shard.events.oldest)
        return row, self.shard.events.id_of(number), released

    def _number(self, since: str) -> int:
        epoch, _, digits = since.rpartition("-")
        if f"{epoch}-" == self.shard.events.id_of(0)[:-1] and digits.isascii() and digits.isdecimal():
            number = int(digits[:18])
            if number <= last_number():
                return number
        at = time_of(since)
        if at is not None and at <= clock.now():
            return number_at(self.shard.guild_id, at)
        raise errors.INVALID_VALUE(
            "since is neither the id of an event of this shard nor a time in the past.",
            hint="Take an id from the stream or from the deliveries, or write 2026-11-20T19:30:00Z.",
            errors=(errors.FieldError("since", "is neither an id nor a time in the past"),),
        )

    # -- outside of one

    def new(self, body: WebhookBody, secret: str) -> Row:
        """A webhook to be kept. Raises invalid_value."""
        events = check_events(body.events, self.shard.events.types)
        self.outbox.gate.check(parse(body.url), RESOLVE_SECONDS)
        kept = self.outbox.vault.close([Secret(secret)])
        id_ = "wh_" + "".join(secrets.choice(BASE32) for _ in range(20))
        return Row(id_, body.url, kept, events, body.ordered, clock.now())

    def all(self) -> list[WebhookShown]:
        """Every webhook as it fares now."""
        rows, parked, aside = self.outbox.rows()
        return [
            shown(row, parked.get(row.id, 0), aside.get(row.id, 0), self.outbox.state(row)) for row in rows
        ]

    def one(self, row: Row) -> WebhookShown:
        """One of them; runs inside a read or a write."""
        self.outbox.refresh(row)
        parked, aside = self.table.count_parked(), self.table.count_aside()
        return shown(row, parked.get(row.id, 0), aside.get(row.id, 0), self.outbox.state(row))

    def test(self, id_: str) -> Result:
        """Send a webhook one event of the type webhook.test. Raises webhook_not_found, conflict."""
        row = self.shard.store.read(lambda: self.find(id_))
        try:
            return self.outbox.try_once(row, self._test_event(id_))
        except Unreadable:
            raise errors.CONFLICT(
                "Its secret cannot be read: it was encrypted with a signing secret that is no more.",
                hint=f"POST /api/v1/webhooks/{id_}/rotate makes a new one.",
            ) from None

    def _test_event(self, id_: str) -> Logged:
        event_id = self.shard.events.id_of(0)[:-1] + f"test{secrets.token_hex(8)}"
        said = {
            "id": event_id,
            "type": "webhook.test",
            "guildId": self.shard.guild_id,
            "at": clock.iso(clock.now()),
            "data": {"webhookId": id_},
        }
        line = msgspec.json.encode(said)
        return Logged(
            0, "webhook.test", "", b"id: %s\nevent: webhook.test\ndata: %s\n\n" % (event_id.encode(), line)
        )


def chosen_secret(given: str) -> tuple[str, bool]:
    """The secret to sign with, and whether it was made here. Raises invalid_value."""
    if not given:
        return mint(), True
    check_secret(given)
    return given, False

"""What a delivery of a webhook is: the stream's envelope, signed after the Standard Webhooks spec."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from shardapi import Event, Logged, Shard, clock
from shardapi.events import matches
from shardapi.outbox.kind import Pack, Parcel
from shardapi.outbox.models import Row
from shardapi.outbox.vault import Secret

from . import transitions
from .signatures import key_of, sign

GONE = 410
FIELDS = (
    b"Content-Type: application/json\r\nwebhook-id: %s\r\nwebhook-timestamp: %d\r\nwebhook-signature: %s\r\n"
)


class Deliveries:
    """The kind of outbox that webhooks are."""

    name, word, most, tells_limits = "webhooks", "webhook", 1, False

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    def url(self, row: Row, secrets: Sequence[Secret]) -> str:
        """The one it was registered with."""
        return row.url

    def wants(self, row: Row, type_: str) -> bool:
        """What the patterns name; without any, everything but who talks."""
        return matches(type_, row.events) if row.events else not type_.startswith("ptt.")

    def packer(self, row: Row, secrets: Sequence[Secret]) -> Pack:
        """Signs with every secret that has not ended."""
        keys = [(key_of(one.secret), one.until) for one in secrets]

        def pack(events: Sequence[Logged]) -> Parcel:
            event, now = events[0], clock.now()
            id_, body = event.block[4 : event.block.index(b"\n")], event.line
            valid = [key for key, until in keys if not until or until > now]
            return Parcel(FIELDS % (id_, now // 1000, sign(valid, id_, now // 1000, body)), body)

        return pack

    def is_gone(self, status: int) -> bool:
        """What a receiver says that wants no more."""
        return status == GONE

    def told(self, what: str, row: Row, **facts: Any) -> Event | None:
        """Every transition is an event of the log, which other webhooks are sent too."""
        of: dict[str, Any] = {"webhook_id": row.id, "host": urlsplit(row.url).hostname or ""}
        match what:
            case "disabled":
                return Event("webhook.disabled", transitions.WebhookDisabled(**of, **facts))
            case "gap":
                return Event("webhook.gap", transitions.WebhookGap(**of, **facts))
            case "held":
                return Event("webhook.held", transitions.WebhookHeld(**of, **facts))
            case "released":
                return Event("webhook.released", transitions.WebhookReleased(**of))
            case "parked":
                event_id = self.shard.events.id_of(facts["number"])
                return Event("webhook.parked", transitions.WebhookParked(**of, event_id=event_id))
        return None


def enabled(row: Row, key_id: str) -> Event:
    """The event of a webhook that was enabled by a key."""
    host = urlsplit(row.url).hostname or ""
    return Event("webhook.enabled", transitions.WebhookEnabled(webhook_id=row.id, host=host, key_id=key_id))

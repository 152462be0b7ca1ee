"""The events that tell how webhooks fare."""

from msgspec import UNSET, UnsetType

from shardapi import EventType
from shardapi.guild import Frozen


class WebhookDisabled(Frozen, frozen=True, kw_only=True):
    webhook_id: str
    host: str
    failures: int


class WebhookEnabled(Frozen, frozen=True, kw_only=True):
    webhook_id: str
    host: str
    key_id: str | UnsetType = UNSET


class WebhookGap(Frozen, frozen=True, kw_only=True):
    webhook_id: str
    host: str
    oldest: str


class WebhookHeld(Frozen, frozen=True, kw_only=True):
    webhook_id: str
    host: str
    failures: int


class WebhookReleased(Frozen, frozen=True, kw_only=True):
    webhook_id: str
    host: str


class WebhookParked(Frozen, frozen=True, kw_only=True):
    webhook_id: str
    host: str
    event_id: str


DISABLED = EventType(
    "webhook.disabled", WebhookDisabled, "A webhook is sent nothing more until it is enabled."
)
ENABLED = EventType("webhook.enabled", WebhookEnabled, "A webhook was enabled again.")
GAP = EventType("webhook.gap", WebhookGap, "The log no longer holds what a webhook has not had.")
HELD = EventType("webhook.held", WebhookHeld, "A webhook has not answered for some minutes; its events wait.")
RELEASED = EventType("webhook.released", WebhookReleased, "A webhook that was held answers again.")
PARKED = EventType(
    "webhook.parked", WebhookParked, "A webhook has refused an event, the first that is parked."
)
TYPES = [DISABLED, ENABLED, GAP, HELD, RELEASED, PARKED]

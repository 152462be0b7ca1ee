"""What calls about webhooks answer."""

import msgspec
from msgspec import UNSET, UnsetType

from shardapi import Answer, Written
from shardapi.clock import iso
from shardapi.outbox.models import Attempt, Parked, Row


class WebhookShown(msgspec.Struct, rename="camel"):
    """A webhook; its secret is never shown. `failures` are those since the last success, lastStatus 0 is no answer.

    `state` is delivering, held (it does not answer: the next try is at nextAttemptAt) or disabled. `parked` events
    wait for a replay; `retrying` ones, refused or replayed, are tried again by themselves, beside the others.
    """

    id: str
    url: str
    events: tuple[str, ...]
    ordered: bool
    created_at: str
    enabled: bool
    state: str
    failures: int
    failing_since: str
    last_delivery_at: str
    last_status: int
    last_error: str
    next_attempt_at: str
    last_gap_at: str
    disabled_reason: str
    parked: int
    retrying: int


class DeliveryShown(msgspec.Struct, rename="camel"):
    """An attempt: `outcome` is delivered, held, refused, gone or failed; `error` is a word, never what was answered."""

    id: str
    type: str
    at: str
    status: int
    duration_ms: int
    error: str
    outcome: str


class ParkedShown(msgspec.Struct, rename="camel"):
    """An event that was not taken and is kept aside until a replay."""

    id: str
    type: str
    at: str
    parked_at: str
    tries: int
    status: int
    error: str


class RetryingShown(msgspec.Struct, rename="camel"):
    """An event that is kept aside and tried again at `nextAttemptAt`, or as soon as the webhook takes anything."""

    id: str
    type: str
    at: str
    next_attempt_at: str
    tries: int
    status: int
    error: str


class WebhooksAnswer(Answer, kw_only=True):
    """Every webhook, the oldest first, and every type of event there is."""

    webhooks: list[WebhookShown]
    events: list[str]


class DeliveriesAnswer(Answer, kw_only=True):
    """The last attempts, the newest first, and what is parked and what is tried again, the oldest first.

    `webhook.parked` and `webhook.retrying` count all of it.
    """

    webhook: WebhookShown
    deliveries: list[DeliveryShown]
    parked: list[ParkedShown]
    retrying: list[RetryingShown]


class WebhookWritten(Written, kw_only=True):
    webhook: WebhookShown


class SecretShown(WebhookWritten, kw_only=True):
    """The webhook and its secret, which is shown this once."""

    secret: str
    hint: str | UnsetType = UNSET

    def kept(self) -> "Written":
        return msgspec.structs.replace(
            self,
            secret="",
            hint=f"The secret was shown once. POST /api/v1/webhooks/{self.webhook.id}/rotate makes a new one.",
        )


class WebhookRotated(SecretShown, kw_only=True):
    """Until `previousUntil`, deliveries are signed with the secret before it too; "" if there is none."""

    previous_until: str


class WebhookRemoved(Written, kw_only=True):
    id: str
    deleted: bool


class WebhookTested(Written, kw_only=True):
    """What came of one delivery of a webhook.test event."""

    id: str
    delivered: bool
    status: int
    duration_ms: int
    error: str


class WebhookReplayed(WebhookWritten, kw_only=True):
    """After which event the webhook begins anew, and how many parked events are tried again before."""

    since: str
    parked: int
    hint: str | UnsetType = UNSET


def shown(row: Row, parked: int, retrying: int, state: str) -> WebhookShown:
    """A webhook as it is answered."""
    return WebhookShown(
        id=row.id,
        url=row.url,
        events=row.events,
        ordered=row.ordered,
        created_at=iso(row.created_at),
        enabled=row.enabled,
        state=state,
        failures=row.failures,
        failing_since=iso(row.failing_since),
        last_delivery_at=iso(row.last_delivery_at),
        last_status=row.last_status,
        last_error=row.last_error,
        next_attempt_at=iso(row.next_at),
        last_gap_at=iso(row.gap_at),
        disabled_reason=row.disabled,
        parked=parked,
        retrying=retrying,
    )


def delivery(made: Attempt, id_: str) -> DeliveryShown:
    """An attempt as it is answered; `id_` is the event's."""
    return DeliveryShown(id_, made.type, iso(made.at), made.status, made.ms, made.error, made.outcome)


def parked(event: Parked, id_: str) -> ParkedShown:
    """A parked event as it is answered."""
    return ParkedShown(
        id_, event.type, iso(event.at), iso(event.parked_at), event.tries, event.status, event.error
    )


def retrying(event: Parked, id_: str) -> RetryingShown:
    """An event that is tried again, as it is answered."""
    return RetryingShown(
        id_, event.type, iso(event.at), iso(event.due), event.tries, event.status, event.error
    )

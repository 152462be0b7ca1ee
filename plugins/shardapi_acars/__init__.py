"""POST /acars: a short alert on the overlay of every connected operator."""

import secrets
from typing import Annotated, Literal

import flask
import msgspec
from msgspec import UNSET, Meta, UnsetType

from shardapi import (
    Body,
    Call,
    Event,
    EventType,
    Routes,
    Shard,
    ShardApp,
    Write,
    Written,
    clock,
    errors,
    hookimpl,
)
from shardapi.alerts import SendAlert
from shardapi.fields import CONTROLS
from shardapi.guild import Frozen
from shardapi.limits import Limit, beside

acars = Routes("acars")

EXTENSION = "acars"
SOURCE, DEFAULT_SENDER = "api", "Owner API"
UNPRINTABLE = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters but tabs and the ends of lines

AlertType = Literal["non-emergency", "emergency", "critical"]
DEFAULT_TYPE: AlertType = "non-emergency"
DEFAULT_MS = 8500


class AlertBody(Body, kw_only=True):
    text: Annotated[
        str,
        Meta(
            pattern=rf"^\s*[^\s{CONTROLS}]([^{UNPRINTABLE}]{{0,278}}[^\s{CONTROLS}])?\s*$",
            description="1 to 280 characters after trimming; lines may be ended, other control characters are refused",
            examples=["Briefing in 5"],
        ),
    ]
    sender_name: (
        Annotated[
            str,
            Meta(
                pattern=rf"^\s*([^\s{CONTROLS}]([^{CONTROLS}]{{0,62}}[^\s{CONTROLS}])?)?\s*$",
                description="Whom it comes from, up to 64 characters, none of them a control character;"
                f" {DEFAULT_SENDER} if it is blank",
            ),
        ]
        | None
    ) = DEFAULT_SENDER
    duration_ms: Annotated[int, Meta(ge=7000, le=10_000, description="How long it is shown")] | None = (
        DEFAULT_MS
    )
    alert_type: AlertType | None = DEFAULT_TYPE


class AlertSent(Written, kw_only=True):
    """How many clients were connected, and how many of them the alert was sent to (`routed`)."""

    id: str
    routed: int
    delivered: bool
    clients: int
    duration_ms: int
    alert_type: str


class Alert(Frozen, frozen=True, kw_only=True):
    """An alert as operators' clients get it."""

    id: str
    text: str
    sender_name: str
    duration_ms: int
    alert_type: str
    at: str


class AcarsSent(Frozen, frozen=True, kw_only=True):
    id: str
    text: str
    duration_ms: int
    alert_type: str
    sender_id: str
    sender_name: str
    source: str
    routed: int
    at: str
    key_id: str | UnsetType = UNSET


@acars.post(
    "/acars",
    scope="write:acars",
    errors=[errors.PREMIUM_REQUIRED, errors.FEATURE_OFF],
    examples={
        "body": {"text": "Briefing in 5", "senderName": "Ops", "alertType": "non-emergency"},
        "answer": {
            "action": "acars.send",
            "id": "acars_5f0c3a9e12b84d676a1b2c3d",
            "routed": 12,
            "clients": 12,
        },
    },
)
def send(body: AlertBody, write: Write, shard: Shard, call: Call) -> AlertSent:
    """Show every connected operator a short alert, at most once; each key may send one a minute."""
    at, presence = clock.now(), shard.presence
    alert = _alert(body, at, write.dry_run)
    message = msgspec.json.encode({"type": "acars", "data": alert})
    sent = False

    def broadcast(answer: AlertSent) -> None:
        nonlocal sent
        sent = True
        answer.clients = presence.clients
        answer.routed = presence.tell_everyone(message)
        answer.delivered = answer.routed > 0

    def told(answer: AlertSent) -> list[Event]:
        return [Event("acars.sent", _told(alert, write.by, answer.routed), "", at)]

    limit: Limit = flask.current_app.extensions[EXTENSION]
    window = None if write.dry_run else limit.spend(write.by)
    try:
        commands = [SendAlert(by=write.by)]
        return write.perform(_planned(alert, presence.clients), broadcast, commands=commands, events=told)
    finally:
        if window is not None:
            if not sent:
                limit.give_back(write.by, window)
            call.headers = beside(call.headers, limit.headers(window))


def _alert(body: AlertBody, at: int, dry_run: bool) -> Alert:
    return Alert(
        id="" if dry_run else f"acars_{secrets.token_hex(12)}",
        text=body.text.strip(),
        sender_name=(body.sender_name or "").strip() or DEFAULT_SENDER,
        duration_ms=body.duration_ms or DEFAULT_MS,
        alert_type=body.alert_type or DEFAULT_TYPE,
        at=clock.iso(at),
    )


def _planned(alert: Alert, clients: int) -> AlertSent:
    return AlertSent(
        action="acars.send",
        id=alert.id,
        routed=clients,
        delivered=clients > 0,
        clients=clients,
        duration_ms=alert.duration_ms,
        alert_type=alert.alert_type,
    )


def _told(alert: Alert, key_id: str, routed: int) -> AcarsSent:
    return AcarsSent(
        **msgspec.structs.asdict(alert), sender_id=key_id, source=SOURCE, routed=routed, key_id=key_id
    )


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The one route, and its own limit for this shard."""
    app.extensions[EXTENSION] = Limit("acars", app.shard.config.limits.acars)
    return [acars]


@hookimpl
def shardapi_events() -> list[EventType]:
    return [EventType("acars.sent", AcarsSent, "An alert was sent to every connected operator.")]

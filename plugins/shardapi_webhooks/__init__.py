"""/webhooks: the event log delivered to URLs of the owner's, signed, in order, at least once.

What happens while a receiver is away waits in the log; see `shardapi.outbox` for how deliveries are tried again.
"""

from collections.abc import Callable
from typing import Annotated

from msgspec import UNSET, Meta

from shardapi import Event, EventType, Routes, Shard, ShardApp, Write, clock, errors, hookimpl
from shardapi.outbox.figures import Figures
from shardapi.outbox.models import Row

from . import commands
from .bodies import DeliveriesQuery, ReplayBody, RotateBody, WebhookBody
from .delivery import enabled
from .registry import EXTENSION, Registry, chosen_secret
from .settings import Settings as Settings
from .shown import (
    DeliveriesAnswer,
    SecretShown,
    WebhookRemoved,
    WebhookReplayed,
    WebhookRotated,
    WebhooksAnswer,
    WebhookTested,
    WebhookWritten,
    delivery,
    parked,
    retrying,
)
from .transitions import TYPES

SCOPE = "read:events"
COLLECTORS = "prometheus_collectors"
EXAMPLE = {
    "id": "wh_k3v7mq2xw5tn4bzr6jyd",
    "url": "https://example.com/starcomms",
    "events": ["user.joined"],
    "ordered": True,
    "createdAt": "2026-11-20T19:30:00.000Z",
    "enabled": True,
    "state": "delivering",
    "failures": 0,
    "failingSince": "",
    "lastDeliveryAt": "2026-11-20T20:04:11.000Z",
    "lastStatus": 204,
    "lastError": "",
    "nextAttemptAt": "",
    "lastGapAt": "",
    "disabledReason": "",
    "parked": 0,
    "retrying": 0,
}
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAECAwQFBgc="
WebhookId = Annotated[
    str, Meta(min_length=1, max_length=64, description="A webhook's id", examples=["wh_k3v7mq2xw5tn4bzr6jyd"])
]

webhooks = Routes("webhooks", cli_group="webhooks")
webhooks.cli.help = "See to the webhooks."
for command in commands.ALL:
    webhooks.cli.add_command(command)


@webhooks.get(
    "/webhooks", scope=SCOPE, examples={"answer": {"webhooks": [EXAMPLE], "events": ["user.joined"]}}
)
def read(shard: Shard) -> WebhooksAnswer:
    """Every webhook and how it fares, and every type of event; secrets are never shown."""
    return WebhooksAnswer(webhooks=Registry.current().all(), events=sorted(shard.events.types))


@webhooks.post(
    "/webhooks",
    scope=SCOPE,
    errors=[errors.TOO_MANY_WEBHOOKS],
    examples={
        "body": {"url": "https://example.com/starcomms", "events": ["user.joined"]},
        "answer": {
            "action": "webhook.create",
            "webhook": EXAMPLE,
            "secret": SECRET,
        },
    },
)
def create(body: WebhookBody, write: Write) -> SecretShown:
    """Register a URL that every matching event is sent to from now on; its secret is shown once."""
    registry = Registry.current()
    secret, made = chosen_secret(body.secret)
    row = registry.new(body, secret)
    write.minted(row.id)
    if made:
        write.minted(secret)
    answer = write.store(
        lambda: registry.add(row),
        lambda row: SecretShown(
            action="webhook.create", changed=True, webhook=registry.one(row), secret=secret
        ),
    )
    registry.outbox.wake()
    return answer


@webhooks.delete(
    "/webhooks/<id>",
    scope=SCOPE,
    errors=[errors.WEBHOOK_NOT_FOUND],
    examples={"answer": {"action": "webhook.remove", "deleted": True}},
)
def remove(id: WebhookId, write: Write) -> WebhookRemoved:
    """Delete a webhook and what it has not had."""
    registry = Registry.current()

    def work() -> None:
        registry.find(id)
        registry.table.remove(id)

    answer = write.store(
        work, lambda _: WebhookRemoved(action="webhook.remove", changed=True, id=id, deleted=True)
    )
    registry.outbox.wake()
    return answer


@webhooks.get(
    "/webhooks/<id>/deliveries",
    scope=SCOPE,
    errors=[errors.WEBHOOK_NOT_FOUND],
    examples={"answer": {"webhook": EXAMPLE}},
)
def read_deliveries(id: WebhookId, query: DeliveriesQuery, shard: Shard) -> DeliveriesAnswer:
    """The last attempts to deliver, what is parked and what is tried again; never what a receiver answered."""
    registry = Registry.current()
    registry.outbox.flush()

    def read() -> DeliveriesAnswer:
        row = registry.find(id)
        return DeliveriesAnswer(
            webhook=registry.one(row),
            deliveries=[
                delivery(one, shard.events.id_of(one.number) if one.number else "")
                for one in registry.table.attempts(id, query.limit)
            ],
            parked=[
                parked(one, shard.events.id_of(one.number)) for one in registry.table.parked(id, query.limit)
            ],
            retrying=[
                retrying(one, shard.events.id_of(one.number)) for one in registry.table.aside(id, query.limit)
            ],
        )

    return shard.store.read(read)


@webhooks.post(
    "/webhooks/<id>/test",
    scope=SCOPE,
    errors=[errors.WEBHOOK_NOT_FOUND, errors.CONFLICT],
    examples={"answer": {"action": "webhook.test", "delivered": True, "status": 204}},
)
def test(id: WebhookId, write: Write, shard: Shard) -> WebhookTested:
    """Send one webhook.test event now, also to a webhook that is held or disabled."""
    registry = Registry.current()
    shard.store.read(lambda: registry.find(id))

    def deliver(answer: WebhookTested) -> None:
        result = registry.test(id)
        answer.delivered, answer.status = result.taken, result.status
        answer.duration_ms, answer.error = result.ms, result.error

    planned = WebhookTested(action="webhook.test", id=id, delivered=False, status=0, duration_ms=0, error="")
    return write.perform(planned, deliver)


@webhooks.post(
    "/webhooks/<id>/enable",
    scope=SCOPE,
    errors=[errors.WEBHOOK_NOT_FOUND],
    examples={"answer": {"action": "webhook.enable", "webhook": EXAMPLE}},
)
def enable(id: WebhookId, write: Write) -> WebhookWritten:
    """Send again to a webhook that was disabled, from where it was; one that is held is tried at once."""
    registry = Registry.current()

    def work() -> tuple[Row, bool]:
        registry.find(id)
        changed = registry.table.enable(id, True)
        return registry.find(id), changed

    def told(done: tuple[Row, bool]) -> list[Event]:
        return [enabled(done[0], write.by)]

    answer = write.store(
        work,
        lambda done: WebhookWritten(action="webhook.enable", changed=done[1], webhook=registry.one(done[0])),
        events=told,
    )
    if not write.dry_run:
        registry.outbox.wake()
        registry.outbox.try_now(id)
    return answer


@webhooks.post(
    "/webhooks/<id>/rotate",
    scope=SCOPE,
    errors=[errors.WEBHOOK_NOT_FOUND, errors.CONFLICT],
    examples={"body": {}, "answer": {"action": "webhook.rotate", "webhook": EXAMPLE, "secret": SECRET}},
)
def rotate(id: WebhookId, body: RotateBody, write: Write) -> WebhookRotated:
    """Make a new secret, shown once; for 24 hours deliveries are signed with those before it too, five at most."""
    registry = Registry.current()
    secret, made = chosen_secret(body.secret)
    if made:
        write.minted(secret)

    def answer(done: tuple[Row, int, bool]) -> WebhookRotated:
        return WebhookRotated(
            action="webhook.rotate",
            changed=done[2],
            webhook=registry.one(done[0]),
            secret=secret,
            previous_until=clock.iso(done[1]),
        )

    rotated = write.store(lambda: registry.rotate(id, secret), answer)
    registry.outbox.wake()
    return rotated


@webhooks.post(
    "/webhooks/<id>/replay",
    scope=SCOPE,
    errors=[errors.WEBHOOK_NOT_FOUND],
    examples={
        "body": {"since": "5f0c3a9e-118"},
        "answer": {"action": "webhook.replay", "webhook": EXAMPLE, "since": "5f0c3a9e-118"},
    },
)
def replay(id: WebhookId, body: ReplayBody, write: Write) -> WebhookReplayed:
    """Send again what happened after an event or a time, as far as the log has it, or what is parked."""
    registry = Registry.current()

    def answer(done: tuple[Row, str, int]) -> WebhookReplayed:
        row, since, released = done
        return WebhookReplayed(
            action="webhook.replay",
            changed=bool(since or released),
            webhook=registry.one(row),
            since=since,
            parked=released,
            hint=UNSET if row.enabled else f"Nothing is sent before POST /api/v1/webhooks/{id}/enable.",
        )

    replayed = write.store(lambda: registry.replay(id, body.since), answer)
    registry.outbox.wake()
    return replayed


@hookimpl
def shardapi_events() -> list[EventType]:
    """How webhooks fare."""
    return TYPES


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The routes, and the outbox of this shard."""
    registry = app.extensions[EXTENSION] = Registry(app.shard)
    app.extensions.setdefault(COLLECTORS, []).append(Figures(registry.outbox))
    return [webhooks]


@hookimpl
def shardapi_tasks(app: ShardApp) -> list[Callable[[], None]]:
    """Delivers."""
    registry: Registry = app.extensions[EXTENSION]
    return [registry.outbox.run]

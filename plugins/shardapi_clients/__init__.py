"""POST /clients/disconnect: send an operator home, and keep them out for a while."""

from typing import Annotated

import msgspec

from shardapi import Body, Event, EventType, Routes, Shard, ShardApp, Write, Written, clock, errors, hookimpl
from shardapi.fields import UserId
from shardapi.guild import Frozen

clients = Routes("clients")

REASON = "disconnect"
MINUTE_MS = 60_000


class DisconnectBody(Body, kw_only=True):
    user_id: UserId
    reason: (
        Annotated[str, msgspec.Meta(max_length=200, description="What the operator's client is told")] | None
    ) = ""
    block_minutes: (
        Annotated[int, msgspec.Meta(ge=0, le=1440, description="How long they may not come back")] | None
    ) = 0


class Disconnected(Written, kw_only=True):
    """How many connections were closed, and until when the user may not come back ("" if they may)."""

    user_id: str
    disconnected: int
    blocked_until: str


class ClientDisconnected(Frozen, frozen=True, kw_only=True):
    user_id: str
    key_id: str
    disconnected: int


@clients.post(
    "/clients/disconnect",
    scope="write:clients",
    errors=[errors.NOT_CONNECTED],
    examples={
        "body": {"userId": "123456789012345678", "reason": "Wrong channel, come back later"},
        "answer": {"action": "client.disconnect"},
    },
)
def disconnect(body: DisconnectBody, write: Write, shard: Shard) -> Disconnected:
    """Close a connected operator's connections with a reason; blockMinutes keeps them out until then."""
    user = shard.presence.users.get(body.user_id)
    if user is None:
        raise errors.NOT_CONNECTED(
            f"{body.user_id} is not connected.", hint="GET /api/v1/roster lists who is."
        )
    until = clock.now() + body.block_minutes * MINUTE_MS if body.block_minutes else 0

    def block() -> None:
        if until:
            shard.operators.block(body.user_id, until)

    def hang_up(answer: Disconnected) -> None:
        answer.disconnected = shard.presence.disconnect(body.user_id, REASON, (body.reason or "").strip())
        if until:
            shard.operators.reload()

    answer = Disconnected(
        action="client.disconnect",
        user_id=body.user_id,
        disconnected=len(user.connections),
        blocked_until=clock.iso(until),
    )

    def told(answer: Disconnected) -> list[Event]:
        data = ClientDisconnected(user_id=body.user_id, key_id=write.by, disconnected=answer.disconnected)
        return [Event("client.disconnected", data, "", clock.now())]

    return write.perform(answer, hang_up, rows=block, events=told)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [clients]


@hookimpl
def shardapi_events() -> list[EventType]:
    return [EventType("client.disconnected", ClientDisconnected, "An operator was sent home by a key.")]

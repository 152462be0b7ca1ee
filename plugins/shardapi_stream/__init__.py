"""GET /stream: the event log as server-sent events, live and from any place that is still kept."""

from collections.abc import Iterable
from typing import Annotated

import flask
import msgspec
from msgspec import Meta

from shardapi import Call, Key, Query, Routes, Shard, ShardApp, hookimpl
from shardapi.auth import bearer, refused
from shardapi.errors import NET_NOT_FOUND, TOO_MANY_STREAMS
from shardapi.guild import GLOBAL_SLOT, GLOBAL_UID, PUBLIC_SLOT, PUBLIC_UID
from shardapi.hub import Filter
from shardapi.streaming import StreamResponse, greeting

RETRY_AFTER = 5  # seconds, for a key that has all its streams open
LONGEST_ID = 100  # characters of an id; what is longer is none of ours

EXAMPLE = {
    "id": "5f0c3a9e-118",
    "event": "operation.opened",
    "data": '{"id":"5f0c3a9e-118","type":"operation.opened","guildId":"1400000000000000000",'
    '"at":"2026-11-20T19:30:00.000Z","data":{"open":true,"keyId":"key_4fQ9mZ2xT7bN1cVk"}}',
}

stream = Routes("stream")

Patterns = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9_.*, -]*$",
        max_length=500,
        description="Only events of these types, separated by commas; * is any text",
        examples=["user.*,ptt.start"],
    ),
]
Nets = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_, -]*$",
        max_length=2000,
        description="Of the events that name a net only those of these, by netUid or netId",
        examples=["net_jmqbkeg5s74cjkezqybwkhny"],
    ),
]
Since = Annotated[
    str, Meta(max_length=LONGEST_ID, description="Begin after this id; the header Last-Event-ID wins")
]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[plugins.stream]: `per_key` is how many streams one key may have open."""

    per_key: Annotated[int, Meta(ge=1)] = 50


class StreamQuery(Query, kw_only=True):
    types: tuple[Patterns, ...] = ()
    nets: tuple[Nets, ...] = ()
    since: Since = ""


@stream.get(
    "/stream",
    scope="read:events",
    media_type="text/event-stream",
    errors=(NET_NOT_FOUND, TOO_MANY_STREAMS),
    examples={"answer": EXAMPLE},
    headers={
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no: a proxy passes each event on at once.",
    },
    takes_headers={
        "Last-Event-ID": "Begin after this id, as a browser's EventSource sends it; wins over since."
    },
)
def follow(query: StreamQuery, call: Call, shard: Shard) -> flask.Response:
    """Events as they happen, after `Last-Event-ID` or `since` those missed first; ends only by closing."""
    wanted = Filter(_parts(query.types), _uids(shard, query.nets))
    since = call.environ.get("HTTP_LAST_EVENT_ID", "")[:LONGEST_ID] or query.since
    cursor, gap = shard.events.cursor(since) if since else (None, b"")
    key = _still_valid(shard, call)
    most = shard.settings(Settings).per_key
    if shard.hub.open_streams(key.id) >= most:
        raise TOO_MANY_STREAMS(
            f"This key has {most} streams open, which is the most it may have.",
            hint="Close one, or let one stream carry what several did: types and nets take lists.",
            headers=(("Retry-After", str(RETRY_AFTER)),),
        )
    return StreamResponse(shard.hub, key.id, cursor, wanted, greeting(shard) + gap)


def _parts(lists: Iterable[str]) -> tuple[str, ...]:
    parts = {part.strip() for text in lists for part in text.split(",")} - {""}
    return () if "*" in parts else tuple(sorted(parts))


def _uids(shard: Shard, lists: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({_uid(shard, net) for net in _parts(lists)}))


def _uid(shard: Shard, net: str) -> str:
    if not net.isdecimal():
        return net  # one that is archived, or not there yet, may come back
    slot = int(net[:6])
    return {PUBLIC_SLOT: PUBLIC_UID, GLOBAL_SLOT: GLOBAL_UID}.get(slot) or shard.guild.find(slot=slot).uid


def _still_valid(shard: Shard, call: Call) -> Key:
    """The key as it is after the log was read: one revoked meanwhile has had its streams closed already."""
    key = shard.keys.find(bearer(call.environ.get("HTTP_AUTHORIZATION")))
    if key is None:
        raise refused()
    return key


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The one route."""
    return [stream]

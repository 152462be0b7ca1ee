"""/nets: create, rename and remove active nets; a removed one goes into the catalogue with its uid."""

from typing import Annotated

import msgspec

from shardapi import (
    ApiError,
    Body,
    Routes,
    Shard,
    ShardApp,
    Write,
    Written,
    catalogue,
    clock,
    errors,
    hookimpl,
)
from shardapi.catalogue import Entry
from shardapi.central import Outcome
from shardapi.commands import Change, CreateNet, RemoveNet, RenameNet
from shardapi.fields import Name, NetRef, clean_name, named_in_path
from shardapi.guild import Net

nets = Routes("nets")

Ref = Annotated[
    str,
    msgspec.Meta(description="The net's netUid, or its netId", examples=["net_jmqbkeg5s74cjkezqybwkhny"]),
]


class CreateBody(Body, kw_only=True):
    name: Name


class RenameBody(NetRef, kw_only=True):
    name: Name


class RemoveBody(NetRef, kw_only=True):
    pass


class NetWritten(Written, kw_only=True):
    """The net that was written; `uid` repeats `netUid`, `slot` repeats `netId`."""

    net_id: int
    net_uid: str
    slot: int
    uid: str
    name: str


class NetRemoved(Written, kw_only=True):
    """The net that was removed, and its entry in the archive; netId is absent if it was archived before."""

    net_id: int | msgspec.UnsetType = msgspec.UNSET
    net_uid: str
    archived: bool
    entry: Entry | None


@nets.post(
    "/nets",
    scope="write:nets",
    errors=[errors.NO_FREE_SLOT],
    examples={"body": {"name": "Strike Net"}, "answer": {"action": "net.create"}},
)
def create(body: CreateBody, write: Write) -> NetWritten:
    """Create a net in the slot that was freed longest ago; answers its slot and its persistent uid."""
    command = CreateNet(uid=write.mint(), name=clean_name(body.name), by=write.by)
    return write.submit([command], lambda outcome: _written("net.create", outcome))


@nets.post(
    "/nets/rename",
    scope="write:nets",
    errors=[errors.NET_NOT_FOUND, errors.NET_MISMATCH, errors.NET_PROTECTED],
    examples={
        "body": {"netUid": "net_jmqbkeg5s74cjkezqybwkhny", "name": "Air Wing"},
        "answer": {"action": "net.rename", "name": "Air Wing"},
    },
)
def rename(body: RenameBody, write: Write) -> NetWritten:
    """Rename an active net."""
    uid, slot = body.named()
    command = RenameNet(uid=uid, slot=slot, name=clean_name(body.name), by=write.by)
    return write.submit([command], lambda outcome: _written("net.rename", outcome))


@nets.delete(
    "/nets/<ref>",
    scope="write:nets",
    errors=[errors.NET_NOT_FOUND, errors.NET_PROTECTED],
    examples={"answer": {"action": "net.remove", "netId": 1}},
)
def delete(ref: Ref, write: Write, shard: Shard) -> NetRemoved:
    """Remove an active net named by its uid or slot; what it was stays in the archive."""
    uid, slot = named_in_path(ref)
    return _remove(uid, slot, write, shard)


@nets.post(
    "/nets/remove",
    scope="write:nets",
    errors=[errors.NET_NOT_FOUND, errors.NET_MISMATCH, errors.NET_PROTECTED],
    examples={
        "body": {"netUid": "net_jmqbkeg5s74cjkezqybwkhny"},
        "answer": {"action": "net.remove", "netId": 1},
    },
)
def remove(body: RemoveBody, write: Write, shard: Shard) -> NetRemoved:
    """Remove an active net, for clients that prefer a body over a path."""
    uid, slot = body.named()
    return _remove(uid, slot, write, shard)


def _remove(uid: str, slot: int, write: Write, shard: Shard) -> NetRemoved:
    def removed(outcome: Outcome) -> NetRemoved:
        net, archived = _net(outcome), outcome.results[0].archived  # type: ignore[union-attr]
        assert archived is not None
        if write.dry_run:
            entry: Entry | None = shard.store.read(
                lambda: catalogue.preview(shard.guild_id, archived, clock.now())
            )
        else:
            entry = catalogue.find(shard.guild_id, net.uid)
        return NetRemoved(action="net.remove", net_id=net.slot, net_uid=net.uid, archived=True, entry=entry)

    try:
        return write.submit([RemoveNet(uid=uid, slot=slot, by=write.by)], removed)
    except ApiError as error:
        if error.kind is not errors.NET_NOT_FOUND or not uid:
            raise
        entry = shard.store.read(lambda: catalogue.find(shard.guild_id, uid))
        if entry is None:
            raise
    return write.submit(
        [], lambda _: NetRemoved(action="net.remove", net_uid=uid, archived=True, entry=entry)
    )


def _written(action: str, outcome: Outcome) -> NetWritten:
    net = _net(outcome)
    return NetWritten(
        action=action, net_id=net.slot, net_uid=net.uid, slot=net.slot, uid=net.uid, name=net.name
    )


def _net(outcome: Outcome) -> Net:
    change = outcome.results[0]
    assert isinstance(change, Change) and change.net is not None
    return change.net


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [nets]

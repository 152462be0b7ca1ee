"""/public-net: the net that is open to everyone, or to some roles; shown, hidden, removed, restored.

Hidden, it keeps its name and gates, and shows up with them again; removed, it has the defaults, and a restore after
that starts from these. A body may be left out, empty or `{}`; an override that is null counts as not given, and no
gate is opened by it: that takes `"roleIds": []`.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from shardapi import Answer, Body, NoBody, Routes, Shard, ShardApp, Write, Written, hookimpl
from shardapi.central import Outcome
from shardapi.changes import Gates, PublicNetChanges
from shardapi.commands import SetPublicNet
from shardapi.fields import Name, clean_name
from shardapi.guild import FeatureFlags, Guild, PublicNet

public_net = Routes("public_net")

Action = Literal["show", "hide", "remove", "restore"]
RALLY = PublicNet(enabled=True, name="Public Rally Net", role_ids=("1505521308744679464",))


def _examples(action: Action, after: PublicNet) -> dict[str, Any]:
    guild = Guild(id="", public_net=after)
    answer = {"features": FeatureFlags.of(guild), "publicNet": after, "action": f"public-net.{action}"}
    body = {} if action in ("hide", "remove") else {"name": RALLY.name, "roleIds": RALLY.role_ids}
    examples: dict[str, Any] = msgspec.to_builtins({"body": body, "answer": answer})
    return examples


class PublicNetAnswer(Answer, kw_only=True):
    """The Public Net's visibility, name and role gates."""

    public_net: PublicNet


class ShowBody(Body, kw_only=True):
    """Another name and other gates, if any."""

    name: Name | None = None
    role_ids: Gates | None = None


class PublicNetWritten(Written, kw_only=True):
    """The Public Net after the write, and the features that it is one of."""

    features: FeatureFlags
    public_net: PublicNet


@public_net.get("/public-net", scope="read:status", etag=True)
def read(shard: Shard) -> PublicNetAnswer:
    """Whether the Public Net is shown, its display name and its role gates."""
    return PublicNetAnswer(public_net=shard.guild.public_net)


@public_net.post("/public-net", scope="manage:features", examples=_examples("show", RALLY))
def set_shown(body: ShowBody, write: Write) -> PublicNetWritten:
    """Show the Public Net, with another name or other role gates where they are given."""
    return _set("show", write, body)


@public_net.post("/public-net/show", scope="manage:features", examples=_examples("show", RALLY))
def show(body: ShowBody, write: Write) -> PublicNetWritten:
    """Show the Public Net: the same call as POST /public-net."""
    return _set("show", write, body)


@public_net.post(
    "/public-net/hide", scope="manage:features", examples=_examples("hide", replace(RALLY, enabled=False))
)
def hide(body: NoBody, write: Write) -> PublicNetWritten:
    """Hide the Public Net; its name and role gates are kept, who talks on it is stopped."""
    return _set("hide", write)


@public_net.post("/public-net/remove", scope="manage:features", examples=_examples("remove", PublicNet()))
def remove(body: NoBody, write: Write) -> PublicNetWritten:
    """Hide the Public Net and set its name and role gates back to the defaults."""
    return _set("remove", write)


@public_net.post("/public-net/restore", scope="manage:features", examples=_examples("restore", RALLY))
def restore(body: ShowBody, write: Write) -> PublicNetWritten:
    """Show the Public Net again after it was hidden or removed, with overrides where they are given."""
    return _set("restore", write, body)


def _set(action: Action, write: Write, body: ShowBody | None = None) -> PublicNetWritten:
    changes = PublicNetChanges()
    if body is not None:
        changes = PublicNetChanges(
            name=UNSET if body.name is None else clean_name(body.name),
            role_ids=UNSET if body.role_ids is None else body.role_ids,
        )

    def answer(outcome: Outcome) -> PublicNetWritten:
        guild = outcome.guild
        return PublicNetWritten(
            action=f"public-net.{action}", features=FeatureFlags.of(guild), public_net=guild.public_net
        )

    command = SetPublicNet(action=action, changes=changes, by=write.by)
    return write.submit([command], answer)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [public_net]

"""GET /public-net: the net that is open to everyone, or to some roles."""

from shardapi import Answer, Routes, Shard, ShardApp, hookimpl
from shardapi.guild import PublicNet

public_net = Routes("public_net")


class PublicNetAnswer(Answer, kw_only=True):
    """The Public Net's visibility, name and role gates."""

    public_net: PublicNet


@public_net.get("/public-net", scope="read:status", etag=True)
def read(shard: Shard) -> PublicNetAnswer:
    """Whether the Public Net is shown, its display name and its role gates."""
    return PublicNetAnswer(public_net=shard.guild.public_net)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [public_net]

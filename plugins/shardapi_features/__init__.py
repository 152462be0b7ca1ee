"""/features: what is switched on in the shard.

A write is merged one level deep with what is there when it is made true, so that two at once lose nothing. A member
that we do not know is refused, although other bodies ignore such: a misspelt flag would be a switch that does nothing.
"""

from shardapi import Answer, Body, Routes, Shard, ShardApp, Write, Written, errors, hookimpl
from shardapi.central import Outcome
from shardapi.changes import FeatureChanges
from shardapi.commands import SetFeatures
from shardapi.guild import FeatureFlags, PublicNet

features = Routes("features")


class FeaturesAnswer(Answer, kw_only=True):
    """The shard's feature flags."""

    features: FeatureFlags


class FeaturesBody(Body, kw_only=True):
    """The flags to change; the others stay as they are."""

    features: FeatureChanges


class FeaturesWritten(Written, kw_only=True):
    """The feature flags after the write; `publicNet` repeats what is in them."""

    features: FeatureFlags
    public_net: PublicNet


@features.get("/features", scope="read:status", etag=True)
def read(shard: Shard) -> FeaturesAnswer:
    """Feature flags: nets, global push-to-talk, ACARS, ready check, Public Net, org link."""
    return FeaturesAnswer(features=FeatureFlags.of(shard.guild))


@features.post(
    "/features",
    scope="manage:features",
    errors=[errors.NET_NOT_FOUND, errors.NET_MISMATCH, errors.NET_PROTECTED, errors.MAX_NETS_IN_USE],
    examples={"body": {"features": {"globalPttEnabled": True}}, "answer": {"action": "features.set"}},
)
def change(body: FeaturesBody, write: Write) -> FeaturesWritten:
    """Switch features, and set the Public Net and the org link; what is not named stays as it is."""

    def answer(outcome: Outcome) -> FeaturesWritten:
        guild = outcome.guild
        return FeaturesWritten(
            action="features.set", features=FeatureFlags.of(guild), public_net=guild.public_net
        )

    return write.submit([SetFeatures(changes=body.features, by=write.by)], answer)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [features]

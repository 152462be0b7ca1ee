"""GET /features: what is switched on in the shard."""

from shardapi import Answer, Routes, Shard, ShardApp, hookimpl
from shardapi.guild import FeatureFlags

features = Routes("features")


class FeaturesAnswer(Answer, kw_only=True):
    """The shard's feature flags."""

    features: FeatureFlags


@features.get("/features", scope="read:status", etag=True)
def read(shard: Shard) -> FeaturesAnswer:
    """Feature flags: nets, global push-to-talk, ACARS, ready check, Public Net, org link."""
    return FeaturesAnswer(features=FeatureFlags.of(shard.guild))


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [features]

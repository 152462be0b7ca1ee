"""What the fixtures of shardapi run with."""

import pytest


@pytest.fixture(scope="session")
def shard_settings() -> dict[str, str]:
    """This plugin, and what its tests need beside it."""
    plugins = "acars,assignments,maintenance,metrics,nets,openapi,operation,presets,status"
    return {"SHARDAPI_PLUGINS__ENABLED": plugins, "SHARDAPI_LIMITS__ACARS": "100/minute"}

"""What the fixtures of shardapi run with."""

import pytest


@pytest.fixture(scope="session")
def shard_settings() -> dict[str, str]:
    """This plugin, and what its tests need beside it."""
    return {"SHARDAPI_PLUGINS__ENABLED": "gateway,mqtt,nets,operation"}

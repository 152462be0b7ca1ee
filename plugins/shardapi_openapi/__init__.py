"""GET /openapi.json: what the enabled plugins answer, for tools."""

from shardapi import PUBLIC, Routes, Shard, ShardApp, hookimpl
from shardapi.openapi import document

openapi = Routes("openapi")


@openapi.get("/openapi.json", scope=PUBLIC)
def read(shard: Shard) -> dict[str, object]:
    """This document: every call of the enabled plugins, with its scope, schemas and errors."""
    return document(shard)


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [openapi]

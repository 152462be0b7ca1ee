"""GET /openapi.json: what the enabled plugins answer, for tools."""

import flask
import msgspec

from shardapi import PUBLIC, Routes, Shard, ShardApp, hookimpl
from shardapi.openapi import document

openapi = Routes("openapi")

EXAMPLE = {
    "openapi": "3.1.0",
    "info": {"title": "Owner API", "version": "0.1.0"},
    "paths": {},
    "components": {},
}
EXTENSION = "openapi"  # where the app keeps the document, which does not change while it runs


@openapi.get("/openapi.json", scope=PUBLIC, examples={"answer": EXAMPLE})
def read(shard: Shard) -> dict[str, object]:
    """This document: every call of the enabled plugins, with its scope, schemas and errors."""
    made = flask.current_app.extensions
    if EXTENSION not in made:
        made[EXTENSION] = msgspec.json.encode(document(shard))
    return made[EXTENSION]  # type: ignore[no-any-return]


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [openapi]

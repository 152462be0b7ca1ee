"""The OpenAPI document of the enabled plugins, made from the declarations of their routes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..auth import SCOPES
from ..events import GAP
from . import headers
from .events import event_schemas
from .operations import operation, path
from .problems import component_examples, component_responses
from .shapes import Shapes

if TYPE_CHECKING:
    from ..errors import ErrorCode
    from ..routes import Route
    from ..shard import Shard

ABOUT = """The Owner API of a private voice shard: for bots, dashboards, planners and staff tools.

Send `Authorization: Bearer scok_…`; a key opens what its scopes name, and each operation names its own in `security`.
Every answer has `ok`; every error is a problem document with a stable `code`, a sentence in `error` and often a
`hint`. Repeating a write that is already true is a success with `changed: false`. Every write takes `dryRun`,
`Idempotency-Key`, `If-Match` and `X-Audit-Log-Reason`. Unknown members and parameters are ignored."""


def document(shard: "Shard", plugin: str = "") -> dict[str, Any]:
    """The whole document, or what is in it of one plugin: paths, schemas, errors, events, security."""
    opened = shard.plugins.opened
    routes = [
        _guarded(route, shard.plugins.guard_errors)
        for route in (opened[plugin].routes if plugin else shard.plugins.routes)
        if not route.websocket and route.rule.startswith("/api/")
    ]
    known = shard.events.types
    types = [known[name] for name in (opened[plugin].events if plugin else known)] + [GAP]
    shapes = Shapes(routes, (type_.data for type_ in types))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(path(route.rule), {})[route.method.lower()] = operation(route, routes, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Owner API",
            "version": _version(),
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": shard.base_url}],
        "tags": _tags(shard, routes),
        "paths": paths,
        "components": {
            "schemas": {**shapes.components, **event_schemas(types, shapes)},
            "headers": headers.COMPONENTS,
            "parameters": headers.PARAMETERS,
            "examples": component_examples(routes),
            "responses": component_responses(routes, shapes),
            "securitySchemes": {"ownerKey": _owner_key(shard)},
        },
    }


def _guarded(route: "Route", codes: Sequence["ErrorCode"]) -> "Route":
    """The route with the errors that guards may refuse it with."""
    return replace(route, errors=(*route.errors, *codes)) if route.writes and codes else route


def _version() -> str:
    from ..shard import VERSION

    return VERSION


def _tags(shard: "Shard", routes: "list[Route]") -> list[dict[str, str]]:
    """A tag for each plugin with an operation, and the sentence it says of itself."""
    about = {plugin.name: plugin.module.__doc__ or plugin.name for plugin in shard.plugins.loaded}
    return [
        {"name": name, "description": about[name].strip().split("\n")[0]}
        for name in sorted({route.plugin for route in routes})
    ]


def _owner_key(shard: "Shard") -> dict[str, Any]:
    allowed = "; ".join(f"{name}: {text}" for name, text in sorted(shard.plugins.scopes.items()))
    return {
        "type": "http",
        "scheme": "bearer",
        "description": f"An owner key: scok_…. Scopes: {allowed}",
        "x-scopes": _scopes(shard.plugins.scopes),
    }


def _scopes(used: dict[str, str]) -> dict[str, str]:
    """The sentences of the scopes that calls name, and of those that add to one of these."""
    added = {name: text for name, text in SCOPES.items() if name.rpartition(":")[0] in used}
    return dict(sorted({**used, **added}.items()))

"""The OpenAPI document of the enabled plugins, made from the declarations of their routes."""

import re
from typing import TYPE_CHECKING, Any

import msgspec

from .auth import PUBLIC
from .errors import CODES, ErrorCode, Problem
from .routes import Route, problem_codes

if TYPE_CHECKING:
    from .shard import Shard

SCHEMAS = "#/components/schemas/{name}"
WRITE_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "dryRun",
        "in": "query",
        "description": "Answer what would change, and change nothing.",
        "schema": {"type": "boolean", "default": False},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Repeat a write safely for 24 h: the same key answers the kept answer.",
        "schema": {"type": "string", "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    {
        "name": "If-Match",
        "in": "header",
        "description": "The config version this write rests on, in quotes; another one is answered with 412.",
        "schema": {"type": "string", "pattern": '^"[0-9]{1,15}"$'},
    },
    {
        "name": "X-Audit-Log-Reason",
        "in": "header",
        "description": "Why, for the audit.",
        "schema": {"type": "string", "maxLength": 512, "pattern": "^[!-~]+$"},
    },
]
LIMIT_HEADERS = {
    "RateLimit-Policy": ("The key's limit: q calls in w seconds.", "string"),
    "RateLimit": ("What is left of it: r calls, t seconds until it starts anew.", "string"),
    "X-RateLimit-Limit": ("Calls in a window.", "integer"),
    "X-RateLimit-Remaining": ("Calls left in this window.", "integer"),
    "X-RateLimit-Reset": ("When the window ends, in Unix seconds.", "integer"),
}


def document(shard: "Shard") -> dict[str, Any]:
    """The whole document: paths, schemas, errors, security."""
    routes = [
        route for route in shard.plugins.routes if not route.websocket and route.rule.startswith("/api/")
    ]
    schemas = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(_path(route.rule), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Owner API",
            "version": _version(),
            "description": "The Owner API of a private voice shard.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": shard.base_url}],
        "tags": [{"name": name} for name in sorted({route.plugin for route in routes})],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": {
                name: {"description": text, "schema": {"type": kind}}
                for name, (text, kind) in LIMIT_HEADERS.items()
            },
            "securitySchemes": {
                "ownerKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An owner key: scok_…. Scopes: "
                    + "; ".join(f"{name}: {text}" for name, text in sorted(shard.plugins.scopes.items())),
                }
            },
        },
    }


def _version() -> str:
    from .shard import VERSION

    return VERSION


def _path(rule: str) -> str:
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule)


def _schemas(routes: list[Route]) -> dict[str, Any]:
    types: list[Any] = [Problem]
    for route in routes:
        types += [kind for kind in (route.body, route.query, route.answer) if _is_struct(kind)]
    _, found = msgspec.json.schema_components(dict.fromkeys(types), ref_template=SCHEMAS)
    for kind in types:
        extra = getattr(kind, "schema_extra", None)
        if extra:
            _merge(found[kind.__name__], extra)
    for kind in _nested(types):
        extra = getattr(kind, "schema_extra", None)
        if extra and kind.__name__ in found:
            _merge(found[kind.__name__], extra)
    return {name: schema for name, schema in found.items() if name not in _query_names(routes)}


def _nested(types: list[Any]) -> list[Any]:
    seen: dict[Any, None] = {}

    def visit(kind: Any) -> None:
        if _is_struct(kind):
            if kind not in seen:
                seen[kind] = None
                for field in msgspec.structs.fields(kind):
                    visit(field.type)
        for part in getattr(kind, "__args__", ()):
            visit(part)

    for kind in types:
        visit(kind)
    return [kind for kind in seen if kind not in types]


def _query_names(routes: list[Route]) -> set[str]:
    return {route.query.__name__ for route in routes if route.query is not None}


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _merge(schema: dict[str, Any], extra: dict[str, Any]) -> None:
    for name, value in extra.items():
        if isinstance(value, dict) and isinstance(schema.get(name), dict):
            _merge(schema[name], value)
        else:
            schema[name] = value


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name.replace(".", "_"),
        "summary": route.summary,
        "tags": [route.plugin],
        "security": [] if route.scope == PUBLIC else [{"ownerKey": [route.scope]}],
        "responses": _responses(route),
    }
    parameters = _parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content: dict[str, Any] = {"schema": {"$ref": SCHEMAS.format(name=route.body.__name__)}}
        if "body" in route.examples:
            content["example"] = route.examples["body"]
        required = any(field.required for field in msgspec.structs.fields(route.body))
        operation["requestBody"] = {"required": required, "content": {"application/json": content}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in re.findall(r"<(?:[^:<>]+:)?([^<>]+)>", route.rule):
        schema = {"type": "string", "minLength": 1, "maxLength": 256}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    if route.query is not None:
        (_,), components = msgspec.json.schema_components([route.query], ref_template=SCHEMAS)
        shape = components[route.query.__name__]
        for name, schema in shape["properties"].items():
            found.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in shape.get("required", ()),
                    "schema": schema,
                    **({"description": schema["description"]} if "description" in schema else {}),
                }
            )
    if route.writes:
        found += WRITE_PARAMETERS
    return found


def _responses(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if _is_struct(route.answer):
        schema = {"$ref": SCHEMAS.format(name=route.answer.__name__)}
    elif route.media_type == "application/json":
        schema = {"type": "object"}
    headers: dict[str, Any] = {}
    if route.scope != PUBLIC:
        headers = {name: _header(name) for name in LIMIT_HEADERS}
    headers["X-Request-Id"] = {
        "description": "This call's id, in the log and the audit too.",
        "schema": {"type": "string"},
    }
    if route.etag:
        headers["ETag"] = {"description": "The config version.", "schema": {"type": "string"}}
    answers: dict[str, Any] = {
        "200": {"description": "OK", "headers": headers, "content": {route.media_type: {"schema": schema}}}
    }
    if route.etag:
        answers["304"] = {"description": "Not changed since the version in If-None-Match."}
    by_status: dict[int, list[ErrorCode]] = {}
    for code in problem_codes(route):
        by_status.setdefault(code.status, []).append(code)
    for status, codes in sorted(by_status.items()):
        answers[str(status)] = _problems(codes)
    return answers


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _problems(codes: list[ErrorCode]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"{code.code}: {code.title}" for code in codes),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": SCHEMAS.format(name="Problem")},
                "examples": {code.code: {"value": _example(code)} for code in codes},
            }
        },
    }


def _example(code: ErrorCode) -> dict[str, Any]:
    return {
        "ok": False,
        "error": code.title,
        "code": code.code,
        "status": code.status,
        "title": code.title,
        "detail": code.title,
        "requestId": "5f0c3a9e12b84d67",
    }


def error_codes() -> list[str]:
    """Every code an answer can carry."""
    return sorted(CODES)

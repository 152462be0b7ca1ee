"""The OpenAPI document of the enabled plugins, made from the declarations of their routes."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from .auth import PUBLIC
from .errors import CODES, ErrorCode, Problem
from .events import GAP, EventType
from .routes import Route, problem_codes

if TYPE_CHECKING:
    from .shard import Shard

REFERENCE = "#/components/schemas/{name}"
EVENT, BLOCK = "Event", "StreamBlock"
NET_PARAMETER = "ref"  # what a path calls a net's uid or slot
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
        "schema": {"type": "string", "maxLength": 255},
    },
    {
        "name": "If-Match",
        "in": "header",
        "description": "The config version this write rests on, in quotes; another one is answered with 412. * is any.",
        "schema": {"type": "string", "anyOf": [{"enum": ["*"]}, {"pattern": '^"[0-9]{1,15}"$'}]},
    },
    {
        "name": "X-Audit-Log-Reason",
        "in": "header",
        "description": "Why, for the audit.",
        "schema": {"type": "string", "maxLength": 512},
    },
]
LIMIT_HEADERS = {
    "RateLimit-Policy": ("The key's limit: q calls in w seconds.", "string"),
    "RateLimit": ("What is left of it: r calls, t seconds until it starts anew.", "string"),
    "X-RateLimit-Limit": ("Calls in a window.", "integer"),
    "X-RateLimit-Remaining": ("Calls left in this window.", "integer"),
    "X-RateLimit-Reset": ("When the window ends, in Unix seconds.", "integer"),
}
REFUSAL_HEADERS = {
    "Retry-After": ("Seconds to wait before the next try.", "integer"),
    "WWW-Authenticate": ("How to show a key.", "string"),
}
REFUSED_WITH = {"Retry-After": (429, 503), "WWW-Authenticate": (401,)}


def document(shard: "Shard") -> dict[str, Any]:
    """The whole document: paths, schemas, errors, events, security."""
    routes = [
        route for route in shard.plugins.routes if not route.websocket and route.rule.startswith("/api/")
    ]
    types = shard.events.types.values()
    shapes = _Shapes([Problem, *_types(routes), *(type_.data for type_ in (*types, GAP))])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(_path(route.rule), {})[route.method.lower()] = _operation(route, routes, shapes)
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
            "schemas": {**shapes.components, **_events([*types, GAP], shapes)},
            "headers": {
                name: {"description": text, "schema": {"type": kind}}
                for name, (text, kind) in {**LIMIT_HEADERS, **REFUSAL_HEADERS}.items()
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


class _Shapes:
    """The schemas of Structs, and of those inside them; two of one name are told apart by their modules."""

    def __init__(self, types: Iterable[Any]) -> None:
        found = list(_with_nested(types))
        references, self.components = msgspec.json.schema_components(found, ref_template=REFERENCE)
        self._references = dict(zip(found, references, strict=True))
        for kind in found:
            extra = getattr(kind, "schema_extra", None)
            if extra:
                _merge(self.components[self.name(kind)], extra)
        _merge(self.components["Problem"], {"properties": {"code": {"examples": sorted(CODES)}}})

    def name(self, kind: Any) -> str:
        """The name a Struct's schema has here."""
        return str(self._references[kind]["$ref"]).removeprefix(REFERENCE.format(name=""))

    def of(self, kind: Any) -> dict[str, Any]:
        """A reference to a Struct's schema."""
        return dict(self._references[kind])


def _types(routes: Iterable[Route]) -> Iterator[Any]:
    for route in routes:
        yield from (kind for kind in (route.body, route.answer) if _is_struct(kind))


def _with_nested(types: Iterable[Any]) -> dict[Any, None]:
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
    return seen


def _events(types: Iterable[EventType], shapes: _Shapes) -> dict[str, Any]:
    """The schemas of a stream's block, and of the envelope that is in its data line."""
    text = {"type": "string"}
    envelopes = {}
    for type_ in types:
        members = {
            "id": {"type": "string", "description": "Its place in the log; opaque."},
            "type": {"const": type_.name},
            "guildId": text,
            "at": {"type": "string", "format": "date-time"},
            "data": shapes.of(type_.data),
        }
        envelopes[type_.name] = {
            "type": "object",
            "title": type_.name,
            "description": type_.summary,
            "required": list(members),
            "properties": members,
        }
    envelope = {
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": REFERENCE.format(name=EVENT)},
    }
    return {
        EVENT: {
            "title": EVENT,
            "description": "What happened.",
            "oneOf": [envelopes[name] for name in sorted(envelopes)],
        },
        BLOCK: {
            "title": BLOCK,
            "description": "One block of the stream; its fields are the lines before the blank one.",
            "type": "object",
            "required": ["id", "event", "data"],
            "properties": {
                "id": text,
                "event": {"type": "string", "enum": sorted(envelopes)},
                "data": {**text, **envelope},
                "retry": {"type": "integer"},
            },
        },
    }


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _merge(schema: dict[str, Any], extra: dict[str, Any]) -> None:
    for name, value in extra.items():
        if isinstance(value, dict) and isinstance(schema.get(name), dict):
            _merge(schema[name], value)
        else:
            schema[name] = value


def _operation(route: Route, routes: list[Route], shapes: _Shapes) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _id(route),
        "summary": route.summary,
        "tags": [route.plugin],
        "security": [] if route.scope == PUBLIC else [{"ownerKey": [route.scope]}],
        "responses": _responses(route, routes, shapes),
    }
    parameters = _parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content: dict[str, Any] = {"schema": shapes.of(route.body)}
        if "body" in route.examples:
            content["example"] = route.examples["body"]
        operation["requestBody"] = {
            "required": _needs_something(route.body),
            "content": {"application/json": content},
        }
    return operation


def _needs_something(body: type[msgspec.Struct]) -> bool:
    alternatives = "oneOf" in getattr(body, "schema_extra", {})
    return alternatives or any(field.required for field in msgspec.structs.fields(body))


def _id(route: Route) -> str:
    return route.name.replace(".", "_")


def _path_parameters(route: Route) -> list[str]:
    return re.findall(r"<(?:[^:<>]+:)?([^<>]+)>", route.rule)


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in _path_parameters(route):
        schema = {"type": "string", "minLength": 1, "maxLength": 256}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    if route.query is not None:
        (_,), components = msgspec.json.schema_components([route.query], ref_template=REFERENCE)
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


def _responses(route: Route, routes: list[Route], shapes: _Shapes) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if _is_struct(route.answer):
        schema = shapes.of(route.answer)
    elif route.media_type == "text/event-stream":
        schema = {"$ref": REFERENCE.format(name=BLOCK)}
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
    success = {"description": "OK", "headers": headers, "content": {route.media_type: {"schema": schema}}}
    links = _links(route, routes)
    if links:
        success["links"] = links
    answers: dict[str, Any] = {"200": success}
    if route.etag:
        answers["304"] = {"description": "Not changed since the version in If-None-Match."}
    by_status: dict[int, list[ErrorCode]] = {}
    for code in problem_codes(route):
        by_status.setdefault(code.status, []).append(code)
    for status, codes in sorted(by_status.items()):
        answers[str(status)] = _problems(status, codes, shapes)
    return answers


def _links(route: Route, routes: list[Route]) -> dict[str, Any]:
    """Where a net can be named that this call has made."""
    if route.method != "POST" or not _names_a_net(route.answer) or _names_a_net(route.body):
        return {}
    links = {}
    for other in routes:
        link: dict[str, Any] = {"operationId": _id(other), "description": other.summary}
        if NET_PARAMETER in _path_parameters(other):
            links[_id(other)] = {**link, "parameters": {NET_PARAMETER: "$response.body#/netId"}}
        elif _names_a_net(other.body):
            links[_id(other)] = {**link, "requestBody": {"netUid": "$response.body#/netUid"}}
    return links


def _names_a_net(kind: Any) -> bool:
    return _is_struct(kind) and "net_uid" in kind.__struct_fields__


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _problems(status: int, codes: list[ErrorCode], shapes: _Shapes) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": "; ".join(f"{code.code}: {code.title}" for code in codes),
        "content": {
            "application/problem+json": {
                "schema": shapes.of(Problem),
                "examples": {code.code: {"value": _example(code)} for code in codes},
            }
        },
    }
    headers = [name for name, statuses in REFUSED_WITH.items() if status in statuses]
    if headers:
        answer["headers"] = {name: _header(name) for name in headers}
    return answer


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

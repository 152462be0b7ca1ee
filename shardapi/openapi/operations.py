"""One operation of the document: what a call takes and what it answers, from its declaration."""

import re
from typing import Any

import msgspec

from ..auth import PUBLIC
from ..routes import Route, path_parameters
from . import headers
from .events import BLOCK
from .examples import example
from .problems import problem_responses
from .shapes import REFERENCE, Schema, Shapes, is_struct

NET_PARAMETER = "ref"  # what a path calls a net's uid or slot


def path(rule: str) -> str:
    """A route's path as the document writes it."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule)


def operation(route: Route, routes: list[Route], shapes: Shapes) -> dict[str, Any]:
    """What a route takes and answers."""
    made: dict[str, Any] = {
        "operationId": _id(route),
        "summary": route.summary,
        "tags": [route.plugin],
        "security": [] if route.scope == PUBLIC else [{"ownerKey": [route.scope]}],
        "responses": {
            **_success(route, routes, shapes),
            **problem_responses(route),
        },
    }
    parameters = _parameters(route)
    if parameters:
        made["parameters"] = parameters
    if route.body is not None:
        content: dict[str, Any] = {"schema": shapes.of(route.body)}
        if "body" in route.examples:
            content["example"] = route.examples["body"]
        made["requestBody"] = {
            "required": _needs_something(route.body),
            "content": {"application/json": content},
        }
    return made


def _id(route: Route) -> str:
    return route.name.replace(".", "_")


def _needs_something(body: type[msgspec.Struct]) -> bool:
    alternatives = getattr(body, "schema_extra", {}).keys() & {"if", "oneOf", "anyOf"}
    return bool(alternatives) or any(field.required for field in msgspec.structs.fields(body))


# -- what it takes


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = [_path_parameter(name, route) for name in path_parameters(route.rule)]
    if route.query is not None:
        found += _query_parameters(route.query)
    for name, text in route.takes_headers.items():
        found.append({"name": name, "in": "header", "description": text, "schema": {"type": "string"}})
    shared = [*(headers.WRITE_PARAMETERS if route.writes else ()), *(["IfNoneMatch"] if route.etag else ())]
    return found + [{"$ref": f"#/components/parameters/{name}"} for name in shared]


def _path_parameter(name: str, route: Route) -> dict[str, Any]:
    described = msgspec.json.schema(route.path_types.get(name, str))
    schema = {"minLength": 1, "maxLength": 256, **described}
    return _parameter(name, "path", schema, required=True)


def _query_parameters(query: type[msgspec.Struct]) -> list[dict[str, Any]]:
    (_,), components = msgspec.json.schema_components([query], ref_template=REFERENCE)
    shape = components[query.__name__]
    required = [*shape.get("required", ()), *getattr(query, "schema_extra", {}).get("required", ())]
    return [
        _parameter(name, "query", schema, required=name in required)
        for name, schema in shape["properties"].items()
    ]


def _parameter(name: str, where: str, schema: Schema, *, required: bool) -> dict[str, Any]:
    """A parameter; its description is that of its schema, or of the one inside it."""
    inner = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), None)
    inner = inner or schema.get("items") or schema
    text = schema.get("description") or inner.get("description", "")
    return {"name": name, "in": where, "required": required, "description": text, "schema": schema}


# -- what it answers


def _success(route: Route, routes: list[Route], shapes: Shapes) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _sentence(route),
        "headers": headers.of_success(route),
        "content": {route.media_type: _content(route, shapes)},
    }
    links = _links(route, routes)
    if links:
        answer["links"] = links
    if not route.etag:
        return {"200": answer}
    unchanged = {
        "description": "Not changed since the version in If-None-Match.",
        "headers": headers.of_unchanged(route),
    }
    return {"200": answer, "304": unchanged}


def _sentence(route: Route) -> str:
    own = route.answer.__dict__.get("__doc__") if is_struct(route.answer) else None
    return (own or "Done.").strip().split("\n")[0]


def _content(route: Route, shapes: Shapes) -> dict[str, Any]:
    given = route.examples.get("answer")
    if is_struct(route.answer):
        schema = shapes.of(route.answer)
        return {"schema": schema, "example": {**example(schema, shapes), **(given or {})}}
    schema = {"type": "string"}
    if route.media_type == "text/event-stream":
        schema = {"$ref": REFERENCE.format(name=BLOCK)}
    elif route.media_type == "application/json":
        schema = {"type": "object"}
    return {"schema": schema} if given is None else {"schema": schema, "example": given}


def _links(route: Route, routes: list[Route]) -> dict[str, Any]:
    """Where a path can name the net that this call has made."""
    if route.method != "POST" or not _names_a_net(route.answer) or _names_a_net(route.body):
        return {}
    return {
        _id(other): {
            "operationId": _id(other),
            "description": other.summary,
            "parameters": {NET_PARAMETER: "$response.body#/netId"},
        }
        for other in routes
        if NET_PARAMETER in path_parameters(other.rule)
    }


def _names_a_net(kind: Any) -> bool:
    return is_struct(kind) and "net_uid" in kind.__struct_fields__

"""The schemas of Structs: msgspec's, named for generated clients, and saying which members an answer always has."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..errors import CODES, Problem
from ..routes import Route

REFERENCE = "#/components/schemas/{name}"

Schema = dict[str, Any]


def is_struct(kind: Any) -> bool:
    """Whether a type has a schema of its own."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


class Shapes:
    """The schemas of what goes in and what comes out, and of the Structs inside."""

    def __init__(self, routes: Iterable[Route], events: Iterable[type[msgspec.Struct]]) -> None:
        routes = list(routes)
        given = _with_nested(route.body for route in routes)
        answered = _with_nested([Problem, *(route.answer for route in routes), *events])
        found = [*given, *(kind for kind in answered if kind not in given)]
        references, components = msgspec.json.schema_components(found, ref_template=REFERENCE)
        names = _names(components)
        self.components = {
            names[name]: {**_renamed(schema, names), "title": names[name]}
            for name, schema in components.items()
        }
        self._references = dict(zip(found, (_renamed(one, names) for one in references), strict=True))
        for kind in found:
            _merge(self._schema(kind), getattr(kind, "schema_extra", {}))
        for kind in given:
            _as_given(self._schema(kind))
        for kind in answered:
            if kind not in given:
                _as_answered(kind, self._schema(kind))
        self._schema(Problem)["properties"]["code"]["examples"] = sorted(CODES)

    def of(self, kind: Any) -> Schema:
        """A reference to a Struct's schema."""
        return dict(self._references[kind])

    def resolve(self, schema: Schema) -> Schema:
        """The schema that a reference leads to."""
        while "$ref" in schema:
            schema = self.components[schema["$ref"].removeprefix(REFERENCE.format(name=""))]
        return schema

    def _schema(self, kind: Any) -> Schema:
        return self.resolve(self._references[kind])


def _with_nested(types: Iterable[Any]) -> dict[Any, None]:
    seen: dict[Any, None] = {}

    def visit(kind: Any) -> None:
        if is_struct(kind):
            if kind not in seen:
                seen[kind] = None
                for field in msgspec.structs.fields(kind):
                    visit(field.type)
        for part in getattr(kind, "__args__", ()):
            visit(part)

    for kind in types:
        visit(kind)
    return seen


def _names(components: Iterable[str]) -> dict[str, str]:
    """What schemas are called; of two Structs with one name, which msgspec tells apart by module, `AuditEntry`."""
    found = {name: _plain(name.rpartition(".")[0].rpartition(".")[2], name) for name in components}
    times = Counter(found.values())
    return {
        name: short if times[short] == 1 else _plain(name.rpartition(".")[0], name)
        for name, short in found.items()
    }


def _plain(place: str, name: str) -> str:
    words = re.split("[^A-Za-z0-9]+", place.removeprefix("shardapi_"))
    return "".join(word.title() for word in words) + name.rpartition(".")[2]


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    if isinstance(schema, list | tuple):
        return [_renamed(one, names) for one in schema]
    if not isinstance(schema, dict):
        return schema
    prefix = REFERENCE.format(name="")
    return {
        key: prefix + names[value.removeprefix(prefix)] if key == "$ref" else _renamed(value, names)
        for key, value in schema.items()
    }


def _as_given(schema: Schema) -> None:
    """What is taken for a member left out is said in words: generators of types demand one that has a `default`."""
    for member in schema["properties"].values():
        default = member.pop("default", None)
        if default not in (None, "", (), [], {}):
            said = f"{json.dumps(default)} if left out"
            member["description"] = f"{member['description']}; {said}" if "description" in member else said


def _as_answered(kind: type[msgspec.Struct], schema: Schema) -> None:
    """Every member that an answer always has is required, whether or not its Struct has a default for it."""
    schema["required"] = list(_always_there(kind))
    for member in schema["properties"].values():
        member.pop("default", None)


def _always_there(kind: type[msgspec.Struct]) -> Iterator[str]:
    omits = kind.__struct_config__.omit_defaults
    for field in msgspec.structs.fields(kind):
        if field.required or not (omits or field.default is msgspec.UNSET):
            yield field.encode_name


def _merge(schema: Schema, extra: Schema) -> None:
    for name, value in extra.items():
        if isinstance(value, dict) and isinstance(schema.get(name), dict):
            _merge(schema[name], value)
        else:
            schema[name] = value

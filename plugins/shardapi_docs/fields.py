"""The members of a schema as rows to be read: their place, kind, bounds, and what is said of them."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/"
DEEPEST = 4
NEVER_A_NEWLINE = r"(?!\n)"
COUNTED = {"string": ("minLength", "maxLength", "characters"), "array": ("minItems", "maxItems", "items")}


class Field(NamedTuple):
    """One member. `needed` is "required", "", or what makes it so; `depth` is how far inside others it stands."""

    name: str
    kind: str
    bounds: str
    values: tuple[str, ...]
    pattern: str
    needed: str
    text: str
    depth: int


class Reader:
    """Reads the schemas of one document."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self.schemas = schemas

    def resolve(self, schema: Schema) -> Schema:
        """What a reference leads to."""
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].removeprefix(REFERENCE)]
        return schema

    def fields(self, schema: Schema, *, answered: bool = False) -> list[Field]:
        """The members of a schema, each followed by those inside it; what is `answered` is there unless it says so."""
        return list(self._members(self.resolve(schema), answered, 0, ()))

    def field(self, name: str, schema: Schema, needed: str = "", text: str = "", depth: int = 0) -> Field:
        """One member by itself."""
        inner = self._main(schema)
        return Field(
            name=name,
            kind=self.kind(schema),
            bounds=_bounds(inner),
            values=tuple(_plain(value) for value in self._values(inner)),
            pattern=self._deepest(inner).get("pattern", "").replace(NEVER_A_NEWLINE, ""),
            needed=needed,
            text=text or _said(schema) or _said(inner) or _said(inner.get("items", {})),
            depth=depth,
        )

    def kind(self, schema: Schema) -> str:
        """What a value is, in words."""
        schema = self.resolve(schema)
        alternatives = [self.kind(one) for one in _alternatives(schema)]
        if alternatives:
            return " or ".join(dict.fromkeys(alternatives))
        kind = schema.get("type", "")
        if kind == "array":
            return f"list of {_plural(self.kind(schema.get('items', {})))}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return f"map to {self.kind(schema['additionalProperties'])}"
        if not kind and self._values(schema):
            return "string" if isinstance(self._values(schema)[0], str) else "number"
        if schema.get("format") == "date-time":
            return "time"
        return kind if isinstance(kind, str) and kind else "any"

    # -- what stands inside

    def _members(
        self, schema: Schema, answered: bool, depth: int, within: tuple[str, ...]
    ) -> Iterator[Field]:
        required = schema.get("required", ())
        for name, member in schema.get("properties", {}).items():
            needed = "required" if name in required else _condition(schema, name)
            if answered:
                needed = "" if name in required else "not always there"
            yield self.field(name, member, needed, depth=depth)
            inside = self._inside(member)
            title = inside.get("title", "")
            if inside.get("properties") and title not in within and depth < DEEPEST:
                yield from self._members(inside, answered, depth + 1, (*within, title))

    def _inside(self, schema: Schema) -> Schema:
        """The object that a member is, has a list of, or maps to."""
        inner = self._main(schema)
        for _ in range(3):
            following = inner.get("items") or inner.get("additionalProperties")
            if not isinstance(following, dict):
                break
            inner = self._main(following)
        return inner

    def _main(self, schema: Schema) -> Schema:
        """A schema without the null that a member left out may be instead."""
        schema = self.resolve(schema)
        alternatives = _alternatives(schema)
        return self.resolve(alternatives[0]) if alternatives else schema

    def _deepest(self, schema: Schema) -> Schema:
        return self._main(schema["items"]) if "items" in schema else schema

    def _values(self, schema: Schema) -> list[Any]:
        schema = self._deepest(schema)
        return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _alternatives(schema: Schema) -> list[Schema]:
    found = schema.get("anyOf") or schema.get("oneOf") or []
    return [one for one in found if one.get("type") != "null"]


def _said(schema: Schema) -> str:
    text: str = schema.get("description", "")
    return text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plural(kind: str) -> str:
    if kind.startswith(("list of", "map to")):
        return kind.replace("list", "lists", 1).replace("map", "maps", 1)
    return " or ".join(word if word == "any" else f"{word}s" for word in kind.split(" or "))


def _bounds(schema: Schema) -> str:
    """How long, how many, or between what; "" where nothing is said."""
    least, most, unit = COUNTED.get(schema.get("type", ""), ("minimum", "maximum", ""))
    low, high = schema.get(least), schema.get(most)
    unit = unit and f" {unit}"
    if low is not None and high is not None:
        return f"{low:,}{unit}" if low == high else f"{low:,} to {high:,}{unit}"
    if high is not None:
        return f"up to {high:,}{unit}"
    return "" if low is None else f"{low:,}{unit} or more"


def _condition(schema: Schema, name: str) -> str:
    """What makes a member required that is not always: that those which may stand in its place are left out."""
    missing: list[str] = []
    while "if" in schema:
        missing += [one for one in schema["if"].get("required", ()) if one != name]
        schema = schema.get("else", {})
        if name in schema.get("required", ()):
            return f"required without {' and '.join(missing)}"
    return ""

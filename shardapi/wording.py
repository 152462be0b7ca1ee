"""What a decoder refuses, in words: a pattern as its description, a choice with what there is to choose from."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec

PATTERN, CHOICE = "Expected `str` matching regex ", "Invalid enum value "
UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
OF_OBJECT = re.compile(r"Object (?:missing required|contains unknown) field `(.*)`", re.DOTALL)
NUMBER_FOR_TEXT = ("Expected `str`, got `int`", "Expected `str | null`, got `int`")
PLACE = re.compile(r"(?P<what>.*) - at (?P<key>`key` in )?`\$\.?(?P<path>.*)`", re.DOTALL)


def placed(error: msgspec.ValidationError, kind: Any) -> tuple[str, str]:
    """What is wrong with a value of this type, and the path of where; "" for the whole."""
    found = PLACE.fullmatch(str(error))
    if found is None:
        return _worded(str(error), "", kind), ""
    message = _worded(found["what"], found["path"], kind)
    return f"{message} as each key" if found["key"] else message, found["path"]


def field(message: str, path: str) -> str:
    """The path of the field that a message is about: one that is missing or unknown is none of what has a path."""
    found = OF_OBJECT.fullmatch(message)
    return f"{path}.{found[1]}".lstrip(".") if found else path


def hint(message: str, path: str, kind: Any) -> str:
    """What to send instead, where that is plain; else ""."""
    if message.endswith(NUMBER_FOR_TEXT):
        return "Send it as text, in quotes."
    if found := UNKNOWN.fullmatch(message):
        known = {name.lower(): name for one in _of_field(kind, path) for name in one.get("properties", {})}
        close = get_close_matches(found[1].lower(), known, 1)
        return f"Did you mean {known[close[0]]}?" if close else ""
    return ""


def _worded(message: str, path: str, kind: Any) -> str:
    if message.startswith(PATTERN):
        for schema in schemas(kind):
            if "description" in schema and repr(schema.get("pattern")) == message.removeprefix(PATTERN):
                return f"Expected {_lowered(schema['description'])}"
    if message.startswith(CHOICE):
        choices = _choices(kind, path)
        return f"Expected {' or '.join(choices)}" if choices else message
    return message


def _choices(kind: Any, path: str) -> list[str]:
    """What a field may be; nothing if there are several of its name that differ."""
    lists = {tuple(one["enum"]) for one in _of_field(kind, path) if "enum" in one}
    return list(map(str, lists.pop())) if len(lists) == 1 else []


def _of_field(kind: Any, path: str) -> Iterator[dict[str, Any]]:
    """What the schemas say of the fields with the last name of a path."""
    everything = schemas(kind)
    shapes, name = everything[0].get("$defs", {}), re.sub(r"\[[^]]*]", "", path).rpartition(".")[2]
    for schema in everything:
        for one in _within(schema.get("properties", {}).get(name)):
            yield one
            if "$ref" in one:
                yield shapes[one["$ref"].rpartition("/")[2]]


@cache
def schemas(kind: Any) -> list[dict[str, Any]]:
    """The schema of a type and all that are in it."""
    return list(_within(msgspec.json.schema(kind)))


def _within(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for one in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _within(one)


def _lowered(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]

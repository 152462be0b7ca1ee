"""What a decoder refuses, in words: a pattern as its description, a choice with what there is to choose from."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

PATTERN, CHOICE = "Expected `str` matching regex ", "Invalid enum value "
PLACE = re.compile(r"(?P<what>.*) - at (?P<key>`key` in )?`\$\.?(?P<path>.*)`", re.DOTALL)


def placed(error: msgspec.ValidationError, kind: Any) -> tuple[str, str]:
    """What is wrong with a value of this type, and the path of the field; "" for the whole."""
    found = PLACE.fullmatch(str(error))
    if found is None:
        return _worded(str(error), "", kind), ""
    message = _worded(found["what"], found["path"], kind)
    return f"{message} as each key" if found["key"] else message, found["path"]


def _worded(message: str, path: str, kind: Any) -> str:
    if message.startswith(PATTERN):
        for schema in schemas(kind):
            if "description" in schema and repr(schema.get("pattern")) == message.removeprefix(PATTERN):
                return f"Expected {_lowered(schema['description'])}"
    if message.startswith(CHOICE):
        choices = _choices(kind, re.sub(r"\[[^]]*]", "", path).rpartition(".")[2])
        return f"Expected {' or '.join(choices)}" if choices else message
    return message


def _choices(kind: Any, field: str) -> list[str]:
    """What the fields of this name may be; nothing if there are several such fields that differ."""
    named = (schema["properties"] for schema in schemas(kind) if field in schema.get("properties", {}))
    lists = {tuple(one["enum"]) for found in named for one in _within(found[field]) if "enum" in one}
    return list(map(str, lists.pop())) if len(lists) == 1 else []


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

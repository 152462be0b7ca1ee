"""The schemas of a stream's block, and of the envelope in its data line."""

import re
from collections.abc import Collection

from ..events import EventType
from .examples import AT, GUILD, example
from .shapes import REFERENCE, Schema, Shapes

EVENT, BLOCK = "Event", "StreamBlock"
EXAMPLE_ID = "5f0c3a9e-118"


def event_schemas(types: Collection[EventType], shapes: Shapes) -> dict[str, Schema]:
    """What /stream sends, for each type of event."""
    text = {"type": "string"}
    envelopes = {_name(type_): _envelope(type_, shapes) for type_ in types}
    in_data = {
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": REFERENCE.format(name=EVENT)},
    }
    return {
        EVENT: {
            "title": EVENT,
            "description": "What happened.",
            "oneOf": [{"$ref": REFERENCE.format(name=name)} for name in sorted(envelopes)],
            "discriminator": {
                "propertyName": "type",
                "mapping": {type_.name: REFERENCE.format(name=_name(type_)) for type_ in types},
            },
        },
        **envelopes,
        BLOCK: {
            "title": BLOCK,
            "description": "One block of the stream; its fields are the lines before the blank one.",
            "type": "object",
            "required": ["id", "event", "data"],
            "properties": {
                "id": text,
                "event": {"type": "string", "enum": sorted(type_.name for type_ in types)},
                "data": {**text, **in_data},
                "retry": {"type": "integer"},
            },
        },
    }


def _name(type_: EventType) -> str:
    """What an event's schema is called: `UserJoinedEvent`."""
    return "".join(word.title() for word in re.split("[^A-Za-z0-9]+", type_.name)) + "Event"


def _envelope(type_: EventType, shapes: Shapes) -> Schema:
    data = shapes.of(type_.data)
    members = {
        "id": {"type": "string", "description": "Its place in the log; opaque."},
        "type": {"type": "string", "const": type_.name},
        "guildId": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "data": data,
    }
    values = (EXAMPLE_ID, type_.name, GUILD, AT, example(data, shapes, type_.name))
    return {
        "type": "object",
        "title": _name(type_),
        "description": type_.summary,
        "required": list(members),
        "properties": members,
        "examples": [dict(zip(members, values, strict=True))],
    }

"""The types of event of the document, each with its members and an example."""

from typing import Any, NamedTuple

from .fields import Field, Reader
from .snippets import as_json

ENVELOPE = ("id", "type", "guildId", "at", "data")


class EventType(NamedTuple):
    """One type of event."""

    name: str
    summary: str
    fields: list[Field]
    example: str


def events(document: dict[str, Any]) -> list[EventType]:
    """All of them, in the order of the document."""
    schemas = document["components"]["schemas"]
    reader, made = Reader(schemas), []
    for name, reference in schemas.get("Event", {}).get("discriminator", {}).get("mapping", {}).items():
        envelope = reader.resolve({"$ref": reference})
        data = reader.fields(envelope["properties"]["data"], answered=True)
        examples = envelope.get("examples", ())
        made.append(
            EventType(name, envelope.get("description", ""), data, as_json(examples[0]) if examples else "")
        )
    return made

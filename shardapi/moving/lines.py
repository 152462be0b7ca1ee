"""What a line of an export is.

An export is text in UTF-8, one JSON object a line, each with its `type`; in this order:

    export   format (1), version of shardapi, guilds (id and name), events (whether the event log is in it)
    signing  secrets: the signing secrets, the newest first; webhook secrets in the rows are encrypted with them
    schema   kind (table, virtual, index, trigger, view), name, sql: what SQLite's own schema says
    row      table, values: column and value; first the rows of no guild
    guild    id: the rows after it are this guild's
    end      rows: how many there were; without it the export is cut off

A value is text, a number or null. What JSON has no word for is an object: {"base64": …} is bytes, {"text": …} is text
that is no UTF-8, in base64, and {"real": …} is inf or -inf.
"""

import base64
import math
from typing import Any, Literal

import msgspec

from ..snapshot import GuildName

FORMAT = 1


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """One line."""


class Export(Line, frozen=True, tag="export"):
    """The first line."""

    format: int
    version: str
    guilds: tuple[GuildName, ...]
    events: bool


class Signing(Line, frozen=True, tag="signing"):
    """The signing secrets."""

    secrets: tuple[str, ...]


class Schema(Line, frozen=True, tag="schema"):
    """A part of the store's schema."""

    kind: Literal["table", "virtual", "index", "trigger", "view"]
    name: str
    sql: str


class OfGuild(Line, frozen=True, tag="guild"):
    """Whose the rows after it are."""

    id: str


class Odd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value that JSON has no word for; one of the three."""

    base64: str | None = None
    text: str | None = None
    real: str | None = None


class Row(Line, frozen=True, tag="row"):
    """A row of a table."""

    table: str
    values: dict[str, str | int | float | Odd | None]


class End(Line, frozen=True, tag="end"):
    """The last line."""

    rows: int


Any_ = Export | Signing | Schema | OfGuild | Row | End
DECODER: msgspec.json.Decoder[Any_] = msgspec.json.Decoder(Any_)
ENCODER = msgspec.json.Encoder()


class NoText(bytes):
    """What stands in a column of text and is none."""


def text_or_not(kept: bytes) -> str | NoText:
    """A text as SQLite has it."""
    try:
        return kept.decode()
    except UnicodeDecodeError:
        return NoText(kept)


def written(value: Any) -> str | int | float | Odd | None:
    """A value of the store as it stands in a line."""
    match value:
        case NoText():
            return Odd(text=base64.b64encode(value).decode())
        case bytes() | memoryview():
            return Odd(base64=base64.b64encode(value).decode())
        case float() if math.isinf(value):
            return Odd(real=str(value))
    return value  # type: ignore[no-any-return]


def read(value: str | int | float | Odd | None) -> Any:
    """A value of a line as the store has it; a text that is none comes as NoText. Raises ValueError."""
    if not isinstance(value, Odd):
        return value
    match value:
        case Odd(base64=str(said), text=None, real=None):
            return base64.b64decode(said, validate=True)
        case Odd(base64=None, text=str(said), real=None):
            return NoText(base64.b64decode(said, validate=True))
        case Odd(base64=None, text=None, real="inf" | "-inf" as said):
            return float(said)
    raise ValueError("a value that is an object has one of base64, text and real")

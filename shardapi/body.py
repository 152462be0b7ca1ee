"""Reading a request's body: bounded in size and time, whole or refused."""

import re
from codecs import BOM_UTF8
from typing import Any

import gevent
import msgspec
from gunicorn.http.errors import ParseException

from .errors import (
    BODY_INCOMPLETE,
    BODY_TIMEOUT,
    BODY_TOO_LARGE,
    INVALID_VALUE,
    MALFORMED_JSON,
    UNSUPPORTED_BODY,
    ApiError,
    FieldError,
)
from .wording import field, hint, placed

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
MOST_BYTES = 512 * 1024
SECONDS = 10.0
MOST_TO_LOOK_AT_TWICE = 64 * 1024


def read(environ: dict[str, Any]) -> bytes:
    """The whole body. Raises unsupported_body, body_too_large, body_timeout, body_incomplete."""
    length = _declared(environ)
    if length == 0:
        return b""
    try:
        with gevent.Timeout(SECONDS):
            data: bytes = _read_all(environ["wsgi.input"], MOST_BYTES + 1)
    except gevent.Timeout:
        problem = f"The body did not arrive within {SECONDS:.0f} s."
        raise BODY_TIMEOUT(
            problem, headers=(("Connection", "close"),)
        ) from None  # the rest is not waited for
    except (ParseException, OSError):
        raise BODY_INCOMPLETE("The body is not well-formed.") from None
    if len(data) > MOST_BYTES:
        raise _too_large()
    if length is not None and len(data) != length:
        raise BODY_INCOMPLETE(f"Content-Length says {length} bytes, {len(data)} arrived.")
    return data


def _read_all(stream: Any, most: int) -> bytes:
    parts, size = [], 0
    while size < most and (part := stream.read(most - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _declared(environ: dict[str, Any]) -> int | None:
    kind = environ.get("CONTENT_TYPE", "").lower()
    if kind.startswith("multipart/"):
        raise UNSUPPORTED_BODY("A multipart body is not read here.", hint="Send JSON as application/json.")
    coding = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UNSUPPORTED_BODY("A compressed body is not read here.", hint="Send the body as it is.")
    text = environ.get("CONTENT_LENGTH")
    if not text:
        return None if "HTTP_TRANSFER_ENCODING" in environ else 0
    length = int(text)
    if length > MOST_BYTES:
        raise _too_large()
    return length


def _too_large() -> ApiError:
    return BODY_TOO_LARGE(f"The body is over {MOST_BYTES} bytes.", hint="Send it in parts.")


def decode(data: bytes, decoder: "msgspec.json.Decoder[Any]", content_type: str) -> Any:
    """The body as its type. Raises malformed_json, invalid_value; no body at all stands for {}."""
    data = data.removeprefix(BOM_UTF8)  # which some editors put first; RFC 8259, 8.1 lets it be passed over
    try:
        try:
            return decoder.decode(data.strip() and data or b"{}")
        except msgspec.ValidationError as error:
            if "got `float`" not in str(error) or len(data) > MOST_TO_LOOK_AT_TWICE:
                raise
            return msgspec.convert(_whole(msgspec.json.decode(data)), decoder.type)
    except msgspec.ValidationError as error:
        raise invalid(error, "body", decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        advice = "Send JSON."
        if content_type and "json" not in content_type.lower():
            advice = f'The body is read as JSON whatever its content type, which is "{content_type[:80]}".'
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        if "truncated" in reason and SURROGATE.search(data):
            reason = "it has half of a surrogate pair"
        raise MALFORMED_JSON(f"The body is not valid JSON: {reason}.", hint=advice) from None


def _whole(value: Any) -> Any:
    """The value with 3 for 3.0: JSON has one kind of number, and some languages write all of them so."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _whole(one) for name, one in value.items()}
        case list():
            return [_whole(one) for one in value]
    return value


def invalid(error: msgspec.ValidationError, place: str, kind: Any) -> ApiError:
    """A refused value of a type as invalid_value, with the path of the field."""
    message, path = placed(error, kind)
    problem = FieldError(field(message, path), message)
    return INVALID_VALUE(
        f"{path}: {message}." if path else f"{message} in the {place}.",
        hint=hint(message, path, kind),
        errors=(problem,),
    )

"""What is answered to what is no request, or has no place: problem documents, before there is a call to answer."""

import logging
import secrets
from http import HTTPStatus

import msgspec
from gunicorn.http import errors as http

from .errors import (
    EXPECTATION_FAILED,
    HEADERS_TOO_LARGE,
    INTERNAL,
    MALFORMED_REQUEST,
    OVERLOADED,
    TOO_MANY_CONNECTIONS,
    UNKNOWN_CODING,
    URI_TOO_LONG,
    ApiError,
    ErrorCode,
    Problem,
)
from .places import Crowded, Full
from .problems import Problem as Repeated
from .redaction import redacted
from .worker import date

MOST_QUOTED = 200
RETRY_AFTER = 5  # seconds, for those who found no place

log = logging.getLogger("shardapi.http")
# Told once a minute: who comes in thousands must not fill the log, too.
_crowds = {OVERLOADED: Repeated(0), TOO_MANY_CONNECTIONS: Repeated(0)}


def answer(error: BaseException, address: str) -> bytes:
    """The answer that ends a connection, as it goes over the wire; what it was for stands in the log."""
    refusal, request_id = of(error), secrets.token_hex(8)
    kind = refusal.kind
    _tell(error, kind, address, request_id)
    document = Problem(
        ok=False,
        error=refusal.detail,
        code=kind.code,
        status=kind.status,
        title=kind.title,
        detail=refusal.detail,
        request_id=request_id,
        hint=refusal.hint,
    )
    body = msgspec.json.encode(document)
    fields = (
        ("Date", date()),
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("X-Request-Id", request_id),
        *refusal.headers,
        ("Content-Length", str(len(body))),
    )
    head = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}\r\n{head}\r\n".encode() + body


def _tell(error: BaseException, kind: ErrorCode, address: str, request_id: str) -> None:
    more = ""
    if (again := _crowds.get(kind)) is not None:
        if not again.due():
            return
        if again.unsaid:
            more, again.unsaid = f" (and {again.unsaid} others since it was last said)", 0
    log.log(
        logging.ERROR if kind is INTERNAL else logging.WARNING,
        "refused %s: %s: %s (request %s)%s",
        *(address or "a unix socket", kind.code, _text(error), request_id, more),
        exc_info=error if kind is INTERNAL else None,
        extra={"request_id": request_id},
    )


def of(error: BaseException) -> ApiError:
    """What an error of the server's is to the client."""
    later = (("Retry-After", str(RETRY_AFTER)),)
    match error:
        case Crowded():
            return TOO_MANY_CONNECTIONS(
                "Your address has as many connections open as it may have.",
                hint="Close some, or keep them and send several requests on each.",
                headers=later,
            )
        case Full():
            return OVERLOADED("Every place is taken.", hint=f"Try again in {RETRY_AFTER} s.", headers=later)
        case http.InvalidResponseHeader() | http.InvalidResponseHeaderName() | http.ConfigurationProblem():
            return INTERNAL("Something went wrong here.")
        case http.LimitRequestLine():
            return URI_TOO_LONG(f"{_text(error)}.", hint="Send in a body what is long.")
        case http.LimitRequestHeaders():
            return HEADERS_TOO_LARGE(f"{_text(error)}.", hint="Send fewer or shorter header fields.")
        case http.ExpectationFailed():
            return EXPECTATION_FAILED(f"{_text(error)}.", hint="Leave Expect out.")
        case http.UnsupportedTransferCoding():
            return UNKNOWN_CODING(
                f"{str(error)[:MOST_QUOTED]}.", hint="Send the body as it is, or in chunks."
            )
        case http.ParseException():
            return MALFORMED_REQUEST(f"{_text(error)}.", hint="Send HTTP/1.1 as RFC 9112 has it.")
    return INTERNAL("Something went wrong here.")


def _text(error: BaseException) -> str:
    return redacted(str(error))[:MOST_QUOTED]

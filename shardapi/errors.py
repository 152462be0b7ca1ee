"""Every error an answer can carry: raised anywhere, rendered once, each with a stable code listed here."""

from typing import Any, NamedTuple

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One field that was refused: its path in the body or query, and why."""

    path: str
    message: str


class ApiError(Exception):
    """Raised to answer a request with a problem document; `facts` become further members of it."""

    def __init__(
        self,
        kind: "ErrorCode",
        detail: str,
        hint: str = "",
        errors: tuple[FieldError, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.hint = kind, detail, hint
        self.errors, self.headers, self.facts = errors, headers, facts or {}


class ErrorCode(NamedTuple):
    """A kind of error: its stable code, its HTTP status, its title, and when it comes. Call it to get the exception."""

    code: str
    status: int
    title: str
    when: str = ""

    def __call__(self, detail: str, **facts: Any) -> ApiError:
        return ApiError(self, detail, **facts)


class Problem(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """An error answer: application/problem+json after RFC 9457, with the members clients of this API read."""

    ok: bool
    error: str
    code: str
    status: int
    title: str
    detail: str
    request_id: str
    hint: str = ""
    errors: tuple[FieldError, ...] = ()


MALFORMED_JSON = ErrorCode("malformed_json", 400, "Malformed JSON", "the body is not JSON")
MALFORMED_REQUEST = ErrorCode(
    "malformed_request", 400, "Malformed request", "what came is no HTTP request; it is not in the audit"
)
INVALID_VALUE = ErrorCode(
    "invalid_value",
    400,
    "Invalid value",
    "a field, parameter or header is not as it must be; `errors` has its path",
)
NET_MISMATCH = ErrorCode(
    "net_mismatch", 400, "netId and netUid name different nets", "netId and netUid name different nets"
)
BODY_INCOMPLETE = ErrorCode("body_incomplete", 400, "Incomplete body", "the body ended before its length")
UNAUTHORIZED = ErrorCode("unauthorized", 401, "Unauthorized", "there is no key, or none of ours")
PUBLIC_TOKEN_INVALID = ErrorCode(
    "public_token_invalid", 401, "Public token invalid", "a public token is not one of ours"
)
MISSING_SCOPE = ErrorCode("missing_scope", 403, "Missing scope", "the key lacks the scope in `hint`")
BLOCKED = ErrorCode("blocked", 403, "Blocked", "the operator is kept out for a while")
LISTEN_ONLY = ErrorCode("listen_only", 403, "Listen only", "a service listener tried to talk")
PREMIUM_REQUIRED = ErrorCode(
    "premium_required", 403, "Premium required", "central does not grant it to this shard"
)
ORIGIN_REFUSED = ErrorCode(
    "origin_refused", 403, "Origin refused", "a web page of another site tried to connect"
)
NOT_FOUND = ErrorCode("not_found", 404, "Not found", "there is nothing at this address")
NET_NOT_FOUND = ErrorCode("net_not_found", 404, "No such net", "no active net is named so")
ENTRY_NOT_FOUND = ErrorCode("entry_not_found", 404, "No such entry", "the archive has no such net")
PRESET_NOT_FOUND = ErrorCode("preset_not_found", 404, "No such preset", "there is no such preset")
WEBHOOK_NOT_FOUND = ErrorCode("webhook_not_found", 404, "No such webhook", "there is no such webhook")
NOT_CONNECTED = ErrorCode("not_connected", 404, "Not connected", "the operator is not there")
METHOD_NOT_ALLOWED = ErrorCode(
    "method_not_allowed", 405, "Method not allowed", "the address is called with another method"
)
BODY_TIMEOUT = ErrorCode("body_timeout", 408, "Body too slow", "the body came too slowly")
CONFLICT = ErrorCode("conflict", 409, "Conflict", "what else contradicts the state")
NO_FREE_SLOT = ErrorCode("no_free_slot", 409, "No free slot", "there are as many nets as may be")
NET_PROTECTED = ErrorCode(
    "net_protected", 409, "Net protected", "the Public Net or global push-to-talk was named as a net"
)
NET_ACTIVE = ErrorCode("net_active", 409, "Net already active", "the net is active already")
FEATURE_OFF = ErrorCode("feature_off", 409, "Feature switched off", "the feature is switched off")
OPERATION_CLOSED = ErrorCode(
    "operation_closed", 409, "Operation closed", "nobody talks while the operation is closed"
)
NOT_ON_NET = ErrorCode("not_on_net", 409, "Not on the net", "the operator is not on that net")
BULK_REFUSED = ErrorCode(
    "bulk_refused", 409, "Bulk refused", "an item of an atomic bulk was refused; `results` has all"
)
PRESET_REFUSED = ErrorCode("preset_refused", 409, "Preset refused", "a step of a preset was refused")
TOO_MANY_PRESETS = ErrorCode("too_many_presets", 409, "Too many presets", "500 presets are kept")
TOO_MANY_WEBHOOKS = ErrorCode(
    "too_many_webhooks", 409, "Too many webhooks", "as many webhooks are registered as may be"
)
MAX_NETS_IN_USE = ErrorCode(
    "max_nets_in_use", 409, "More nets in use", "maxNets would be below the nets there are"
)
IDEMPOTENCY_MISMATCH = ErrorCode(
    "idempotency_mismatch",
    409,
    "Idempotency key used for another request",
    "the Idempotency-Key was used for another request",
)
IDEMPOTENCY_RUNNING = ErrorCode(
    "idempotency_running",
    409,
    "Idempotency key in progress",
    "a request with this Idempotency-Key is under way",
)
PUBLIC_TOKEN_ENDED = ErrorCode(
    "public_token_ended", 410, "Public token ended", "the public token was rotated, or is too old"
)
PRECONDITION_FAILED = ErrorCode(
    "precondition_failed", 412, "Precondition failed", "If-Match names what is no longer so"
)
BODY_TOO_LARGE = ErrorCode("body_too_large", 413, "Body too large", "the body is over 512 KiB")
TOO_MANY_ITEMS = ErrorCode(
    "too_many_items", 413, "Too many items", "there are more items than one call may have"
)
URI_TOO_LONG = ErrorCode("uri_too_long", 414, "URI too long", "the request line is over 4094 bytes")
UNSUPPORTED_BODY = ErrorCode(
    "unsupported_body", 415, "Unsupported body", "the body is multipart or compressed"
)
EXPECTATION_FAILED = ErrorCode(
    "expectation_failed", 417, "Expectation failed", "Expect asks for more than 100-continue"
)
FOREIGN_HOST = ErrorCode(
    "foreign_host", 421, "Misdirected request", "the shard is not served under that Host"
)
UPGRADE_REQUIRED = ErrorCode("upgrade_required", 426, "Upgrade required", "the address is a WebSocket's")
RATE_LIMITED = ErrorCode(
    "rate_limited", 429, "Too many requests", "a limit is used up; Retry-After says how long"
)
TOO_MANY_STREAMS = ErrorCode(
    "too_many_streams", 429, "Too many streams", "the key has as many streams open as may be"
)
TOO_MANY_CONNECTIONS = ErrorCode(
    "too_many_connections", 429, "Too many connections", "one address has half of all places"
)
HEADERS_TOO_LARGE = ErrorCode(
    "headers_too_large",
    431,
    "Headers too large",
    "there are over 64 header fields, or one is over 8190 bytes",
)
INTERNAL = ErrorCode(
    "internal", 500, "Internal error", "something broke here; the log tells more under the request's id"
)
UNKNOWN_CODING = ErrorCode(
    "unknown_coding", 501, "Unknown transfer coding", "the body has a transfer coding other than chunked"
)
OVERLOADED = ErrorCode("overloaded", 503, "Overloaded", "every connection is busy with a request")
STORE_UNAVAILABLE = ErrorCode(
    "store_unavailable", 503, "Store unavailable", "the store cannot write now; nothing was changed"
)
STORE_UNCERTAIN = ErrorCode(
    "store_uncertain", 503, "Store uncertain", "an I/O error: whether the write is kept is not known"
)
CENTRAL_UNAVAILABLE = ErrorCode("central_unavailable", 503, "Central unavailable", "central does not answer")
STARTING = ErrorCode("starting", 503, "Starting", "the shard does not serve operators yet")

CODES: dict[str, ErrorCode] = {
    code.code: code for code in list(globals().values()) if isinstance(code, ErrorCode)
}

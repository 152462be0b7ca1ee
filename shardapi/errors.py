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
    """A kind of error: its stable code, its HTTP status and its title. Call it to get the exception."""

    code: str
    status: int
    title: str

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


MALFORMED_JSON = ErrorCode("malformed_json", 400, "Malformed JSON")
INVALID_VALUE = ErrorCode("invalid_value", 400, "Invalid value")
NET_MISMATCH = ErrorCode("net_mismatch", 400, "netId and netUid name different nets")
BODY_INCOMPLETE = ErrorCode("body_incomplete", 400, "Incomplete body")
UNAUTHORIZED = ErrorCode("unauthorized", 401, "Unauthorized")
PUBLIC_TOKEN_INVALID = ErrorCode("public_token_invalid", 401, "Public token invalid")
MISSING_SCOPE = ErrorCode("missing_scope", 403, "Missing scope")
BLOCKED = ErrorCode("blocked", 403, "Blocked")
LISTEN_ONLY = ErrorCode("listen_only", 403, "Listen only")
PREMIUM_REQUIRED = ErrorCode("premium_required", 403, "Premium required")
ORIGIN_REFUSED = ErrorCode("origin_refused", 403, "Origin refused")
NOT_FOUND = ErrorCode("not_found", 404, "Not found")
NET_NOT_FOUND = ErrorCode("net_not_found", 404, "No such net")
ENTRY_NOT_FOUND = ErrorCode("entry_not_found", 404, "No such entry")
PRESET_NOT_FOUND = ErrorCode("preset_not_found", 404, "No such preset")
WEBHOOK_NOT_FOUND = ErrorCode("webhook_not_found", 404, "No such webhook")
NOT_CONNECTED = ErrorCode("not_connected", 404, "Not connected")
METHOD_NOT_ALLOWED = ErrorCode("method_not_allowed", 405, "Method not allowed")
BODY_TIMEOUT = ErrorCode("body_timeout", 408, "Body too slow")
CONFLICT = ErrorCode("conflict", 409, "Conflict")
NO_FREE_SLOT = ErrorCode("no_free_slot", 409, "No free slot")
NET_PROTECTED = ErrorCode("net_protected", 409, "Net protected")
NET_ACTIVE = ErrorCode("net_active", 409, "Net already active")
FEATURE_OFF = ErrorCode("feature_off", 409, "Feature switched off")
OPERATION_CLOSED = ErrorCode("operation_closed", 409, "Operation closed")
NOT_ON_NET = ErrorCode("not_on_net", 409, "Not on the net")
BULK_REFUSED = ErrorCode("bulk_refused", 409, "Bulk refused")
PRESET_REFUSED = ErrorCode("preset_refused", 409, "Preset refused")
TOO_MANY_PRESETS = ErrorCode("too_many_presets", 409, "Too many presets")
TOO_MANY_WEBHOOKS = ErrorCode("too_many_webhooks", 409, "Too many webhooks")
MAX_NETS_IN_USE = ErrorCode("max_nets_in_use", 409, "More nets in use")
IDEMPOTENCY_MISMATCH = ErrorCode("idempotency_mismatch", 409, "Idempotency key used for another request")
IDEMPOTENCY_RUNNING = ErrorCode("idempotency_running", 409, "Idempotency key in progress")
PUBLIC_TOKEN_ENDED = ErrorCode("public_token_ended", 410, "Public token ended")
PRECONDITION_FAILED = ErrorCode("precondition_failed", 412, "Precondition failed")
BODY_TOO_LARGE = ErrorCode("body_too_large", 413, "Body too large")
TOO_MANY_ITEMS = ErrorCode("too_many_items", 413, "Too many items")
UNSUPPORTED_BODY = ErrorCode("unsupported_body", 415, "Unsupported body")
FOREIGN_HOST = ErrorCode("foreign_host", 421, "Misdirected request")
UPGRADE_REQUIRED = ErrorCode("upgrade_required", 426, "Upgrade required")
RATE_LIMITED = ErrorCode("rate_limited", 429, "Too many requests")
TOO_MANY_STREAMS = ErrorCode("too_many_streams", 429, "Too many streams")
INTERNAL = ErrorCode("internal", 500, "Internal error")
STORE_UNAVAILABLE = ErrorCode("store_unavailable", 503, "Store unavailable")
STORE_UNCERTAIN = ErrorCode("store_uncertain", 503, "Store uncertain")
CENTRAL_UNAVAILABLE = ErrorCode("central_unavailable", 503, "Central unavailable")
STARTING = ErrorCode("starting", 503, "Starting")

CODES: dict[str, ErrorCode] = {
    code.code: code for code in list(globals().values()) if isinstance(code, ErrorCode)
}

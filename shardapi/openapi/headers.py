"""The headers of answers, and the parameters that writes have in common."""

from typing import Any

from ..auth import PUBLIC
from ..routes import Route

LIMIT = {
    "RateLimit-Policy": ("The key's limit: q calls in w seconds.", "string", '"default";q=120;w=60'),
    "RateLimit": (
        "What is left of it: r calls, t seconds until it starts anew.",
        "string",
        '"default";r=118;t=41',
    ),
    "X-RateLimit-Limit": ("Calls in a window.", "integer", 120),
    "X-RateLimit-Remaining": ("Calls left in this window.", "integer", 118),
    "X-RateLimit-Reset": ("When the window ends, in Unix seconds.", "integer", 1_795_203_041),
}
OTHERS = {
    "X-Request-Id": (
        "This call's id, in the log and the audit too: the one sent, if it is well formed.",
        "string",
        "5f0c3a9e12b84d67",
    ),
    "ETag": ("The version of what is answered, for If-None-Match and If-Match.", "string", '"42"'),
    "Idempotent-Replayed": ("true where this is the kept answer of the same call.", "string", "true"),
    "Retry-After": ("Seconds to wait before the next try.", "integer", 41),
    "WWW-Authenticate": ("How to show a key.", "string", "Bearer"),
}
COMPONENTS = {
    name: {"description": text, "schema": {"type": kind}, "example": value}
    for name, (text, kind, value) in {**LIMIT, **OTHERS}.items()
}
NOT_ADMITTED = (401, 421)  # answered before a key's limit is known
REFUSED_WITH = {"Retry-After": (429, 503), "WWW-Authenticate": (401,)}

WRITE_PARAMETERS: dict[str, dict[str, Any]] = {
    "dryRun": {
        "name": "dryRun",
        "in": "query",
        "description": "Answer what would change, and change nothing.",
        "schema": {"type": "boolean", "default": False},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Repeat a write safely for 24 h: the same key answers the kept answer.",
        "schema": {"type": "string", "maxLength": 255},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The version this write rests on, in quotes, as an ETag or `version` told it; another one is"
        " answered with 412. * is any.",
        "schema": {"type": "string", "pattern": r'^(\*|"[A-Za-z0-9._-]{1,64}")$'},
    },
    "AuditLogReason": {
        "name": "X-Audit-Log-Reason",
        "in": "header",
        "description": "Why, for the audit.",
        "schema": {"type": "string", "maxLength": 512},
    },
}
IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of what you have, in quotes; 304 if it is still so.",
    "schema": {"type": "string"},
}
PARAMETERS = {**WRITE_PARAMETERS, "IfNoneMatch": IF_NONE_MATCH}


def of_success(route: Route) -> dict[str, Any]:
    """The headers of a 200."""
    names = ["X-Request-Id", *(LIMIT if route.scope != PUBLIC else ())]
    names += ["ETag"] * route.etag + ["Idempotent-Replayed"] * route.writes
    own = {name: {"description": text, "schema": {"type": "string"}} for name, text in route.headers.items()}
    return {**_references(names), **own}


def of_unchanged(route: Route) -> dict[str, Any]:
    """The headers of a 304."""
    return _references(["X-Request-Id", *(LIMIT if route.scope != PUBLIC else ()), "ETag"])


def of_problem(route: Route, status: int) -> dict[str, Any]:
    """The headers of an error."""
    names = ["X-Request-Id", *(LIMIT if route.scope != PUBLIC and status not in NOT_ADMITTED else ())]
    names += [name for name, statuses in REFUSED_WITH.items() if status in statuses]
    return _references(names)


def _references(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}

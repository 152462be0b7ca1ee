"""What a plugin may use, and nothing else. Our own plugins keep to it too.

It may import the names in `__all__`: classes and functions, and the modules in MODULES; and of some other modules what
PARTS lists. Of what it reaches through `app.shard` it may use what REACHED lists. All of this keeps its name and its
signature; an addition is no change. Everything else may change with any version.

Names are looked up when they are used, so that importing this imports nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Answer": "routes",
    "ApiError": "errors",
    "Body": "routes",
    "Call": "routes",
    "ErrorCode": "errors",
    "Event": "events",
    "EventType": "events",
    "FieldError": "errors",
    "Follower": "eventlog",
    "Guard": "guards",
    "Key": "auth",
    "Logged": "eventlog",
    "Model": "store",
    "NoBody": "routes",
    "Outcome": "central",
    "PUBLIC": "auth",
    "Query": "routes",
    "Refused": "central",
    "Routes": "routes",
    "Shard": "shard",
    "ShardApp": "app",
    "VERSION": "shard",
    "Write": "writes",
    "Written": "routes",
    "create_app": "app",
    "hookimpl": "hookspecs",
}
# All of these without an underscore that they do not import themselves: the words that plugins and the core share.
MODULES = (
    "alerts",  # commands that only tell
    "catalogue",  # archived nets
    "changes",  # parts of the guild to be changed
    "clock",  # now, and times as text
    "commands",  # all that can be done to the guild
    "errors",  # every code
    "events",  # the core's types of event and their data
    "fields",  # members of bodies that mean the same everywhere
    "guild",  # the value that commands change
    "journal",  # what happened to archived nets
    "presets",  # many commands as one
)
# These of modules that are the core's own otherwise.
PARTS = {
    "auth": ("BUNDLES", "KINDS", "PANEL", "SCOPES", "bearer", "refused"),
    "body": ("decode",),
    "cli.options": ("as_json", "say"),
    "config": ("Rate",),
    "hub": ("Filter", "Hub"),
    "inside": ("Inside", "Reply", "note_stranger", "outer_call"),
    "inventory": ("inventory",),
    "limits": ("Limit", "beside", "subnet"),
    "models": ("Audit",),
    "openapi": ("document",),
    "origins": ("Setting", "in_force"),
    "outbox.figures": ("Figures",),
    "outbox.kind": ("Kind", "Pack", "Parcel"),
    "outbox.line": ("Result",),
    "outbox.models": ("Attempt", "Parked", "Row", "last_number", "number_at"),
    "outbox.outbox": ("Outbox",),
    "outbox.target": ("Gate", "Target", "parse"),
    "outbox.vault": ("Secret", "Unreadable"),
    "presence": ("Identity", "Message", "OperatorConfig", "User", "refusal"),
    "routes": ("API_PREFIX", "Page", "Pages"),
    "store": ("database", "many", "one", "rows"),
    "streaming": ("StreamResponse", "greeting"),
    "testing": ("Operator", "Server", "client_of"),
    "timings": ("BOUNDS_MS",),
    "tokens": ("BadToken", "ExpiredToken", "LEEWAY_SECONDS"),
    "worker": ("Taken", "date", "take", "takeable", "vital"),
}
# What may be used of what `app.shard` holds, by attribute.
REACHED = {
    "auth_failures": ("spend",),  # for calls with a key that is not one of ours
    "base_url": (),
    "central": ("guild", "operator", "operator_token", "preview", "submit"),
    "config": (),
    "events": (
        "cursor",
        "epoch",
        "follow",
        "id_of",
        "newest",
        "oldest",
        "on_commit",
        "page",
        "span",
        "types",
        "wait",
    ),
    "guild": (),
    "guild_id": (),
    "hub": ("close_key", "closed", "frames", "open_streams", "subscribe"),
    "keys": ("all", "create", "find", "on_ended", "revoke"),
    "operators": ("block", "blocked_until", "on_change", "reload", "revoke", "revoked"),
    "plugins": ("all_scopes", "loaded", "opened", "scopes"),
    "presence": (
        *("clients", "config_of", "connected", "disconnect", "guild", "join", "key_down", "key_up", "leave"),
        *(
            "occupancy",
            "peak",
            "roles_hold",
            "slots",
            "tell_everyone",
            "transmissions",
            "transmitting",
            "uid_in",
        ),
        *("users", "version"),
    ),
    "problems": ("counts", "failed", "now"),
    "serving": (),
    "settings": (),
    "snapshot": (),
    "spawn": (),
    "stalls": ("count", "longest"),
    "started_at": (),
    "store": ("folder", "path", "read"),
    "timings": ("counts", "total_ms"),
    "tokens": ("keys", "read", "sign"),
    "writer": (
        *(
            "dropped",
            "guild",
            "on_change",
            "on_dropped",
            "on_foreign",
            "post",
            "timings",
            "troubled",
            "waiting",
        ),
        "write",
    ),
}
__all__ = sorted([*_HOME, *MODULES])

if TYPE_CHECKING:
    from . import alerts as alerts
    from . import catalogue as catalogue
    from . import changes as changes
    from . import clock as clock
    from . import commands as commands
    from . import errors as errors
    from . import events as events
    from . import fields as fields
    from . import guild as guild
    from . import journal as journal
    from . import presets as presets
    from .app import ShardApp as ShardApp
    from .app import create_app as create_app
    from .auth import PUBLIC as PUBLIC
    from .auth import Key as Key
    from .central import Outcome as Outcome
    from .central import Refused as Refused
    from .errors import ApiError as ApiError
    from .errors import ErrorCode as ErrorCode
    from .errors import FieldError as FieldError
    from .eventlog import Follower as Follower
    from .eventlog import Logged as Logged
    from .events import Event as Event
    from .events import EventType as EventType
    from .guards import Guard as Guard
    from .hookspecs import hookimpl as hookimpl
    from .routes import Answer as Answer
    from .routes import Body as Body
    from .routes import Call as Call
    from .routes import NoBody as NoBody
    from .routes import Query as Query
    from .routes import Routes as Routes
    from .routes import Written as Written
    from .shard import VERSION as VERSION
    from .shard import Shard as Shard
    from .store import Model as Model
    from .writes import Write as Write


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)

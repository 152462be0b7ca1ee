"""The names a plugin may import. They are looked up when used, so that importing this imports nothing else."""

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
    "Guard": "guards",
    "Key": "auth",
    "Logged": "eventlog",
    "Model": "store",
    "NoBody": "routes",
    "PUBLIC": "auth",
    "Query": "routes",
    "Routes": "routes",
    "Shard": "shard",
    "ShardApp": "app",
    "Write": "writes",
    "Written": "routes",
    "create_app": "app",
    "hookimpl": "hookspecs",
}
__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from .app import ShardApp as ShardApp
    from .app import create_app as create_app
    from .auth import PUBLIC as PUBLIC
    from .auth import Key as Key
    from .errors import ApiError as ApiError
    from .errors import ErrorCode as ErrorCode
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
    from .shard import Shard as Shard
    from .store import Model as Model
    from .writes import Write as Write


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)

"""Plugins of strangers for the tests: installed distributions, made in a folder that is put on the path."""

from pathlib import Path

IMPORTS = """
import msgspec
from shardapi import Answer, EventType, Guard, Routes, Shard, ShardApp, hookimpl
from shardapi.errors import CONFLICT
"""

GUEST = (
    IMPORTS
    + '''
routes = Routes("guest", __name__, scopes={"read:guest": "be a guest"})

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    beds: int = 1

class Slept(msgspec.Struct):
    hours: int

@routes.get("/guest", scope="read:guest")
def read(shard: Shard) -> Answer:
    """How the guest is."""
    return Answer()

@hookimpl
def shardapi_events():
    return [EventType("guest.slept", Slept, "The guest has slept.")]

@hookimpl
def shardapi_blueprints(app):
    return [routes]
'''
)


def install(folder: Path, name: str, text: str, migrations: dict[str, str] | None = None) -> Path:
    """Write a distribution with one plugin, as pip leaves it; returns what has to be on the path."""
    package = folder / f"stranger_{name}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text)
    for step, code in (migrations or {}).items():
        (package / "migrations").mkdir(exist_ok=True)
        (package / "migrations" / f"{step}.py").write_text(code)
    info = folder / f"stranger_{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger-{name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[shardapi]\n{name} = stranger_{name}\n")
    return folder

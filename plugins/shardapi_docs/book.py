"""All that the docs tell of one shard, from its document: calls by group, events, error codes, scopes."""

import re
from typing import Any, NamedTuple

from shardapi import ShardApp, errors
from shardapi.openapi import document

from .events import EventType, events
from .operations import Code, Operation, Operations

TITLES = {"acars": "ACARS", "openapi": "OpenAPI"}  # names that are written in a way of their own
PATHS = re.compile(r"^(?:[A-Z]+ )?/\S*?(?:,? (?:and )?(?:[A-Z]+ )?/\S*?)*: ")


class Group(NamedTuple):
    """The calls of one plugin."""

    name: str
    summary: str
    operations: list[Operation]

    @property
    def title(self) -> str:
        """Its name as a heading."""
        return TITLES.get(self.name, self.name.replace("_", " ").capitalize())

    @property
    def sentence(self) -> str:
        """What it says of itself, without the paths it may begin with, which stand below."""
        text = PATHS.sub("", self.summary)
        return text[:1].upper() + text[1:]


class Scope(NamedTuple):
    """A scope, and the calls it opens."""

    name: str
    text: str
    operations: list[Operation]


class Book:
    """What the pages show."""

    def __init__(self, app: ShardApp) -> None:
        shard = app.shard
        described = document(shard)  # not kept: it is large
        components = described["components"]
        self.base_url = shard.base_url
        self.title: str = described["info"]["title"]
        self.version: str = described["info"]["version"]
        self.plugins = {plugin.name for plugin in shard.plugins.loaded}
        self.limit = _limit(shard.config.limits.default.count, shard.config.limits.default.seconds)
        found = Operations(described, self.base_url)
        self.operations, self.everywhere = found.all, found.everywhere
        self.parameters = {
            name: found.reader.field(one["name"], one["schema"], "", one["description"])
            for name, one in components["parameters"].items()
        }
        self.headers: dict[str, Any] = components["headers"]
        self.groups = [
            Group(tag["name"], tag["description"], [one for one in found.all if one.group == tag["name"]])
            for tag in described["tags"]
        ]
        self.events: list[EventType] = events(described)
        self.codes = _codes(found.codes)
        self.scopes = _scopes(components["securitySchemes"]["ownerKey"]["x-scopes"], found.all)

    def used_by(self, code: str) -> list[Operation]:
        """The calls that answer an error."""
        return [one for one in self.operations if any(error.code == code for error in one.errors)]


def _limit(count: int, seconds: int) -> str:
    unit = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}.get(seconds, f"{seconds} seconds")
    return f"{count:,} calls a {unit}" if " " not in unit else f"{count:,} calls in {unit}"


def _codes(used: dict[str, Code]) -> list[Code]:
    """Every code, by status: those of calls, and those that only an upgrade or an unknown address answers."""
    others = {
        kind.code: Code(kind.code, kind.status, kind.title, kind.when, "")
        for kind in errors.CODES.values()
        if kind.code not in used
    }
    return sorted({**others, **used}.values(), key=lambda one: (one.status, one.code))


def _scopes(named: dict[str, str], operations: list[Operation]) -> list[Scope]:
    """Reads before writes, as the reference has them; those of plugins after both."""
    rank = {"read": 0, "write": 1, "manage": 1}
    return [
        Scope(name, text, [one for one in operations if one.scope == name])
        for name, text in sorted(
            named.items(), key=lambda item: (rank.get(item[0].split(":")[0], 2), item[0])
        )
    ]


def anchor(text: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")

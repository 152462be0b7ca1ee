"""What one look has found."""

from typing import Literal

import msgspec

Level = Literal["ok", "info", "warn", "error"]


class Finding(msgspec.Struct, frozen=True):
    """How grave it is, what was looked at, what is so, and what to do about it."""

    level: Level
    name: str
    what: str
    do: str = ""


class Unable(Exception):
    """Raised when something cannot be looked at; the message says why."""


class Nothing(Unable):
    """Raised where nothing was started yet, so that there is nothing to look at."""


def ok(name: str, what: str) -> Finding:
    """As it should be."""
    return Finding("ok", name, what)


def info(name: str, what: str, do: str) -> Finding:
    """Good to know."""
    return Finding("info", name, what, do)


def warn(name: str, what: str, do: str) -> Finding:
    """It works, and will not for ever or not for everybody."""
    return Finding("warn", name, what, do)


def error(name: str, what: str, do: str) -> Finding:
    """It does not work, or what is kept here is in danger."""
    return Finding("error", name, what, do)

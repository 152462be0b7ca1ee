"""Every setting in force as text: where it comes from, and what it would be after a restart; no secret is shown."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args
from urllib.parse import urlsplit

import msgspec

from . import config
from .config import ENV_PREFIX, Config, ConfigError, Rate, read_rate

if TYPE_CHECKING:
    from .shard import Shard

SECRET_NAME = re.compile(r"secret|passw|passphrase|credential|token$|(^|_)key$|dsn$")
MASK = "••••••••"
UNITS = {86400: "day", 3600: "hour", 60: "minute", 1: "second"}


class Setting(NamedTuple):
    """A setting: `value` is TOML, "" where none is; `source` is a variable, a file, or "" for a default.

    `pending` is what it would be after a restart, None if that is the same.
    """

    name: str
    value: str
    source: str
    pending: str | None
    secret: bool


class InForce(NamedTuple):
    """The settings by name; `problem` tells why what is written now could not be used."""

    settings: list[Setting]
    problem: str


def in_force(shard: "Shard", environ: Mapping[str, str] | None = None) -> InForce:
    """The settings of a running shard, and where they come from; `environ` is the process' own if left out."""
    environ = os.environ if environ is None else environ
    path = environ.get(ENV_PREFIX + "CONFIG", "")
    kinds = {
        plugin.name: plugin.module.Settings
        for plugin in shard.plugins.loaded
        if hasattr(plugin.module, "Settings")
    }
    running = _flat(shard.config, {name: shard.plugins.settings[kind] for name, kind in kinds.items()})
    written, problem = dict[str, "_Value"](), ""
    try:
        written = dict(_written(environ, kinds))
    except (ConfigError, msgspec.ValidationError) as error:
        problem = " ".join(str(error).split())
    tree = _tree(path)
    found = []
    for name, one in running:
        then = written.get(name)
        pending = None if then is None or then.same == one.same else then.text
        found.append(Setting(name, one.text, _source(name, environ, tree, path), pending, one.secret))
    return InForce(found, problem)


class _Value(NamedTuple):
    same: str
    text: str
    secret: bool


def _written(environ: Mapping[str, str], kinds: Mapping[str, type]) -> Iterator[tuple[str, _Value]]:
    """The settings as they are written now."""
    then = config.load(environ=environ)
    tables: dict[str, Any] = {
        name: msgspec.convert(then.plugins.tables.get(name, {}), kind, strict=False, dec_hook=read_rate)
        for name, kind in kinds.items()
    }
    return _flat(then, tables)


def _flat(settings: Config, tables: Mapping[str, Any]) -> Iterator[tuple[str, _Value]]:
    yield from _members(settings, "")
    for plugin, table in tables.items():
        yield from _members(table, f"plugins.{plugin}.")


def _members(struct: Any, above: str) -> Iterator[tuple[str, _Value]]:
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if isinstance(struct, config.PluginSettings) and field.name == "tables":
            continue
        if isinstance(value, msgspec.Struct):
            yield from _members(value, f"{above}{field.encode_name}.")
            continue
        secret = bool(SECRET_NAME.search(field.encode_name)) and not isinstance(value, int | float)
        secret = (secret or _marked(field.type)) and bool(value)
        text = _text(value)
        yield f"{above}{field.encode_name}", _Value(text, MASK if secret else text, secret)


def _marked(type_: Any) -> bool:
    """Whether a type says of itself that its values are secret."""
    return any(
        isinstance(one, msgspec.Meta) and (one.extra or {}).get("secret") is True for one in get_args(type_)
    )


def _text(value: Any) -> str:
    """A value as TOML has it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case Rate():
            unit = next(seconds for seconds in UNITS if value.seconds % seconds == 0)
            many = "" if value.seconds == unit else f"{value.seconds // unit} "
            return f'"{value.count}/{many}{UNITS[unit]}"'
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(map(_text, value))}]"
        case str():
            return msgspec.json.encode(_without_login(value)).decode()
    return msgspec.json.encode(msgspec.to_builtins(value, enc_hook=str)).decode()


def _without_login(text: str) -> str:
    try:
        parts = urlsplit(text)
        if not parts.scheme or "@" not in parts.netloc:
            return text
    except ValueError:
        return text
    return text.replace(parts.netloc.rpartition("@")[0], MASK, 1)


def _source(name: str, environ: Mapping[str, str], tree: dict[str, Any], path: str) -> str:
    variable = ENV_PREFIX + name.replace(".", "__").upper()
    for one in (variable, f"{variable}_FILE"):
        if one in environ:
            return one
    branch: Any = tree
    for word in name.split("."):
        if not isinstance(branch, dict) or word not in branch:
            return ""
        branch = branch[word]
    return path


def _tree(path: str) -> dict[str, Any]:
    """What the file says; nothing for one that cannot be read, of which `config.load` tells."""
    try:
        return tomllib.loads(Path(path).read_text("utf-8")) if path else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}

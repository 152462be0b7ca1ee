"""Settings: defaults, then a TOML file, then SHARDAPI_* variables; a key that nothing knows is an error."""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

ENV_PREFIX = "SHARDAPI_"

_RATE = re.compile(r"(\d+)/(?:(\d+)\s*)?(second|minute|hour|day)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class ConfigError(Exception):
    """Raised when the settings cannot be used; the message is one line for the owner."""


class Rate:
    """So many in a window of so many seconds; written "120/minute"."""

    __slots__ = ("count", "seconds")

    def __init__(self, count: int, seconds: int) -> None:
        self.count, self.seconds = count, seconds

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read COUNT/UNIT or COUNT/N UNIT. Raises ValueError."""
        match = _RATE.fullmatch(text.strip())
        if match is None or int(match[1]) < 1 or match[2] == "0":
            raise ValueError(f'write a limit as COUNT/minute (or second, hour, day), not "{text}"')
        return cls(int(match[1]), int(match[2] or 1) * _SECONDS[match[3]])


SHORTEST_SECRET = 32
GUESSABLE = (
    "the signing secret is short enough to be guessed, and whoever has it makes tokens:"
    " take 48 random characters or more (openssl rand -base64 48)"
)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class GuildSettings(_Table, frozen=True):
    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}$(?!\n)")] = ""
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""


class ServerSettings(_Table, frozen=True):
    bind: str = "127.0.0.1:25588"
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    workers: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    watchdog_seconds: Annotated[int, msgspec.Meta(ge=2)] = 30
    access_log: bool = True
    log_format: Literal["auto", "json", "text"] = "auto"


class LimitSettings(_Table, frozen=True):
    default: Rate = Rate(120, 60)
    acars: Rate = Rate(1, 60)
    auth_failures: Rate = Rate(30, 60)


class EventSettings(_Table, frozen=True):
    keep_hours: Annotated[int, msgspec.Meta(ge=1)] = 24
    keep_count: Annotated[int, msgspec.Meta(ge=1)] = 100_000


class CentralSettings(_Table, frozen=True):
    premium: bool = True
    max_nets: Annotated[int, msgspec.Meta(ge=1, le=50)] = 50


class PluginSettings(_Table, frozen=True):
    """`enabled` None, or "*" in it, runs every bundled plugin and each file in `dir`; `tables` are [plugins.<name>]."""

    enabled: tuple[str, ...] | None = None
    dir: str = ""
    on_error: Literal["stop", "skip"] = "stop"
    tables: dict[str, dict[str, Any]] = {}


PLUGIN_KEYS = frozenset(PluginSettings.__struct_fields__) - {"tables"}


class Config(_Table, frozen=True):
    """All settings of one shard, as they are in force."""

    data_dir: str = "./shard-data"
    signing_secret: str = ""
    guild: GuildSettings = GuildSettings()
    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    events: EventSettings = EventSettings()
    central: CentralSettings = CentralSettings()
    plugins: PluginSettings = PluginSettings()

    @property
    def guessable(self) -> bool:
        """Whether a signing secret is short enough to be guessed, with which anybody makes tokens."""
        return any(len(one) < SHORTEST_SECRET for one in self.signing_secret.split())

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data_dir).expanduser().absolute()


def load(
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    data_dir: str | None = None,
) -> Config:
    """The settings in force; `file` defaults to SHARDAPI_CONFIG. Raises ConfigError."""
    environ = {**_credentials(environ), **environ}
    path = file or environ.get(ENV_PREFIX + "CONFIG") or None
    tree = _read_file(Path(path)) if path else {}
    _merge_environ(tree, environ)
    if data_dir:
        tree["data_dir"] = data_dir
    _fold_plugin_tables(tree)
    try:
        config = msgspec.convert(tree, Config, strict=False, dec_hook=read_rate)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{_source(error, environ, path)}: {describe(error)}") from None
    host_and_port(config.server.bind)
    _check_addresses(config.server)
    return config


def describe(error: msgspec.ValidationError) -> str:
    """A validation error as a person would say it: what is wrong, and at which setting."""
    text = str(error)
    match = re.fullmatch(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(.*?)`)?", text)
    if match:
        return f"unknown setting {'.'.join(filter(None, (match[2], match[1])))}"
    return text.replace("`$.", "`")


def host_and_port(bind: str) -> tuple[str, int]:
    """Split HOST:PORT ([::1]:80 too). Raises ConfigError."""
    host, _, port = bind.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f'server.bind: write HOST:PORT, such as 127.0.0.1:25588, not "{bind}"')
    return host.strip("[]") or "0.0.0.0", int(port)


def _check_addresses(server: ServerSettings) -> None:
    if server.public_url and not _is_url(server.public_url):
        raise ConfigError(
            f'server.public_url: write a URL such as https://shard.example.com, not "{server.public_url}"'
        )
    for network in server.trusted_proxies:
        try:
            ip_network(network, strict=False)
        except ValueError:
            raise ConfigError(f'server.trusted_proxies: "{network}" is not an address or network') from None


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets that do not pair, a port that is none
        return False


def _source(error: msgspec.ValidationError, environ: Mapping[str, str], path: object) -> str:
    """Where a refused value was written: the variable that sets it, else the file."""
    place = re.search(r"at `\$\.?(.*?)`", str(error))
    unknown = re.search(r"unknown field `(.*?)`", str(error))
    words = [word for match in (place, unknown) if match for word in match[1].split(".")]
    variable = ENV_PREFIX + "__".join(words).upper()
    return next((name for name in (variable, variable + "_FILE") if name in environ), str(path or "settings"))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _merge_environ(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name == ENV_PREFIX + "CONFIG":
            continue
        *tables, key = name.removeprefix(ENV_PREFIX).lower().split("__")
        if key.endswith("_file") and key != "_file":
            key, value = key.removesuffix("_file"), _read_secret(name, value)
        branch = tree
        for table in tables:
            branch = branch.setdefault(table, {})
            if not isinstance(branch, dict):
                raise ConfigError(f"{name}: {table} is not a table")
        branch[key] = _parse_list(value) if value.startswith("[") or key in _LISTS else value


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """The credentials that systemd has loaded for us, as variables that name their files."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    try:
        names = sorted(os.listdir(folder)) if folder else []
    except OSError as error:
        raise ConfigError(f"CREDENTIALS_DIRECTORY: {folder}: {error.strerror}") from None
    return {f"{name}_FILE": f"{folder}/{name}" for name in names if name.startswith(ENV_PREFIX)}


_LISTS = {"enabled", "trusted_proxies"}


def _parse_list(value: str) -> Any:
    if value.startswith("["):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: cannot read {path}: {getattr(error, 'strerror', error)}") from None


def _fold_plugin_tables(tree: dict[str, Any]) -> None:
    """[plugins.<name>] stands beside enabled and dir in the file; here it becomes one member, `tables`."""
    plugins = tree.get("plugins")
    if not isinstance(plugins, dict):
        return
    known = {key: value for key, value in plugins.items() if key in PLUGIN_KEYS}
    tables = {key: value for key, value in plugins.items() if key not in known}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"unknown setting plugins.{name}")
    tree["plugins"] = {**known, "tables": tables}


def read_rate(kind: type, value: Any) -> Rate:
    """A value of the settings that TOML has no type for; raises ValueError."""
    if kind is not Rate or not isinstance(value, str):
        raise ValueError("write a limit as COUNT/minute (or second, hour, day)")
    return Rate.parse(value)

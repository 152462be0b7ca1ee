"""Which plugins there are, which of them the settings want, and loading one: the bundled ones are entry points too."""

import importlib.util
import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from .config import PLUGIN_KEYS, Config, ConfigError
from .errors import ApiError

GROUP = "shardapi"
DISTRIBUTION = "shardapi"
MOST_SAID = 300
USUAL = "*"  # in [plugins] enabled: those that run if it is left out
NAME = re.compile(r"[a-z][a-z0-9_]*")
UNDER_WAY: list[str] = []  # the plugins whose code runs as an app is built
RESERVED = PLUGIN_KEYS | {"core", "shardapi"}  # what else stands under [plugins], and what ours is told as


class PluginError(ConfigError):
    """Raised when a plugin cannot run as it is: one line with its name; `what` is without what the error quotes."""

    def __init__(self, plugin: str, what: str, detail: str = "") -> None:
        said = " ".join(detail.split())[:MOST_SAID]
        super().__init__(f"plugin {plugin}: {what}{f': {said}' if said else ''}")
        self.plugin, self.what = plugin, what


@contextmanager
def blaming(plugin: str, what: str) -> Iterator[None]:
    """Make whatever the plugin's code raises a PluginError, an attempt to end the process too."""
    UNDER_WAY.append(plugin)
    try:
        yield
    except (PluginError, ApiError, KeyboardInterrupt):
        raise  # an ApiError is the store's: it cannot be written now, which is no plugin's fault
    except BaseException as error:
        raise PluginError(plugin, what, quoted(error)) from error
    finally:
        UNDER_WAY.pop()


def quoted(value: object, how: Callable[[object], str] = repr) -> str:
    """What a value of a plugin's says of itself; its type alone where that raises."""
    try:
        return how(value)
    except BaseException:
        return type(value).__name__


class Plugin(NamedTuple):
    """A loaded plugin."""

    name: str
    module: ModuleType
    distribution: str
    version: str
    bundled: bool

    @property
    def migrations(self) -> Path | None:
        """The folder of the plugin's migrations, if it has one."""
        folder = Path(self.module.__file__ or "").parent / "migrations"
        return folder if hasattr(self.module, "__path__") and folder.is_dir() else None

    @property
    def package(self) -> str:
        """The name of the top-level package or module that its code is in."""
        return self.module.__name__.partition(".")[0]


class Candidate(NamedTuple):
    """A plugin that could be loaded: an entry point, or a file; `rival` is another of its name.

    One that is installed from elsewhere is no rival until the settings name it: then nobody knows which is meant.
    """

    name: str
    entry: EntryPoint | None
    file: Path | None
    rival: "Candidate | None" = None
    named: bool = False

    @property
    def distribution(self) -> str:
        """What it came with: a distribution's name, or its file."""
        return _name_and_version(self.entry.dist)[0] if self.entry is not None else str(self.file)

    @property
    def version(self) -> str:
        """The version of its distribution; a file's is known when it is loaded."""
        return _name_and_version(self.entry.dist)[1] if self.entry is not None else ""

    @property
    def bundled(self) -> bool:
        """Whether it came with shardapi."""
        return self.entry is not None and self.distribution == DISTRIBUTION

    @property
    def usual(self) -> bool:
        """Whether it runs without being named."""
        return self.bundled or self.file is not None

    def load(self) -> Plugin:
        """Import it. Raises PluginError."""
        if not NAME.fullmatch(self.name):
            raise PluginError(self.name, "a plugin is named with a-z, 0-9 and _, a letter first")
        if self.name in RESERVED:
            raise PluginError(self.name, "a plugin cannot have this name")
        if self.rival is not None and (self.named or self.rival.usual):
            both = f"{self.distribution} and {self.rival.distribution}"
            raise PluginError(self.name, "there are two plugins of this name", both)
        with blaming(self.name, "cannot be loaded"):
            if self.entry is not None:
                found = self.entry.load()
                if not isinstance(found, ModuleType):
                    raise PluginError(self.name, "its entry point names no module", quoted(found))
                return Plugin(self.name, found, self.distribution, self.version, self.bundled)
            assert self.file is not None
            module = _module(f"shardapi_file_{self.name}", self.file)
            version = str(getattr(module, "__version__", ""))
            return Plugin(self.name, module, self.distribution, version, False)


@lru_cache(maxsize=16)
def _name_and_version(distribution: Distribution | None) -> tuple[str, str]:
    """Each question put to a distribution itself parses its metadata anew, which is a third of a start."""
    if distribution is None:
        return "", ""
    said = distribution.metadata
    return said["Name"], said["Version"]


def _module(name: str, file: Path) -> ModuleType:
    """A file as a module; the one that it was before in this process, unless that was another file."""
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(file):
        return known
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def distribution_of(name: str) -> str:
    """What the plugin of this name, or the core, came with."""
    found = {_name_and_version(entry.dist)[0] for entry in entry_points(group=GROUP, name=name)}
    return DISTRIBUTION if not found or DISTRIBUTION in found else min(found)


def candidates(config: Config) -> dict[str, Candidate]:
    """Every plugin that is installed or lies in [plugins] dir, by name."""
    found: dict[str, Candidate] = {}

    def add(one: Candidate) -> None:
        known = found.get(one.name)
        if known is not None:
            other, one = sorted((one, known), key=lambda each: (each.bundled, each.usual))
            one = one._replace(rival=other)
        found[one.name] = one

    for entry in entry_points(group=GROUP):
        add(Candidate(entry.name, entry, None))
    if config.plugins.dir:
        folder = Path(config.plugins.dir).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"plugins.dir: {folder} is not a folder")
        for file in sorted(folder.glob("*.py")):
            add(Candidate(file.stem, None, file))
    return found


def chosen(config: Config, without: Collection[str] = ()) -> list[Candidate]:
    """The plugins that the settings enable, in order. Raises PluginError or ConfigError for an unknown name."""
    found = candidates(config)
    usual = sorted(name for name, one in found.items() if one.usual)
    names: list[str] = []
    for name in (USUAL,) if config.plugins.enabled is None else config.plugins.enabled:
        names += usual if name == USUAL else [name]
    names = [name for name in names if name not in without]
    installed = ", ".join(sorted(found))
    for name in names:
        if name not in found:
            raise PluginError(
                name, "there is no such plugin", f"plugins.enabled names it; installed: {installed}"
            )
    for name in config.plugins.tables:
        if name not in found and name not in without:
            raise ConfigError(f"plugins.{name}: there is no plugin {name}; installed: {installed}")
    named = config.plugins.enabled or ()
    return [found[name]._replace(named=name in named) for name in dict.fromkeys(names)]

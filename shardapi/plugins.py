"""Finding and loading plugins: the bundled ones are entry points like everyone's."""

import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pluggy

from . import folder, hookspecs
from .auth import PUBLIC, SCOPES
from .config import Config, ConfigError, describe
from .routes import Route, Routes
from .subscribers import Subscriber

if TYPE_CHECKING:
    from .app import ShardApp

GROUP = "shardapi"
DISTRIBUTION = "shardapi"


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


class _Candidate(NamedTuple):
    name: str
    entry: EntryPoint | None
    file: Path | None

    @property
    def bundled(self) -> bool:
        dist = self.entry.dist if self.entry is not None else None
        return dist is not None and dist.name == DISTRIBUTION

    def load(self) -> Plugin:
        if self.entry is not None:
            dist = self.entry.dist
            module = self.entry.load()
            return Plugin(
                self.name, module, dist.name if dist else "", dist.version if dist else "", self.bundled
            )
        assert self.file is not None
        module = _module(f"shardapi_file_{self.name}", self.file)
        return Plugin(self.name, module, str(self.file), getattr(module, "__version__", ""), False)


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


def candidates(config: Config) -> dict[str, _Candidate]:
    """Every plugin that is installed or lies in [plugins] dir, by name."""
    found = {entry.name: _Candidate(entry.name, entry, None) for entry in entry_points(group=GROUP)}
    if config.plugins.dir:
        folder = Path(config.plugins.dir).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"plugins.dir: {folder} is not a folder")
        for file in sorted(folder.glob("*.py")):
            if file.stem in found:
                raise ConfigError(f"plugins.dir: {file.name} has the name of an installed plugin")
            found[file.stem] = _Candidate(file.stem, None, file)
    return found


def chosen(config: Config) -> list[_Candidate]:
    """The plugins that the settings enable, in order. Raises ConfigError for an unknown name."""
    found = candidates(config)
    names = config.plugins.enabled
    if names is None:
        names = tuple(sorted(name for name, one in found.items() if one.bundled or one.file))
    for name in (*names, *config.plugins.tables):
        if name not in found:
            where = "plugins.enabled" if name in names else f"plugins.{name}"
            raise ConfigError(f"{where}: there is no plugin {name}; installed: {', '.join(sorted(found))}")
    return [found[name] for name in dict.fromkeys(names)]


class Plugins:
    """The loaded plugins of one app, with their settings and routes."""

    def __init__(self, config: Config) -> None:
        self.manager = pluggy.PluginManager("shardapi")
        self.manager.add_hookspecs(hookspecs)
        self.loaded: list[Plugin] = []
        self.settings: dict[type, Any] = {}
        self.routes: list[Route] = []
        self.scopes: dict[str, str] = {}
        self.commands: dict[str, str] = {}
        for candidate in chosen(config):
            self.loaded.append(_loaded(candidate))
        for plugin in self.loaded:
            self._take_settings(plugin, config.plugins.tables.get(plugin.name, {}))
        for plugin in reversed(self.loaded):  # pluggy calls the last registered first
            self._register(plugin)

    def _register(self, plugin: Plugin) -> None:
        try:
            self.manager.register(plugin.module, plugin.name)
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise ConfigError(f"plugin {plugin.name}: {str(error).splitlines()[-1].strip()}") from None

    @property
    def all_scopes(self) -> frozenset[str]:
        """The scopes of the reference and those of enabled plugins."""
        return frozenset(SCOPES) | frozenset(self.scopes)

    def _take_settings(self, plugin: Plugin, table: dict[str, Any]) -> None:
        kind = getattr(plugin.module, "Settings", None)
        if kind is None:
            if table:
                raise ConfigError(f"unknown setting plugins.{plugin.name}.{next(iter(table))}")
            return
        try:
            self.settings[kind] = msgspec.convert(table, kind, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"plugins.{plugin.name}: {describe(error)}") from None

    def each(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """What each plugin's own implementation of a hook returns, one item after another."""
        implementations = {one.plugin_name: one for one in getattr(self.manager.hook, hook).get_hookimpls()}
        for plugin in self.loaded:
            one = implementations.get(plugin.name)
            if one is None:
                continue
            try:
                items = list(one.function(*(arguments[name] for name in one.argnames)))
            except Exception as error:
                raise ConfigError(f"plugin {plugin.name}: {hook} failed: {error!r}") from error
            for item in items:
                yield plugin, item

    def attach(self, app: "ShardApp") -> None:
        """Let every plugin take part: migrations, event types, routes."""
        shard = app.shard
        for plugin in self.loaded:
            if plugin.migrations is not None:
                with folder.setting_up(shard.store.folder):
                    shard.store.migrate(plugin.name, plugin.migrations)
        for plugin, type_ in self.each("shardapi_events"):
            if type_.name in shard.events.types:
                raise ConfigError(f"plugin {plugin.name}: the event type {type_.name} is taken")
            shard.events.types[type_.name] = type_
        for plugin, routes in self.each("shardapi_blueprints", app=app):
            self.attach_routes(app, plugin.name, routes)

    def collect(self, app: "ShardApp") -> None:
        """Take the plugins' subscribers and tasks, to be run when the app starts."""
        for plugin, react in self.each("shardapi_subscribers", app=app):
            app.subscribers.append(Subscriber(plugin.name, react))
        app.tasks = [task for _, task in self.each("shardapi_tasks", app=app)]

    def attach_routes(self, app: "ShardApp", plugin: str, routes: Routes) -> None:
        """Register one plugin's routes. Raises ConfigError for a taken path or an unknown scope."""
        taken = {(route.method, route.rule): route for route in self.routes}
        for route in routes.declared:
            route.plugin = plugin
            other = taken.get((route.method, route.rule))
            if other is not None:
                raise ConfigError(f"plugin {plugin}: {route.method} {route.rule} is taken by {other.plugin}")
            known = {**SCOPES, **routes.scopes}
            if route.scope != PUBLIC and route.scope not in known:
                raise ConfigError(f"plugin {plugin}: {route.name} needs the unknown scope {route.scope}")
            if route.scope != PUBLIC:
                self.scopes[route.scope] = known[route.scope]
        self._take_commands(plugin, routes)
        self.routes.extend(routes.declared)
        app.register_blueprint(routes)
        served = {route.name for route in self.routes}
        for rule in app.url_map.iter_rules():
            if rule.endpoint not in served and not rule.endpoint.endswith(".static"):
                raise ConfigError(
                    f"plugin {plugin}: {rule.rule} was added without a declaration and its scope"
                )

    def _take_commands(self, plugin: str, routes: Routes) -> None:
        """Note whose the commands in a blueprint's `cli` are, by name. Raises ConfigError for one that is taken."""
        names: list[str] = []
        if routes.cli.commands:
            group = routes.cli_group
            names = list(routes.cli.commands) if group is None else [_group_name(routes)]
        for name in names:
            other = self.commands.get(name) or _our_command(name)
            if other:
                raise ConfigError(f"plugin {plugin}: the command {name} is taken by {other}")
            self.commands[name] = plugin


def _group_name(routes: Routes) -> str:
    return routes.cli_group if isinstance(routes.cli_group, str) else routes.name


def _our_command(name: str) -> str:
    from .cli import main  # which knows of plugins

    return "shardapi" if name in main.commands else ""


def _loaded(candidate: _Candidate) -> Plugin:
    try:
        return candidate.load()
    except Exception as error:
        raise ConfigError(f"plugin {candidate.name} cannot be loaded: {error!r}") from error

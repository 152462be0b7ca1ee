"""The plugins of one app: their settings, and all that they open."""

import inspect
import re
import sys
from collections.abc import Collection, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

import msgspec
import pluggy

from . import folder, hookspecs
from .auth import PUBLIC, SCOPES
from .cli import COMMANDS
from .config import Config, describe, read_rate
from .errors import ErrorCode
from .eventlog import EVENT_NAME
from .events import EventType
from .guards import Asked, Guard
from .installed import Plugin, PluginError, blaming, chosen, quoted
from .problems import named, owner
from .routes import Page, Pages, Route, Routes
from .store import Model, StoreTooNew, rows
from .subscribers import Subscriber
from .tasks import Task

if TYPE_CHECKING:
    from .app import ShardApp

CORE = "shardapi"
MARK = "shardapi_impl"  # what @hookimpl leaves on a function
HOOKS = [
    name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("shardapi_")
]
SCOPE_NAME = re.compile(r"[a-z][a-z0-9_-]*(:[a-z0-9_-]+)+")
PARAMETER = re.compile(r"<(?:(?:string|([^:<>]+)):)?[^:<>]+>")  # a string is what it is if nothing is said


class Opened(msgspec.Struct):
    """What one plugin has added, by name."""

    routes: list[Route] = []
    scopes: list[str] = []
    events: list[str] = []
    commands: list[str] = []
    tables: list[str] = []
    subscribers: list[str] = []
    tasks: list[str] = []
    guards: list[str] = []
    pages: list[Page] = []


class Manager(pluggy.PluginManager):
    """pluggy's, which looks more closely at each name of each module than a start has time for: 15 ms."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """What the mark on a hook says, None for what has none."""
        found = vars(plugin).get(name)
        if not isinstance(found, FunctionType) or MARK not in vars(found):
            return None
        return super().parse_hookimpl_opts(plugin, name)


class Plugins:
    """The loaded plugins of one app, with their settings and routes; `without` names those to be left out."""

    def __init__(self, config: Config, without: Collection[str] = ()) -> None:
        self.manager = Manager("shardapi")
        self.manager.add_hookspecs(hookspecs)
        self.loaded: list[Plugin] = []
        self.settings: dict[type, Any] = {}
        self.routes: list[Route] = []
        self.scopes: dict[str, str] = {}
        self.commands: dict[str, str] = {}
        self.opened: dict[str, Opened] = {CORE: Opened()}
        self.guard_errors: tuple[ErrorCode, ...] = ()
        self.passed_over: list[PluginError] = []
        self._taken: dict[tuple[str, str], Route] = {}
        self._files: dict[str, str] = {}
        for candidate in chosen(config, without):
            plugin = candidate.load()
            for other in self.loaded:
                if other.module is plugin.module:
                    raise PluginError(plugin.name, f"its module is that of {other.name}")
            self.loaded.append(plugin)
            self.opened[candidate.name] = Opened()
            if candidate.rival is not None:
                what = f"{candidate.rival.distribution} has a plugin of this name too, which does not run"
                self.passed_over.append(PluginError(plugin.name, what))
        for plugin in self.loaded:
            self._take_settings(plugin, config.plugins.tables.get(plugin.name, {}))
        for plugin in reversed(self.loaded):  # pluggy calls the last registered first
            self._register(plugin)

    @property
    def modules(self) -> dict[str, str]:
        """The plugin that each module with hooks belongs to, and the package around it."""
        return {
            **{plugin.package: plugin.name for plugin in self.loaded},
            **{plugin.module.__name__: plugin.name for plugin in self.loaded},
        }

    @property
    def all_scopes(self) -> frozenset[str]:
        """The scopes of the reference and those of enabled plugins."""
        return frozenset(SCOPES) | frozenset(self.scopes)

    def _register(self, plugin: Plugin) -> None:
        try:
            self.manager.register(plugin.module, plugin.name)
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(plugin.name, str(error).splitlines()[-1].strip()) from None
        for name in HOOKS:
            function = getattr(plugin.module, name, None)
            if function is not None and not hasattr(function, MARK):
                raise PluginError(plugin.name, f"{name} needs @hookimpl")

    def _take_settings(self, plugin: Plugin, table: dict[str, Any]) -> None:
        what, kind = "its settings cannot be used", getattr(plugin.module, "Settings", None)
        if kind is None:
            if table:
                raise PluginError(
                    plugin.name, what, f"unknown setting plugins.{plugin.name}.{next(iter(table))}"
                )
            return
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            raise PluginError(plugin.name, "its Settings are no msgspec.Struct")
        with blaming(plugin.name, what):
            try:
                self.settings[kind] = msgspec.convert(table, kind, strict=False, dec_hook=read_rate)
            except msgspec.ValidationError as error:
                raise PluginError(plugin.name, what, f"plugins.{plugin.name}: {describe(error)}") from None
            for key in table:
                if key not in {field.encode_name for field in msgspec.structs.fields(kind)}:
                    raise PluginError(plugin.name, what, f"plugins.{plugin.name}: unknown setting {key}")

    def each(self, hook: str, kind: type, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """What each plugin's own implementation of a hook returns, one item after another. Raises PluginError."""
        implementations = {one.plugin_name: one for one in getattr(self.manager.hook, hook).get_hookimpls()}
        for plugin in self.loaded:
            one = implementations.get(plugin.name)
            if one is None:
                continue
            with blaming(plugin.name, f"{hook} failed"):
                items = one.function(*(arguments[name] for name in one.argnames))
            wanted = "functions" if kind is object else kind.__name__
            if not isinstance(items, list | tuple):
                raise PluginError(plugin.name, f"{hook} returned no list of {wanted}", quoted(items))
            for item in items:
                if not (callable(item) if kind is object else isinstance(item, kind)):
                    raise PluginError(plugin.name, f"{hook} returned what is none of {wanted}", quoted(item))
                yield plugin, item

    def attach(self, app: "ShardApp") -> None:
        """Let every plugin take part: tables, event types, routes, guards. Raises PluginError."""
        shard = app.shard
        for error in self.passed_over:
            shard.problems.pass_over(error)
        for plugin in self.loaded:
            self._migrate(app, plugin)
            self._look_for_tables(app, plugin)
        for plugin, type_ in self.each("shardapi_events", EventType):
            if not (isinstance(type_.name, str) and EVENT_NAME.fullmatch(type_.name)):
                raise PluginError(plugin.name, "an event type is named like word.word", quoted(type_.name))
            if type_.name in shard.events.types:
                raise PluginError(plugin.name, f"the event type {type_.name} is taken")
            shard.events.types[type_.name] = type_
            self.opened[plugin.name].events.append(type_.name)
        for plugin, routes in self.each("shardapi_blueprints", Routes, app=app):
            self.attach_routes(app, plugin.name, routes)
        for plugin, guard in self.each("shardapi_guards", Guard, app=app):
            for code in guard.errors:
                if not isinstance(code, ErrorCode):
                    raise PluginError(plugin.name, "a guard refuses with what is no ErrorCode", quoted(code))
            shard.central.guards.append(Asked(plugin.name, guard, shard.problems))
            self.opened[plugin.name].guards.append(named(guard.check))
            self.guard_errors += guard.errors

    def _migrate(self, app: "ShardApp", plugin: Plugin) -> None:
        if plugin.migrations is None:
            return
        store = app.shard.store
        try:
            with (
                folder.setting_up(store.folder),
                blaming(plugin.name, "a migration failed and was taken back"),
            ):
                store.migrate(plugin.name, plugin.migrations)
        except PluginError as error:
            if isinstance(error.__cause__, StoreTooNew):
                raise PluginError(plugin.name, str(error.__cause__)) from None
            raise
        self.opened[plugin.name].tables = store.tables_of(plugin.name)

    def _look_for_tables(self, app: "ShardApp", plugin: Plugin) -> None:
        """Raises PluginError for a table that the plugin has a class for, and its migrations do not make."""
        models = {kind.__name__: kind._meta.table_name for kind in _models_of(plugin)}
        if not models:
            return
        there = app.shard.store.read(lambda: {name for (name,) in rows("SELECT name FROM sqlite_master")})
        why = (
            "there is no folder migrations beside it"
            if plugin.migrations is None
            else "no migration makes it"
        )
        for name, table in models.items():
            if table not in there:
                raise PluginError(plugin.name, f"the table {table} of its {name} is not there: {why}")

    def collect(self, app: "ShardApp") -> None:
        """Take the plugins' subscribers and tasks, to be run when the app starts. Raises PluginError."""
        problems = app.shard.problems
        for plugin, react in self.each("shardapi_subscribers", object, app=app):
            app.subscribers.append(Subscriber(plugin.name, react, problems))
            self.opened[plugin.name].subscribers.append(named(react))
        for plugin, work in self.each("shardapi_tasks", object, app=app):
            app.tasks.append(Task(plugin.name, work, problems))
            self.opened[plugin.name].tasks.append(named(work))
        self._look_for_undeclared(app)
        for plugin in self.loaded:
            if not plugin.bundled:  # of ours it is known
                _describe(app, plugin)

    # -- routes

    def attach_routes(self, app: "ShardApp", plugin: str, routes: Routes) -> None:
        """Register one plugin's routes. Raises PluginError for a taken path, scope or command."""
        opened = self.opened[plugin]
        for route in routes.declared:
            place = (route.method, PARAMETER.sub(r"<\1>", route.rule.rstrip("/")))
            other = self._taken.setdefault(place, route)
            if other is not route:
                raise PluginError(plugin, f"{route.method} {route.rule} is taken by {other.plugin}")
            route.plugin = plugin
            self._take_scope(plugin, route, routes)
        self._take_commands(plugin, routes)
        opened.routes += routes.declared
        opened.pages += routes.pages
        self.routes += routes.declared
        with blaming(plugin, "its blueprint cannot be registered"):
            app.register_blueprint(routes)
        self._look_for_undeclared(app, plugin)

    def _take_scope(self, plugin: str, route: Route, routes: Routes) -> None:
        scope = route.scope
        if scope == PUBLIC:
            return
        opened = self.opened[plugin].scopes
        known, own = SCOPES.get(scope) or self.scopes.get(scope, ""), routes.scopes.get(scope, "")
        if not own and scope not in SCOPES and scope not in opened:
            raise PluginError(plugin, f"{route.name} needs the unknown scope {scope}")
        if known and own not in ("", known):
            raise PluginError(plugin, f'the scope {scope} is taken: it stands for "{known}"')
        if not SCOPE_NAME.fullmatch(scope):
            raise PluginError(plugin, "a scope is named like word:word", quoted(scope))
        if scope not in SCOPES and scope not in opened:
            opened.append(scope)
        self.scopes[scope] = known or own

    def _take_commands(self, plugin: str, routes: Routes) -> None:
        """Note whose the commands in a blueprint's `cli` are, by name. Raises PluginError for one that is taken."""
        names: list[str] = []
        if routes.cli.commands:
            group = routes.cli_group
            names = list(routes.cli.commands) if group is None else [_group_name(routes)]
        for name in names:
            other = CORE if name in COMMANDS else self.commands.get(name)
            if other:
                raise PluginError(plugin, f"the command {name} is taken by {other}")
            self.commands[name] = plugin
            self.opened[plugin].commands.append(name)

    def _look_for_undeclared(self, app: "ShardApp", plugin: str = "") -> None:
        """Raises PluginError for a URL that was added past the declarations."""
        served = {route.name for route in self.routes}
        guarded = {name for name, one in app.blueprints.items() if isinstance(one, Pages)}
        for rule in app.url_map.iter_rules():
            of, _, name = rule.endpoint.rpartition(".")
            if name == "static" and (other := self._files.setdefault(rule.rule, of)) != of:
                raise PluginError(plugin or CORE, f"the files at {rule.rule} are those of {other}")
            if of in guarded:
                continue
            if rule.endpoint not in served and name != "static":
                owner = plugin or self._owner(app.view_functions.get(rule.endpoint))
                raise PluginError(owner, f"{rule.rule} was added without a declaration and its scope")

    def _owner(self, view: object) -> str:
        return owner(str(getattr(view, "__module__", "")), self.modules)


def _describe(app: "ShardApp", plugin: Plugin) -> None:
    """Raises PluginError for a plugin with which there would be no OpenAPI document."""
    from .openapi import document

    with blaming(plugin.name, "what it declares cannot be described"):
        msgspec.json.encode(document(app.shard, plugin.name))


def _group_name(routes: Routes) -> str:
    return routes.cli_group if isinstance(routes.cli_group, str) else routes.name


def _models_of(plugin: Plugin) -> list[type[Model]]:
    """The classes of tables that a plugin's modules have by now; those that others are made from have none."""
    name = plugin.module.__name__
    return [
        kind
        for kind in _below(Model)
        if f"{kind.__module__}.".startswith(f"{name}.")
        and getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind
        and not kind.__subclasses__()
    ]


def _below(kind: type) -> Iterator[type]:
    one: type
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)

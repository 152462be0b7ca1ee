"""The application: a shard, its plugins, and the way in."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import flask
from flask.ctx import AppContext, RequestContext
from flask.globals import _cv_app, _cv_request
from werkzeug.routing import Rule

from . import config as settings
from . import health, refusals
from .config import Config
from .dispatch import Dispatcher
from .installed import UNDER_WAY, PluginError
from .plugins import CORE
from .routes import Call
from .shard import Shard
from .stalls import impatient
from .subscribers import Subscriber
from .tasks import Task

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse


def create_app(config: Config | None = None) -> "ShardApp":
    """The WSGI application of one shard; settings are read as `shardapi` does unless they are given."""
    config = config or settings.load()
    left_out: list[PluginError] = []
    while True:
        try:
            with impatient(UNDER_WAY):
                return _assembled(config, left_out)
        except PluginError as error:
            if config.plugins.on_error == "stop":
                raise
            left_out.append(error)  # and all anew: what it has left behind, nobody knows


def _assembled(config: Config, left_out: Sequence[PluginError]) -> "ShardApp":
    """The application without those plugins, each of them told."""
    shard = Shard(config, [error.plugin for error in left_out])
    try:
        app = ShardApp(shard)
        shard.plugins.attach_routes(app, CORE, health.root)
        shard.plugins.attach(app)
        shard.plugins.collect(app)
        app.dispatch = Dispatcher(app, LeanContext)
    except BaseException:
        shard.close()
        raise
    for error in left_out:
        shard.problems.leave_out(error)
    return app


class LateRule(Rule):
    """Flask's rule, made ready for `url_for` when that is first asked for: for all of them a start would take 70 ms."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        made: Callable[..., tuple[str, str]] | None = None

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            nonlocal made
            if made is None:
                made = super(LateRule, self)._compile_builder(append_unknown)
            return made(rule, **values)

        return build


class ShardApp(flask.Flask):
    """Flask with our own way from a request to a declared route; `shard` is everything behind it."""

    url_rule_class = LateRule
    dispatch: Dispatcher

    def __init__(self, shard: Shard) -> None:
        super().__init__("shardapi", static_folder=None)
        self.shard = shard
        self.url_map.strict_slashes = False
        self.url_map.merge_slashes = False
        self.subscribers: list[Subscriber] = []
        self.tasks: list[Task] = []

    def wsgi_app(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        return self.dispatch(environ, start_response)

    def start(self, worker: Any) -> None:
        """Called by the worker once it can serve."""
        for subscriber in self.subscribers:
            self.shard.events.on_commit.append(subscriber.notice)
        self.shard.start(worker, [*(one.run for one in self.subscribers), *(one.run for one in self.tasks)])

    def hung(self, frame: FrameType | None) -> None:
        """Called by the worker when the watchdog ends it, with what it was doing."""
        if frame is not None:
            self.shard.stalls.hung(frame)

    def refuse(self, error: BaseException, address: str) -> bytes:
        """Called by the worker for what is no request, or has no place: the answer, as it goes over the wire."""
        return refusals.answer(error, address)

    def retire(self) -> None:
        """Called by the worker when it is told to end; requests may still come for a moment."""
        self.shard.retire()


class LeanContext(RequestContext):
    """Flask's contexts around a view, less the session and URL matching that a declared route does not need."""

    def __init__(self, app: ShardApp, call: Call) -> None:
        self.app, self.call, self.flashes = app, call, None
        self.url_adapter = app.dispatch.adapter
        self._session = None
        self._after_request_functions = []

    @cached_property
    def request(self) -> flask.Request:  # type: ignore[override]
        """Flask's request, made when a view asks for it."""
        request = self.app.request_class(self.call.environ)
        request.json_module = self.app.json
        request.view_args = dict(self.call.path_args)
        return request

    def __enter__(self) -> "LeanContext":
        self._tokens = _cv_app.set(AppContext(self.app)), _cv_request.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        app_token, request_token = self._tokens
        try:
            if self.app.teardown_request_funcs or self.app.teardown_appcontext_funcs:
                self.app.do_teardown_request(error)
                self.app.do_teardown_appcontext(error)
        finally:
            _cv_request.reset(request_token)
            _cv_app.reset(app_token)

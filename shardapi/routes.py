"""Routes: one declaration gives a call its scope, limit, schemas, audit and place in the OpenAPI document."""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import flask
import msgspec

from . import body as bodies
from . import errors as e
from .auth import PUBLIC, Key
from .errors import ApiError as ApiError
from .errors import ErrorCode

API_PREFIX = "/api/v1"
METHODS = ("GET", "POST", "PATCH", "DELETE")


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """What every success says."""

    ok: bool = True
    guild_id: str = ""

    def etag(self, version: int) -> str:
        """The entity tag of an answer declared with etag=True: the config version, unless a subclass has its own."""
        return str(version)


class Written(Answer, kw_only=True):
    """What every write says: what it was, whether it changed anything, the config version after it."""

    action: str = ""
    changed: bool = False
    version: int = 0
    dry_run: bool | msgspec.UnsetType = msgspec.UNSET

    def kept(self) -> "Written":
        """What is kept of it for a repeat with the same Idempotency-Key; a subclass takes secrets out."""
        return self


class Body(msgspec.Struct, rename="camel", kw_only=True):
    """The body of a write; members that are not declared are ignored."""


class Query(msgspec.Struct, rename="camel", kw_only=True):
    """Query parameters; a tuple takes a repeated one."""


class NoBody(Body, kw_only=True):
    """A body that may be left out."""


class Call:
    """One request on its way through: who asks, what for, and what the answer will say besides."""

    __slots__ = (
        "shard",
        "environ",
        "route",
        "path_args",
        "key",
        "request_id",
        "address",
        "headers",
        "data",
        "write",
        "path",
        "rule",
    )

    def __init__(self, shard: Any, environ: dict[str, Any]) -> None:
        self.shard, self.environ = shard, environ
        self.route: Route | None = None
        self.path_args: Mapping[str, Any] = {}
        self.key: Key | None = None
        self.request_id = self.address = self.rule = ""
        self.headers: tuple[tuple[str, str], ...] = ()
        self.data = b""
        self.write: Any = None
        self.path: str = environ["PATH_INFO"]

    def query(self) -> dict[str, list[str]]:
        """The query's parameters, decoded."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.environ.get("QUERY_STRING", ""), keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return found


Provider = Callable[[Call], Any]


class Route(msgspec.Struct, kw_only=True):
    """One declared call."""

    method: str
    rule: str
    scope: str
    view: Callable[..., Any]
    name: str
    plugin: str
    summary: str
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    answer: Any = None
    media_type: str = "application/json"
    errors: tuple[ErrorCode, ...] = ()
    path_types: dict[str, Any] = {}
    etag: bool = False
    websocket: bool = False
    examples: dict[str, Any] = {}
    headers: dict[str, str] = {}
    takes_headers: dict[str, str] = {}
    providers: tuple[tuple[str, Provider], ...] = ()

    @property
    def writes(self) -> bool:
        return any(name == "write" for name, _ in self.providers)

    def run(self, call: Call) -> Any:
        """Call the view with what its parameters ask for."""
        return self.view(**{name: provide(call) for name, provide in self.providers})


class Page(msgspec.Struct, kw_only=True):
    """A page that a plugin adds to the panel: its title, its template, and what gives the template its variables."""

    title: str
    template: str
    view: Callable[..., dict[str, Any]]
    name: str
    providers: tuple[tuple[str, Provider], ...] = ()

    def run(self, call: Call) -> dict[str, Any]:
        """What the template shows."""
        return self.view(**{name: provide(call) for name, provide in self.providers})


class Routes(flask.Blueprint):
    """A plugin's routes; `scopes` gives a sentence for each scope that only this plugin uses."""

    def __init__(
        self,
        name: str,
        import_name: str = "",
        url_prefix: str = API_PREFIX,
        scopes: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, import_name or f"shardapi_{name}", url_prefix=url_prefix, **options)
        self.declared: list[Route] = []
        self.pages: list[Page] = []
        self.scopes = scopes or {}

    def get(self, rule: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # type: ignore[override]
        """Declare a read; see `declare`."""
        return self.declare("GET", rule, **options)

    def post(self, rule: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # type: ignore[override]
        """Declare a POST; see `declare`."""
        return self.declare("POST", rule, **options)

    def patch(self, rule: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # type: ignore[override]
        """Declare a PATCH; see `declare`."""
        return self.declare("PATCH", rule, **options)

    def put(self, rule: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # type: ignore[override]
        """There is none: raises TypeError, which says what there is."""
        return self.declare("PUT", rule, **options)

    def delete(self, rule: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # type: ignore[override]
        """Declare a DELETE; see `declare`."""
        return self.declare("DELETE", rule, **options)

    def declare(
        self,
        method: str,
        rule: str,
        *,
        scope: str,
        errors: Iterable[ErrorCode] = (),
        media_type: str = "application/json",
        etag: bool = False,
        websocket: bool = False,
        examples: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        takes_headers: dict[str, str] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare one call. `scope` is a scope's name or PUBLIC; leaving it out fails at import.

        The view takes what it names: `body` and `query` (Structs), path parameters, and by annotation Key, Call,
        Shard and Write. It returns a Struct, or a flask.Response. For the OpenAPI document, `examples` has the "body",
        and of the "answer" the members that its schema cannot tell; `headers` and `takes_headers` have a sentence for
        each header of its own that the call answers or takes.
        """

        if method not in METHODS:
            raise TypeError(f"{method} {rule}: a call is GET, POST, PATCH or DELETE")

        def register(view: Callable[..., Any]) -> Callable[..., Any]:
            hints = typing.get_type_hints(view, include_extras=True)
            answer = hints.pop("return", None)
            _check_parameters(view, hints, rule)
            if method != "GET" and self.url_prefix == API_PREFIX and "write" not in hints:
                raise TypeError(f"{view.__qualname__}: a write takes `write: Write`, which has its options")
            route = Route(
                method=method,
                rule=(self.url_prefix or "") + rule,
                scope=scope,
                view=view,
                name=f"{self.name}.{view.__name__}",
                plugin=self.name,
                summary=(view.__doc__ or "").strip().split("\n")[0],
                body=hints.get("body"),
                query=hints.get("query"),
                answer=answer,
                media_type=media_type,
                errors=tuple(errors),
                path_types={name: hints[name] for name in path_parameters(rule) if name in hints},
                etag=etag,
                websocket=websocket,
                examples=examples or {},
                headers=headers or {},
                takes_headers=takes_headers or {},
                providers=tuple((name, _provider(name, kind)) for name, kind in hints.items()),
            )
            if not route.summary:
                raise TypeError(f"{route.name}: a view has a sentence as its docstring")
            self.declared.append(route)
            self.add_url_rule(rule, view.__name__, view, methods=[method], provide_automatic_options=False)
            return view

        return register

    def page(
        self, title: str, template: str
    ) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
        """Declare a page of the panel, for whoever is signed in there.

        The template extends panel/layout.html. The view takes what is annotated Key, Call or Shard, and returns
        the template's variables.
        """

        def register(view: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
            hints = {name: kind for name, kind in typing.get_type_hints(view).items() if name != "return"}
            _check_parameters(view, hints, "")
            providers = tuple((name, _provider(name, kind)) for name, kind in hints.items())
            self.pages.append(
                Page(title=title, template=template, view=view, name=view.__name__, providers=providers)
            )
            return view

        return register


class Pages(Routes):
    """Pages for people: views as Flask has them, none in the OpenAPI document, each behind `guard`.

    `guard` is called before every one, static files too; what it returns, unless None, is answered in its place.
    """

    def __init__(
        self, name: str, guard: Callable[[], Any], import_name: str = "", url_prefix: str = "", **options: Any
    ) -> None:
        super().__init__(name, import_name, url_prefix or f"/{name}", **options)
        self.before_request(guard)

    get = flask.Blueprint.get
    post = flask.Blueprint.post
    put = flask.Blueprint.put
    patch = flask.Blueprint.patch
    delete = flask.Blueprint.delete


def path_parameters(rule: str) -> list[str]:
    """The names of the parts of a path that vary."""
    return re.findall(r"<(?:[^:<>]+:)?([^<>]+)>", rule)


def _check_parameters(view: Callable[..., Any], hints: dict[str, Any], rule: str) -> None:
    """Raises TypeError for a parameter that nothing provides."""
    in_path = set(path_parameters(rule))
    for name in inspect.signature(view).parameters:
        kind = hints.get(name)
        provided = name in ("body", "query", "write") or kind in (Key, Call) or _is_shard(kind)
        if kind is None or not (provided or name in in_path):
            raise TypeError(
                f"{view.__qualname__}: nothing provides {name}; a view takes body, query, write, parts of its path,"
                " and what is annotated Key, Call or Shard"
            )


def _is_shard(kind: Any) -> bool:
    return getattr(kind, "__name__", "") == "Shard"


def _provider(name: str, kind: Any) -> Provider:
    if name == "body":
        decoder = msgspec.json.Decoder(kind)
        return lambda call: bodies.decode(call.data, decoder, call.environ.get("CONTENT_TYPE", ""))
    if name == "query":
        lists = {f.encode_name for f in msgspec.structs.fields(kind) if typing.get_origin(f.type) is tuple}
        return lambda call: _query(call, kind, lists)
    if name == "write":
        return lambda call: call.write
    if kind is Key:
        return lambda call: call.key
    if kind is Call:
        return lambda call: call
    if _is_shard(kind):
        return lambda call: call.shard
    return lambda call: call.path_args[name]


def _query(call: Call, kind: Any, lists: set[str]) -> Any:
    given = {name: values if name in lists else values[-1] for name, values in call.query().items()}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise bodies.invalid(error, "query", kind) from None


def problem_codes(route: Route) -> tuple[ErrorCode, ...]:
    """Every error this call can answer."""
    codes = [*route.errors, e.FOREIGN_HOST, e.INTERNAL]
    if route.scope is not PUBLIC:
        codes += [e.UNAUTHORIZED, e.MISSING_SCOPE, e.RATE_LIMITED]
    if route.body is not None:
        codes += [e.MALFORMED_JSON, e.INVALID_VALUE, e.BODY_INCOMPLETE, e.BODY_TIMEOUT, e.BODY_TOO_LARGE]
        codes += [e.UNSUPPORTED_BODY]
    if route.query is not None or route.path_types:
        codes += [e.INVALID_VALUE]
    if route.writes:
        codes += [e.INVALID_VALUE, e.IDEMPOTENCY_MISMATCH, e.IDEMPOTENCY_RUNNING, e.PRECONDITION_FAILED]
        codes += [e.STORE_UNAVAILABLE, e.STORE_UNCERTAIN, e.CENTRAL_UNAVAILABLE]
    return tuple(dict.fromkeys(codes))


__all__ = [
    *("PUBLIC", "Answer", "ApiError", "Body", "Call", "NoBody", "Page", "Pages", "Query", "Route", "Routes"),
    "Written",
]

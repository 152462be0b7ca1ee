"""From a WSGI request to its answer: host, route, key, scope, limit, body, view; errors become problem documents."""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import flask
import gevent
import msgspec
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.http import HTTP_STATUS_CODES

from . import auth, probe
from . import body as bodies
from .auditlog import row_of
from .auth import PANEL, PUBLIC
from .errors import (
    FOREIGN_HOST,
    INTERNAL,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    RATE_LIMITED,
    UNAUTHORIZED,
    ApiError,
    ErrorCode,
    Problem,
)
from .limits import subnet
from .logs import current as current_log
from .problems import summary
from .requestlog import RequestLog
from .routes import Answer, Call, Route
from .writes import Rendered, Write

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

    from .app import LeanContext, ShardApp

log = logging.getLogger("shardapi.http")

Headers = list[tuple[str, str]]
Answered = tuple[flask.Response | None, int, Headers, bytes]

ENCODE = msgspec.json.Encoder().encode
STATUS = {code: f"{code} {phrase}" for code, phrase in HTTP_STATUS_CODES.items()}
JSON, PROBLEM = ("Content-Type", "application/json"), ("Content-Type", "application/problem+json")
CALL = "shardapi.call"  # where the environ of a request that is Flask's has its Call
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Dispatcher:
    """Answers requests to declared routes; everything a route's declaration promises happens here."""

    def __init__(self, app: "ShardApp", context: "type[LeanContext]") -> None:
        self.app, self.shard, self.context = app, app.shard, context
        self.routes = {route.name: route for route in app.shard.plugins.routes}
        self.adapter = app.url_map.bind("shard")
        process = secrets.token_hex(6)
        self._request_ids = (f"{process}{number:x}" for number in itertools.count(0x1000))
        self._plain = _without_parameters(self.routes.values())
        self._hosts = own_hosts(self.shard.config.server.public_url)
        self._proxies = [ip_network(one, strict=False) for one in self.shard.config.server.trusted_proxies]
        log = current_log()
        self._requests = RequestLog(log) if log is not None and self.shard.config.server.access_log else None

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        call = Call(self.shard, environ)
        given = environ.get("HTTP_X_REQUEST_ID")
        call.request_id = given if given and _REQUEST_ID.fullmatch(given) else next(self._request_ids)
        if probe.ENVIRON in environ and (nonce := probe.asked(call)):
            return probe.answer(call, nonce, self._client_address(environ), start_response)
        answered = self.answer(call, self._admit)
        if answered is None:
            if self._requests is not None:
                start_response = self._requests.watch(call, time.perf_counter(), start_response)
            return flask.Flask.wsgi_app(self.app, environ, start_response)
        response, status, headers, body = answered
        if response is not None:
            response.headers.extend([("X-Request-Id", call.request_id), *call.headers])
            return response(environ, start_response)
        start_response(STATUS[status], headers)
        return [body]

    def answer(self, call: Call, admit: Callable[[Call, Route], None]) -> Answered | None:
        """What a call is answered, errors too, once `admit` has let it in; None where the view is Flask's own."""
        began, code = time.perf_counter(), ""
        try:
            call.address = self._client_address(call.environ)
            route = self._match(call)
            if route is None:
                self._hand_over(call)
                return None
            if route.scope is not PUBLIC:
                admit(call, route)
            answer = self._run(call, route)
        except (gevent.GreenletExit, KeyboardInterrupt) as error:
            self._tell(call, error)
            raise  # it may be the worker's, whose time is up
        except BaseException as error:  # a view cannot end the process
            problem = self._problem(call, error)
            code = problem.kind.code
            answer = self._render_problem(call, problem)
        self._account(call, answer[1], code, began)
        if self._requests is not None:
            if answer[0] is not None and getattr(answer[0], "outlives", False):
                self._requests.hold(call, answer[1], began)
            else:
                self._requests.note(call, answer[1], code, began)
        return answer

    def _hand_over(self, call: Call) -> None:
        """Leave a request to Flask: with its Call, and its body read as any other's is."""
        data = bodies.read(call.environ)
        call.environ.update({CALL: call, "wsgi.input": BytesIO(data), "CONTENT_LENGTH": str(len(data))})

    # -- admission

    def _client_address(self, environ: dict[str, Any]) -> str:
        peer: str = environ.get("REMOTE_ADDR", "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR") if self._proxies else None
        if not forwarded or not self._trusted(peer):
            return peer
        hops = [hop.strip() for hop in forwarded.split(",")]
        client: str = next((hop for hop in reversed(hops) if not self._trusted(hop)), hops[0])
        return client[:64]

    def _trusted(self, address: str) -> bool:
        if not address:
            return True  # a peer on a unix socket is this machine's proxy
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._proxies)

    def _match(self, call: Call) -> Route | None:
        environ, path = call.environ, call.path
        method: str = environ["REQUEST_METHOD"]
        if self._hosts and environ.get("HTTP_HOST", "").lower() not in self._hosts and path != "/health":
            raise FOREIGN_HOST("This shard is not served under that host name.")
        here = self._plain.get(path, {})
        route = here.get(method)
        if route is not None:
            call.route = route
            return route
        if not path.isascii():
            path = call.path = path.encode("latin-1").decode("utf-8", "replace")
        try:
            if path.startswith("//"):
                raise NoRoute  # werkzeug would take the slashes together
            rule, call.path_args = self.adapter.match(path, method, return_rule=True)
        except MethodNotAllowed as error:
            raise _not_allowed(method, here or error.valid_methods or ()) from None
        except NoRoute:
            raise NOT_FOUND(
                "There is nothing at this address.", hint="GET /api/v1/openapi.json lists what there is."
            ) from None
        if here and call.path_args:  # a path that is declared as it stands is no value of another's parameter
            raise _not_allowed(method, here)
        call.route, call.rule = self.routes.get(rule.endpoint), rule.rule
        return call.route

    def _admit(self, call: Call, route: Route) -> None:
        secret = auth.bearer(call.environ.get("HTTP_AUTHORIZATION"))
        key = self.shard.keys.find(secret) if secret else None
        if key is None:
            self.shard.auth_failures.spend(subnet(call.address))
            raise auth.refused()
        call.key = key
        limit = self.shard.limit
        window = limit.window(key.id)
        if window.left <= 0:
            raise limit.refusal(window)
        window.left -= 1
        call.headers = limit.headers(window)
        key.need(route.scope)

    # -- the view

    def _run(self, call: Call, route: Route) -> Answered:
        if route.body is not None:
            call.data = bodies.read(call.environ)
        with self.context(self.app, call):
            if not route.writes:
                return self._answer(call, route, route.run(call))
            write = call.write = Write(call)
            try:
                answer = write.begin()
                return self._answer(call, route, route.run(call) if answer is None else answer)
            finally:
                write.end()

    def _answer(self, call: Call, route: Route, result: Any) -> Answered:
        if isinstance(result, flask.Response):
            return result, result.status_code, [], b""
        headers: Headers = [JSON, ("X-Request-Id", call.request_id), *call.headers]
        if isinstance(result, bytes):
            body = result
        elif isinstance(result, Rendered):
            body = result.body
            if result.replayed:
                headers.append(("Idempotent-Replayed", "true"))
        else:
            if isinstance(result, Answer):
                result.guild_id = self.shard.guild_id
            body = ENCODE(result)
        if route.etag:
            version = self.shard.guild.version
            tag = f'"{result.etag(version) if isinstance(result, Answer) else version}"'
            headers.append(("ETag", tag))
            asked = call.environ.get("HTTP_IF_NONE_MATCH", "")
            if tag in asked or asked.strip() == "*":
                return None, 304, headers[1:], b""
        headers.append(("Content-Length", str(len(body))))
        return None, 200, headers, body

    # -- errors

    def _problem(self, call: Call, error: BaseException) -> ApiError:
        if isinstance(error, ApiError):
            return error
        if isinstance(error, HTTPException):
            kind = ErrorCode("http_error", error.code or 500, error.name)  # a view's own flask.abort()
            return kind(error.description or error.name)
        self._tell(call, error)
        return INTERNAL("Something went wrong here.", hint=f"The log tells more under {call.request_id}.")

    def _tell(self, call: Call, error: BaseException) -> None:
        """Log what a view has raised: each time a line, its traceback once a minute."""
        route = call.route
        plugin, name = (route.plugin, route.name) if route is not None else ("shardapi", "dispatch")
        problem = self.shard.problems.record(plugin, "view", f"{name} failed: {type(error).__name__}")
        log.error(
            "plugin %s: %s %s failed: %s (request %s)",
            *(plugin, call.environ["REQUEST_METHOD"], call.path, summary(error), call.request_id),
            exc_info=error if problem.due() else None,
            extra={"request_id": call.request_id},
        )

    def _render_problem(self, call: Call, error: ApiError) -> tuple[None, int, Headers, bytes]:
        kind = error.kind
        problem = Problem(
            ok=False,
            error=error.detail,
            code=kind.code,
            status=kind.status,
            title=kind.title,
            detail=error.detail,
            request_id=call.request_id,
            hint=error.hint,
            errors=error.errors,
        )
        body = ENCODE({**msgspec.to_builtins(problem), **error.facts})
        headers: Headers = [PROBLEM, ("X-Request-Id", call.request_id)]
        given = {name for name, _ in error.headers}
        headers += [header for header in call.headers if header[0] not in given]
        headers += [*error.headers, ("Content-Length", str(len(body)))]
        return None, kind.status, headers, body

    # -- the audit and the clock

    def _account(self, call: Call, status: int, code: str, began: float) -> None:
        route = call.route
        self.shard.timings.observe(
            route.name if route is not None else "", status, (time.perf_counter() - began) * 1000
        )
        if call.key is None and code in (UNAUTHORIZED.code, RATE_LIMITED.code):
            call.address = subnet(call.address)
            self.shard.audit.note_failure(call.address, row_of(call, status, code))
        elif call.key is not None and (code or not _recorded(call)):
            self.shard.audit.note(row_of(call, status, code))


def _recorded(call: Call) -> bool:
    """Whether a call that succeeded has its row, or gets none: what its owner reads in the panel is nobody's deed."""
    if call.write is None:
        return call.key is not None and call.key.kind == PANEL
    return bool(call.write.recorded)


def own_hosts(public_url: str) -> frozenset[str]:
    """What Host may say: the public URL's, with and without the port its scheme stands for; nothing if unset."""
    url = urlsplit(public_url.lower())
    port = {"http": ":80", "https": ":443"}.get(url.scheme, "")
    bare = url.netloc.removesuffix(port)
    return frozenset((url.netloc, bare, bare + port)) if bare else frozenset()


def _without_parameters(routes: Iterable[Route]) -> dict[str, dict[str, Route]]:
    """The routes whose path has no parameters, by path and method."""
    found: dict[str, dict[str, Route]] = {}
    for route in routes:
        if "<" not in route.rule:
            here = found.setdefault(route.rule, {})
            here[route.method] = route
            if route.method == "GET":
                here["HEAD"] = route
    return found


def _not_allowed(method: str, methods: Iterable[str]) -> ApiError:
    allowed = ", ".join(sorted(methods))
    return METHOD_NOT_ALLOWED(
        f"{method} is not possible here.", hint=f"Use {allowed}.", headers=(("Allow", allowed),)
    )

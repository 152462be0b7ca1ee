"""What stands before every page: who is signed in, whether a change is theirs, and what a page may do."""

from collections.abc import Callable
from typing import Any, TypeVar

import flask

from shardapi import clock
from shardapi.inside import outer_call

from . import csrf, kept
from .api import this_app
from .sessions import Sessions

V = TypeVar("V", bound=Callable[..., Any])

SESSIONS = "panel.sessions"  # among the app's extensions
COOKIE = "id"
FRESH_MS = 10 * 60_000
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def open_to_all(view: V) -> V:
    """Let a view be reached without being signed in; every other one needs it."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view


def fresh(view: V) -> V:
    """Let the changes of a view be made only by who has signed in within the last ten minutes."""
    view.fresh = True  # type: ignore[attr-defined]
    return view


def sessions() -> Sessions:
    """Who is signed in to this app's panel."""
    found: Sessions = this_app().extensions[SESSIONS]
    return found


def policy(**more: str) -> str:
    """The Content-Security-Policy of a page, with what it may do besides: `frame_src="'self'"`."""
    allowed = {**POLICY, **{name.replace("_", "-"): value for name, value in more.items()}}
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def guard() -> Any:
    """What is answered instead of the view, if anything."""
    request, app = flask.request, this_app()
    flask.g.panel_session = None
    if request.endpoint == "panel.static":
        return None
    view = app.view_functions[request.endpoint or ""]
    session = sessions().find(flask.session.get(COOKIE, ""))
    flask.g.panel_session = session
    if session is not None:
        sessions().touch(session, outer_call(request.environ).address)
    is_open, changes = getattr(view, "open_to_all", False), request.method not in SAFE
    if changes and (csrf.foreign() or not (is_open or csrf.shown())):
        return _not_ours(session is None)
    if is_open:
        return None
    if session is None:
        return _signed_out()
    if changes and getattr(view, "fresh", False) and session.signed_in_at + FRESH_MS <= clock.now():
        return _sign_in(kept.of_request(), "fresh")
    return None


def finish(response: flask.Response) -> flask.Response:
    """Add what every answer of the panel says."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", policy())
    static = flask.request.endpoint == "panel.static"
    response.headers.setdefault("Cache-Control", "no-cache" if static else "no-store")
    if not static and flask.request.environ:
        response.headers.setdefault("X-Request-Id", outer_call(flask.request.environ).request_id)
    return response


def for_scripts() -> bool:
    """Whether a script asks, which reads JSON, and not a person."""
    request = flask.request
    return request.endpoint in ("panel.relay", "panel.stream") or "text/html" not in request.headers.get(
        "Accept", "text/html"
    )


def _signed_out() -> Any:
    from .failures import problem
    from .signin import SIGNED_OUT

    if for_scripts():
        return problem(SIGNED_OUT())
    return _sign_in(kept.of_request(), "ended" if flask.session.get(COOKIE) else "")


def _not_ours(signed_out: bool) -> Any:
    """A form of ours that has grown old goes on after a click; another site's is refused."""
    from .failures import answer, not_ours
    from .signin import go_on

    if not csrf.ours():
        return answer(not_ours())
    if signed_out:
        return _signed_out()
    if for_scripts():
        return answer(not_ours())
    return go_on(kept.of_request())


def _sign_in(what: kept.Kept, why: str) -> Any:
    from .signin import ask

    if flask.request.method in SAFE:
        return flask.redirect(flask.url_for("panel.sign_in", next=what.target, why=why or None))
    return ask(what, why, 401)

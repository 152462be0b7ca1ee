"""Signing in by a link or a password, and out; what was typed when a session ended goes on afterwards."""

from typing import Any

import flask

from shardapi import ApiError
from shardapi.errors import UNAUTHORIZED
from shardapi.inside import note_stranger, outer_call

from . import csrf, kept
from .api import inside, this_app, this_session
from .blueprint import panel
from .door import OWNER, Door
from .failures import problem
from .guard import COOKIE, for_scripts, open_to_all, sessions
from .kept import Kept

DOOR = "panel.door"  # among the app's extensions
WHY = {
    "ended": "Your session has ended. Sign in to go on.",
    "fresh": "This needs a sign-in from the last ten minutes. Sign in again to go on.",
    "out": "You are signed out.",
}


def door() -> Door:
    """The ways into this app's panel."""
    found: Door = this_app().extensions[DOOR]
    return found


def SIGNED_OUT() -> ApiError:
    """What a script is told without a session."""
    return UNAUTHORIZED("You are signed out.", hint="Sign in to the panel again.")


@panel.get("/sign-in")
@open_to_all
def sign_in() -> Any:
    """The page to sign in at: nothing of a link is used before its button is pressed."""
    return ask(kept.of_form(), flask.request.args.get("why", ""))


@panel.post("/sign-in", endpoint="enter")
@open_to_all
def enter() -> Any:
    """Take a link or the password."""
    form, what = flask.request.form, kept.of_form()
    token = form.get("token", "").strip().rpartition("#")[2]
    try:
        if token:
            who, way = door().spend_link(token), "link"
        else:
            door().try_password(form.get("password", ""), outer_call(flask.request.environ).address)
            who, way = OWNER, "password"
    except ApiError as error:
        return _refuse(error, what)
    _begin(who, way)
    if for_scripts():
        return {"ok": True, "csrfToken": csrf.token()}
    if what.fields:
        return go_on(what)
    return flask.redirect(what.target, 303)


@panel.post("/sign-out")
def sign_out() -> Any:
    """End this session."""
    sessions().end(this_session().id)
    inside().note(flask.request.path)
    flask.session.clear()
    return flask.redirect(flask.url_for("panel.sign_in", why="out"), 303)


def ask(what: Kept, why: str, status: int = 200, error: ApiError | None = None) -> Any:
    """The page to sign in at, with what goes on afterwards."""
    page = flask.render_template(
        "panel/sign-in.html",
        kept=what,
        why=WHY.get(why, ""),
        error=error,
        has_password=door().has_password,
        secure=flask.current_app.config["SESSION_COOKIE_SECURE"],
    )
    headers = dict(error.headers) if error else None
    return flask.Response(page, status, headers, mimetype="text/html")


def go_on(what: Kept) -> Any:
    """The page on which what was typed goes on with a click."""
    return flask.render_template("panel/go-on.html", kept=what)


def _refuse(error: ApiError, what: Kept) -> Any:
    call = outer_call(flask.request.environ)
    note_stranger(call, error.kind.status, error.kind.code)
    if for_scripts():
        return problem(error)
    return ask(what, "", error.kind.status, error)


def _begin(who: str, way: str) -> None:
    request = flask.request
    before = flask.g.panel_session
    session, secret = sessions().begin(
        who, way, outer_call(request.environ).address, request.headers.get("User-Agent", ""), before
    )
    flask.session.clear()
    flask.g.pop("csrf_token", None)  # Flask-WTF keeps the one of the old session there
    flask.session[COOKIE] = secret
    flask.session.permanent = True
    flask.g.panel_session = session
    inside().note(f"{request.path}/{way}")

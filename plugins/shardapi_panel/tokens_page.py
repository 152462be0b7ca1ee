"""Operator tokens: made for one operator's client, shown once; revoked for one user or for all."""

from typing import Any

import flask

from shardapi import clock

from .api import inside, this_session, this_shard
from .blueprint import panel
from .guard import fresh
from .keys_page import once
from .sessions import DAY_MS

EVERYONE = ""  # as operators.revoke has it
PATH = "/panel/operator-tokens"


@panel.get("/operator-tokens", endpoint="operator_tokens")
def show() -> Any:
    """The forms to make and to revoke."""
    return _page(_token_form())


@panel.post("/operator-tokens", endpoint="mint_token")
@fresh
def mint() -> Any:
    """Make a token, then show it."""
    shard, given = this_shard(), flask.request.form.get("_form", "")
    made = once().made(given)
    if made:
        return flask.redirect(flask.url_for("panel.made_token", made=made), 303)
    form = _token_form()
    if not form.validate():
        return _page(form), 400
    from .forms import split

    user, days, way = form.user_id.data, form.days.data, inside()
    token = shard.central.operator_token(user, form.name.data, split(form.roles.data), days)
    shard.writer.write(lambda: way.record(f"{PATH}/{user}"))
    made = once().form()
    ends = clock.iso(clock.now() + days * DAY_MS)
    once().put(this_session().id, made, f"{user}\n{form.name.data}\n{ends}\n{token}", given)
    return flask.redirect(flask.url_for("panel.made_token", made=made), 303)


@panel.get("/operator-tokens/<made>", endpoint="made_token")
def made_token(made: str) -> Any:
    """A token, right after it was made, and only then."""
    kept = once().take(this_session().id, made) if flask.request.method == "GET" else ""
    user, name, ends, token = (kept or "\n\n\n").split("\n")
    return flask.render_template("panel/token.html", user=user, name=name, ends=ends, token=token)


@panel.post("/operator-tokens/revoke", endpoint="revoke_tokens")
def revoke() -> Any:
    """Refuse the tokens that one user, or everyone, has now; asks first."""
    from .forms import USER_ID

    form, shard = flask.request.form, this_shard()
    everyone = form.get("whose") == "all"
    user = EVERYONE if everyone else form.get("user_id", "").strip()
    if not everyone and not USER_ID.fullmatch(user):
        wrong = "A user id is 1 to 64 of A-Z a-z 0-9 _ . : - such as a Discord id."
        return _page(_token_form(bare=True), refused=wrong, user=user), 400
    if form.get("sure") != "yes":
        return flask.render_template("panel/revoke-tokens.html", user=user, everyone=everyone)
    way = inside()
    shard.operators.revoke(user, record=lambda: way.record(f"{PATH}/{user or 'all'}/revoke"))
    whose = "everyone" if everyone else user
    flask.flash(f"The tokens of {whose} are revoked; their connections close within a second.")
    return flask.redirect(flask.url_for("panel.operator_tokens"), 303)


def _token_form(bare: bool = False) -> Any:
    from .forms import TokenForm

    typed = flask.request.method == "POST" and not bare
    return TokenForm(flask.request.form) if typed else TokenForm()


def _page(form: Any, refused: str = "", user: str = "") -> str:
    known = [one.identity for one in this_shard().presence.users.values()]
    connected = sorted((one.user_id, one.display_name) for one in known if not one.service)
    return flask.render_template(
        "panel/operator-tokens.html",
        form=form,
        once=flask.request.form.get("_form") or once().form(),
        refused=refused,
        user=user,
        connected=connected[:500],
    )

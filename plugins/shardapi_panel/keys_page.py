"""Keys of bots and dashboards: made here, their secret shown once, and revoked."""

from typing import Any

import flask
from markupsafe import Markup

from shardapi import Key, clock
from shardapi.auth import BUNDLES, SCOPES

from .api import inside, this_app, this_session, this_shard
from .blueprint import panel
from .guard import fresh
from .once import Once
from .sessions import DAY_MS

ONCE = "panel.once"  # among the app's extensions
EVERYTHING = "everything"
EACH = 50
NAMED = Markup("The key “<bdi>{}</bdi>” ")
WORTH = ("/status", "/roster", "/assignments", "/metrics", "/audit")  # what a new key tries first


def once() -> Once:
    """The secrets that wait to be shown."""
    found: Once = this_app().extensions[ONCE]
    return found


@panel.get("/keys", endpoint="keys")
def show() -> Any:
    """The keys page by page, the newest first; those that live, then those that have ended."""
    now, found = clock.now(), this_shard().keys.all()[::-1]
    living = [key for key in found if not key.ended(now)]
    past = [key for key in found if key.ended(now)]
    page = max(1, flask.request.args.get("page", 1, type=int))
    first, end = (page - 1) * EACH, page * EACH
    return flask.render_template(
        "panel/keys.html",
        living=living[first:end],
        past=past[max(0, first - len(living)) : max(0, end - len(living))],
        amounts=(len(living), len(past)),
        page=page,
        pages=-(-len(found) // EACH),
    )


@panel.get("/keys/new", endpoint="new_key")
def new() -> Any:
    """The form of a new key."""
    return _form()


@panel.post("/keys/new", endpoint="create_key")
@fresh
def create() -> Any:
    """Make a key, then show its secret."""
    shard, request = this_shard(), flask.request
    made = once().made(request.form.get("_form", ""))
    if made:
        return flask.redirect(flask.url_for("panel.made_key", key_id=made), 303)
    form = _key_form()
    if not form.validate():
        return _form(form), 400
    ends = clock.now() + form.days.data * DAY_MS if form.days.data else 0
    way = inside()
    key, secret = shard.keys.create(
        form.name.data,
        _granted(form),
        form.kind.data,
        expires_at=ends,
        record=lambda key: way.record(f"/panel/keys/{key.id}"),
    )
    once().put(this_session().id, key.id, secret, request.form.get("_form", ""))
    return flask.redirect(flask.url_for("panel.made_key", key_id=key.id), 303)


@panel.get("/keys/<key_id>", endpoint="made_key")
def made(key_id: str) -> Any:
    """A key; right after it was made, and only then, with its secret."""
    key = _found(key_id)
    secret = once().take(this_session().id, key.id) if flask.request.method == "GET" else ""
    return flask.render_template(
        "panel/key.html", key=key, secret=secret, line=_line(key, secret), now=clock.now()
    )


@panel.get("/keys/<key_id>/revoke", endpoint="ask_revoke_key")
def ask_revoke(key_id: str) -> Any:
    """Ask before a key is revoked."""
    return flask.render_template("panel/revoke-key.html", key=_found(key_id))


@panel.post("/keys/<key_id>/revoke", endpoint="revoke_key")
def revoke(key_id: str) -> Any:
    """End a key for good."""
    key, way = _found(key_id), inside()
    if this_shard().keys.revoke(key.id, record=lambda: way.record(f"/panel/keys/{key.id}/revoke")):
        flask.flash(NAMED.format(key.name) + "is revoked; what it had open is closed.")
    else:
        flask.flash(NAMED.format(key.name) + "had been revoked already.")
    return flask.redirect(flask.url_for("panel.keys"), 303)


def _found(key_id: str) -> Key:
    found = next((key for key in this_shard().keys.all() if key.id == key_id), None)
    if found is None:
        flask.abort(404)
    return found


# -- the form


def _key_form() -> Any:
    from .forms import SINGLE, KeyForm

    form = KeyForm(flask.request.form) if flask.request.method == "POST" else KeyForm()
    form.bundle.choices = [SINGLE, *BUNDLES, EVERYTHING]
    form.scopes.choices = sorted(this_shard().plugins.all_scopes)
    return form


def _form(form: Any = None) -> str:
    given = flask.request.form.get("_form", "")
    return flask.render_template(
        "panel/new-key.html",
        form=_key_form() if form is None else form,
        once=given or once().form(),
        bundles=BUNDLES,
        groups=_groups(),
    )


def _granted(form: Any) -> frozenset[str]:
    if form.bundle.data == EVERYTHING:
        return this_shard().plugins.all_scopes
    return frozenset(BUNDLES.get(form.bundle.data, ())) | frozenset(form.scopes.data)


def _groups() -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """The scopes with what each allows and whether anything needs it now, in groups."""
    plugins = this_shard().plugins
    told = [
        (name, SCOPES.get(name) or plugins.scopes.get(name, ""), _used(name))
        for name in (*SCOPES, *sorted(plugins.all_scopes - SCOPES.keys()))
    ]
    reading = [one for one in told if one[0] in SCOPES and one[0].startswith("read:")]
    writing = [one for one in told if one[0] in SCOPES and one not in reading]
    added = [one for one in told if one[0] not in SCOPES]
    groups = [("Reading", reading), ("Changing", writing), ("Of plugins", added)]
    return [(name, scopes) for name, scopes in groups if scopes]


def _used(scope: str) -> bool:
    """Whether a plugin that runs needs it, or the one it widens: read:roster:roles adds to read:roster."""
    needed = this_shard().plugins.scopes
    return scope in needed or scope.rpartition(":")[0] in needed


def _line(key: Key, secret: str) -> str:
    """A command that tries a new key at once; "" where none would do."""
    shard = this_shard()
    if not secret or key.kind != "owner":
        return ""
    routes = [
        route.rule
        for opened in shard.plugins.opened.values()
        for route in opened.routes
        if route.method == "GET" and route.scope in key.scopes and "<" not in route.rule
    ]
    wanted = [rule for end in WORTH for rule in routes if rule.endswith(end)]
    rule = (wanted or sorted(routes) or [""])[0]
    return f'curl -H "Authorization: Bearer {secret}" {shard.base_url}{rule}' if rule else ""

"""Webhooks: how each fares, what it was sent, and what can be done about it."""

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import flask

from shardapi import clock

from .api import Refusal, api
from .blueprint import panel

FORM = ("url", "events", "secret", "ordered", "_form")
SINCE = {
    "": (0, "only what is parked"),
    "10m": (600, "the last 10 minutes"),
    "1h": (3600, "the last hour"),
    "1d": (86_400, "the last day"),
    "all": (10 * 86_400, "all that the log has"),
    "id": (0, "what came after an event or a time"),
}


@panel.get("/webhooks", endpoint="webhooks")
def show() -> Any:
    """Every webhook, and a form for another."""
    return _page({"ordered": "on", "_form": secrets.token_urlsafe(12)})


@panel.post("/webhooks", endpoint="create_webhook")
def create() -> Any:
    """Make one, and show its secret."""
    given = flask.request.form
    typed = {name: given.get(name, "") for name in FORM}
    chosen = given.getlist("event")
    body = {
        "url": typed["url"].strip(),
        "events": [*dict.fromkeys([*chosen, *typed["events"].replace(",", " ").split()])],
        "ordered": typed["ordered"] == "on",
    }
    if typed["secret"]:
        body["secret"] = typed["secret"]
    try:
        made = api().post("/webhooks", body, idempotency_key=typed["_form"][:64])
    except Refusal as refusal:
        return _page(typed, chosen, refusal.problem), refusal.status
    return flask.render_template("panel/webhook_secret.html", made=made, rotated=False, place=_place(made))


@panel.get("/webhooks/<id>", endpoint="webhook")
def read(id: str) -> Any:
    """One webhook, with what it was sent last."""
    told = api().get(_path(id, "/deliveries"))
    return flask.render_template(
        "panel/webhook.html", **told, place=_place(told), since=SINCE, once=secrets.token_urlsafe(12)
    )


@panel.post("/webhooks/<id>/test", endpoint="test_webhook")
def test(id: str) -> Any:
    """Send it one event now."""

    def told(answer: dict[str, Any]) -> str:
        took = f"{answer['durationMs']} ms"
        if answer["delivered"]:
            return f"The test was delivered: it answered {answer['status']} within {took}."
        why = f"it answered {answer['status']}" if answer["status"] else answer["error"]
        return f"The test was not delivered: {why}, after {took}."

    return _act(id, "/test", told)


@panel.post("/webhooks/<id>/enable", endpoint="enable_webhook")
def enable(id: str) -> Any:
    """Send to it again, at once."""
    return _act(id, "/enable", lambda _: "It is enabled, and is tried now.")


@panel.post("/webhooks/<id>/replay", endpoint="replay_webhook")
def replay(id: str) -> Any:
    """Send it again what it has had."""
    wanted = flask.request.form.get("since", "")
    seconds, _ = SINCE.get(wanted, (0, ""))
    since = clock.iso(clock.now() - seconds * 1000) if seconds else ""
    if wanted == "id":
        since = flask.request.form.get("after", "").strip()

    def told(answer: dict[str, Any]) -> str:
        if not answer["changed"]:
            return "There was nothing to send again."
        return "What you asked for is being sent again."

    return _act(id, "/replay", told, {"since": since})


@panel.post("/webhooks/<id>/rotate", endpoint="rotate_webhook")
def rotate(id: str) -> Any:
    """Make it a new secret, and show that."""
    once = flask.request.form.get("_form", "")[:64]
    made = api().post(_path(id, "/rotate"), {}, idempotency_key=once)
    return flask.render_template("panel/webhook_secret.html", made=made, rotated=True, place=_place(made))


@panel.post("/webhooks/<id>/delete", endpoint="delete_webhook")
def delete(id: str) -> Any:
    """Send to it no more."""
    api().delete(_path(id))
    flask.flash("The webhook is deleted.")
    return flask.redirect(flask.url_for("panel.webhooks"), 303)


def _page(
    typed: dict[str, str], chosen: list[str] | None = None, problem: dict[str, Any] | None = None
) -> str:
    told = api().get("/webhooks")
    groups: dict[str, list[str]] = {}
    for type_ in told["events"]:
        groups.setdefault(type_.partition(".")[0], []).append(type_)
    return flask.render_template(
        "panel/webhooks.html",
        webhooks=told["webhooks"],
        groups=groups,
        place=_place,
        typed=typed,
        chosen=chosen or [],
        problem=problem,
        wrong=_wrong(problem),
    )


def _act(id: str, what: str, told: Callable[[dict[str, Any]], str], body: Any = None) -> Any:
    try:
        flask.flash(told(api().post(_path(id, what), body)))
    except Refusal as refusal:
        if refusal.status == 404:
            raise
        flask.flash(str(refusal), "error")
    return flask.redirect(flask.url_for("panel.webhook", id=id), 303)


def _wrong(problem: dict[str, Any] | None) -> dict[str, str]:
    """What is wrong with each field, by its name in the form."""
    found = (problem or {}).get("errors", ())
    return {one["path"].partition("[")[0].partition(".")[0]: one["message"] for one in found}


def _path(id: str, what: str = "") -> str:
    return f"/webhooks/{quote(id, safe='')}{what}"


def _place(webhook: dict[str, Any]) -> tuple[str, str]:
    """A webhook's host and what follows it, to be shown apart."""
    url = urlsplit(webhook.get("webhook", webhook)["url"])
    return url.netloc, url._replace(scheme="", netloc="").geturl()

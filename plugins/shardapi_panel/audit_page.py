"""The audit: what was asked of the shard and what came of it, filtered."""

import re
from typing import Any
from urllib.parse import urlencode

import flask

from .api import Refusal, api, this_shard
from .blueprint import panel

EACH = 100
FILTERS = ("keyId", "status", "path", "since", "until")
STATUSES = {
    "": "any",
    "2xx": "done (2xx)",
    "4xx": "refused (4xx)",
    "401": "no valid key (401)",
    "403": "not allowed (403)",
    "429": "too many (429)",
    "5xx": "failed (5xx)",
}
LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


@panel.get("/audit", endpoint="audit")
def show() -> Any:
    """The newest entries that the filters leave."""
    wanted = {name: flask.request.args.get(name, "").strip() for name in FILTERS}
    before = flask.request.args.get("before", "")
    asked = {
        name: f"{value}Z" if LOCAL_TIME.fullmatch(value) else value for name, value in wanted.items() if value
    }
    entries: list[dict[str, Any]] = []
    problem = None
    try:
        entries = api().call("GET", "/audit", query={"limit": EACH, "before": before, **asked})["entries"]
    except Refusal as refusal:
        if refusal.status != 400:
            raise
        problem = refusal.problem
    page = flask.render_template(
        "panel/audit.html",
        entries=entries,
        wanted=wanted,
        filtered=any(wanted.values()),
        before=before,
        older=_link(wanted, entries[-1]["id"]) if len(entries) == EACH else "",
        newest=_link(wanted),
        keys=_keys(wanted["keyId"]),
        statuses=STATUSES,
        problem=problem,
    )
    return page, 400 if problem else 200


def _link(wanted: dict[str, str], before: int = 0) -> str:
    given = {name: value for name, value in {**wanted, "before": str(before or "")}.items() if value}
    query = f"?{urlencode(given)}" if given else ""
    return flask.url_for("panel.audit") + query


def _keys(chosen: str) -> dict[str, str]:
    """The names of those who may have asked, by id; who is chosen stays in it."""
    found = {"": "anyone", "panel": "the panel"}
    for key in reversed(this_shard().keys.all()):
        found[key.id] = f"{key.name} (ended)" if key.revoked_at else key.name
    return found if chosen in found else {**found, chosen: chosen}

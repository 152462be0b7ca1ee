"""The archive: searched by words and tags, page by page; entries are changed, restored, deleted."""

from typing import Any

import flask

from .api import Refusal, api
from .blueprint import panel
from .needs import needs

AT_ONCE = 25


@panel.get("/archive", endpoint="archive")
@needs("archive", "status")
def show() -> str:
    """The page; what is looked for is in its address, so that it can be kept and passed on."""
    asked = flask.request.args
    q, cursor = asked.get("q", ""), asked.get("cursor", "")
    tags = list(dict.fromkeys(tag for tag in asked.getlist("tag") if tag.strip()))
    problem: dict[str, Any] = {}
    found: dict[str, Any] = {"entries": [], "total": 0, "totalIsExact": True, "nextCursor": ""}
    try:
        found = api().get("/archive", q=q, tag=tags, cursor=cursor, limit=AT_ONCE)
    except Refusal as refusal:
        if refusal.status != 400:
            raise
        problem = refusal.problem
    return flask.render_template(
        "panel/archive.html",
        found=found,
        q=q,
        tags=tags,
        later=bool(cursor),
        problem=problem,
        active={net["uid"] for net in api().get("/status")["nets"]},
    )

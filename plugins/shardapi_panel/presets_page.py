"""The presets: what each carries, a preview of what it would do, and the board of now as another one."""

from typing import Any

import flask

from .api import api
from .blueprint import panel


@panel.get("/presets", endpoint="presets")
def show() -> str:
    """The page."""
    found = api().get("/presets")
    rows = [_row(one) for one in found["presets"]]
    return flask.render_template("panel/presets.html", presets=rows, revision=found["revision"])


def _row(one: dict[str, Any]) -> dict[str, Any]:
    people = {seat["userId"] for seat in one["assignmentList"]}
    state = {True: "opens it", False: "closes it"}.get(one.get("open"), "leaves it")  # type: ignore[arg-type]
    return {
        "name": one["name"],
        "nets": [net["name"] for net in one["nets"]],
        "people": len(people),
        "rules": len(one.get("rules", ())),
        "features": len(one.get("features", ())),
        "state": state,
    }

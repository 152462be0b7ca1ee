"""The presets: what each carries, a preview of what it would do, and the board of now as another one."""

from typing import Any

import flask

from .api import api
from .blueprint import panel
from .needs import needs


@panel.get("/presets", endpoint="presets")
@needs("presets")
def show() -> str:
    """The page."""
    found = api().get("/presets")
    rows = [_row(one) for one in found["presets"]]
    return flask.render_template("panel/presets.html", presets=rows, revision=found["revision"])


def _row(one: dict[str, Any]) -> dict[str, Any]:
    people = {seat["userId"] for seat in one["assignmentList"]}
    return {
        "name": one["name"],
        "nets": [net["name"] for net in one["nets"]],
        "people": len(people),
        "carries": ", ".join(_carried(one)) or "nothing",
    }


def _carried(one: dict[str, Any]) -> list[str]:
    rules = len(one.get("rules", ()))
    said = {
        "1 rule" if rules == 1 else f"{rules} rules": rules,
        "features": one.get("features"),
        "opens the operation": one.get("open") is True,
        "closes the operation": one.get("open") is False,
    }
    return [words for words, there in said.items() if there]

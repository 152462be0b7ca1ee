"""The rules: which roles are on which nets by themselves."""

from collections import Counter

import flask

from .api import Refusal, api
from .blueprint import panel
from .needs import needs


@panel.get("/rules", endpoint="rules")
@needs("rules", "status")
def show() -> str:
    """The page; the version is read before the rules, so that a save rests on nothing newer than what is shown."""
    status = api().get("/status")
    nets = [net for net in status["nets"] if not net.get("protected")]
    given = {
        "rules": api().get("/rules")["rules"],
        "nets": [{"uid": net["uid"], "slot": net["id"], "name": net["name"]} for net in nets],
        "roles": _roles(),
        "version": str(status["version"]),
    }
    names = {net["uid"]: net["name"] for net in nets}
    return flask.render_template("panel/rules.html", given=given, names=names)


def _roles() -> dict[str, int]:
    """How many of those who are connected hold each role."""
    try:
        operators = api().get("/roster")["operators"]
    except Refusal:
        return {}
    return dict(Counter(role for one in operators for role in one.get("roles", ())).most_common())

"""The features: what is switched on, the Public Net, the org link."""

import flask

from .api import api
from .blueprint import panel
from .needs import needs


@panel.get("/features", endpoint="features")
@needs("features", "status")
def show() -> str:
    """The page; the version is read first, as for the rules."""
    status = api().get("/status")
    nets = [net for net in status["nets"] if not net.get("protected")]
    features = api().get("/features")["features"]
    given = {"features": features, "version": str(status["version"])}
    return flask.render_template("panel/features.html", given=given, features=features, nets=nets)

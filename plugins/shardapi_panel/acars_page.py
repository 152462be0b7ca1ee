"""ACARS: an alert as operators will see it, then sent to all of them."""

import flask

from .api import api, this_shard
from .blueprint import panel
from .needs import needs


@panel.get("/acars", endpoint="acars")
@needs("acars", "status")
def show() -> str:
    """The page."""
    status = api().get("/status")
    seconds = int(this_shard().config.limits.acars.seconds)
    return flask.render_template(
        "panel/acars.html",
        connected=status["connected"],
        on=status["features"]["acarsEnabled"],
        sender=status["guildName"],
        each=seconds,
    )

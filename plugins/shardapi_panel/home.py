"""The panel's address itself: the first page that there is."""

from typing import Any

import flask

from .api import this_shard
from .blueprint import panel
from .navigation import groups


@panel.get("/<path:anything>")
def nothing(anything: str) -> Any:
    """Say that there is no such page."""
    flask.abort(404)


@panel.get("")
def home() -> Any:
    """Go to the first page of the navigation."""
    (_, entries), *_ = groups(this_shard(), "")
    return flask.redirect(entries[0].url)

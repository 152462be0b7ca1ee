"""What a page needs to be of use: without it, it says which plugins to enable."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import flask

from .api import this_shard
from .navigation import runs


def needs(*plugins: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Show a view only while these plugins are enabled."""

    def wrap(view: Callable[[], Any]) -> Callable[[], Any]:
        @wraps(view)
        def shown() -> Any:
            off = [one for one in plugins if not runs(this_shard(), one)]
            if not off:
                return view()
            return flask.Response(flask.render_template("panel/off.html", off=off), 404, mimetype="text/html")

        return shown

    return wrap

"""The settings in force, to be read: they are changed in the file or the environment."""

from itertools import groupby
from typing import Any

import flask
import gevent

from shardapi.origins import Setting, in_force

from .api import this_shard
from .blueprint import panel


@panel.get("/settings", endpoint="settings")
def show() -> Any:
    """The page."""
    found = gevent.get_hub().threadpool.apply(in_force, (this_shard(),))
    return flask.render_template(
        "panel/settings.html",
        tables=[(table, list(settings)) for table, settings in groupby(found.settings, _table)],
        waiting=sum(one.pending is not None for one in found.settings),
        chosen=sum(bool(one.source) for one in found.settings),
        problem=found.problem,
    )


def _table(setting: Setting) -> str:
    return setting.name.rpartition(".")[0]

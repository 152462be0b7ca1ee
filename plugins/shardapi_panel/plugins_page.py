"""The plugins: which run, what each opens, and what those that do not have kept."""

from typing import Any

import flask

from shardapi.inventory import inventory

from .api import this_shard
from .blueprint import panel

MANY = 8  # of a kind, before the rest is folded away


@panel.get("/plugins", endpoint="plugins")
def show() -> Any:
    """The page."""
    shard = this_shard()
    found = inventory(shard)
    counts: dict[str, int] = {}
    for (plugin, _), count in shard.problems.counts.items():
        counts[plugin] = counts.get(plugin, 0) + count
    return flask.render_template(
        "panel/plugins.html",
        on=[one for one in found if one["enabled"]],
        off=[one for one in found if not one["enabled"]],
        counts=counts,
        scopes=shard.plugins.scopes,
        types=shard.events.types,
        chosen=shard.config.plugins.enabled is not None,
        many=MANY,
    )

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
    for one in found:
        if one["name"] == panel.name:
            one["routes"] = _own()
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


def _own() -> list[str]:
    """What this panel opens itself, as routes of other plugins are told."""
    rules = [
        rule
        for rule in flask.current_app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] == panel.name and rule.endpoint != "panel.nothing"
    ]
    found = {(rule.rule, method) for rule in rules for method in rule.methods or ()}
    return [f"{method} {rule}" for rule, method in sorted(found) if method not in ("HEAD", "OPTIONS")]

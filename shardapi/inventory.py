"""Which plugins there are, what each opens, and what those that do not run have kept."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .auth import PUBLIC
from .installed import Candidate, candidates

if TYPE_CHECKING:
    from .plugins import Opened
    from .shard import Shard

LABELS = ("routes", "scopes", "pages", "events", "commands", "tables", "subscribers", "tasks", "guards")


def inventory(shard: "Shard", kept: Mapping[str, Sequence[str]] | None = None) -> list[dict[str, Any]]:
    """What is told of every plugin, by name; `kept` are tables by plugin, of the store unless they are given."""
    if kept is None:
        kept = shard.store.kept()
    wrong = _wrong(shard)
    found = candidates(shard.config)
    return [
        _facts(name, found.get(name), shard, wrong.get(name, ""), kept.get(name, ()))
        for name in sorted({*found, *wrong, *kept})
    ]


def running(shard: "Shard", name: str) -> dict[str, Any]:
    """What is told of a plugin that runs."""
    plugin = next(one for one in shard.plugins.loaded if one.name == name)
    return {
        "name": name,
        "enabled": True,
        "bundled": plugin.bundled,
        "distribution": plugin.distribution,
        "version": plugin.version,
        **_opened(name, shard.plugins.opened[name]),
        "kept": [],
        **({"problem": problem} if (problem := _wrong(shard).get(name)) else {}),
    }


def _wrong(shard: "Shard") -> dict[str, str]:
    """What was wrong with plugins at the start."""
    return {where.plugin: where.what for where, _ in shard.problems.now() if where.place == "start"}


def _facts(
    name: str, candidate: Candidate | None, shard: "Shard", problem: str, kept: Sequence[str]
) -> dict[str, Any]:
    if name in shard.plugins.opened:
        return running(shard, name)
    return {
        "name": name,
        "enabled": False,
        "bundled": candidate is not None and candidate.bundled,
        "distribution": candidate.distribution if candidate else "",
        "version": candidate.version if candidate else "",
        **{label: [] for label in LABELS},
        "kept": list(kept),
        **({"problem": problem} if problem else {}),
    }


def _opened(name: str, opened: "Opened") -> dict[str, list[str]]:
    return {
        **{label: list(getattr(opened, label)) for label in LABELS},
        "routes": [f"{route.method} {route.rule}" for route in opened.routes],
        "scopes": sorted({route.scope for route in opened.routes} - {PUBLIC}),
        "pages": [f"/panel/plugins/{name}/{page.name}" for page in opened.pages],
        "commands": [f"shardapi {command}" for command in opened.commands],
    }

"""The core's own two routes: whether the process lives, and whether it can read its store."""

import msgspec

from .auth import PUBLIC
from .clock import iso
from .errors import STORE_UNAVAILABLE
from .routes import Routes
from .shard import VERSION, Shard
from .store import one

root = Routes("root", "shardapi", url_prefix="")


class Health(msgspec.Struct, rename="camel", kw_only=True):
    """That the shard answers, and which version it is."""

    ok: bool = True
    app: str = "shardapi"
    version: str = VERSION


class Trouble(msgspec.Struct, rename="camel", kw_only=True):
    """Something that is wrong with a plugin; the log tells more."""

    plugin: str
    where: str
    what: str
    since: str
    last: str
    count: int


class Readiness(Health, kw_only=True):
    """That the shard can serve, and what is wrong with its plugins."""

    problems: list[Trouble] = []


@root.get("/health", scope=PUBLIC)
def health() -> Health:
    """Whether the process answers."""
    return Health()


@root.get("/ready", scope=PUBLIC, errors=[STORE_UNAVAILABLE])
def ready(shard: Shard) -> Readiness:
    """Whether the store answers; problems of plugins are told, and are no reason not to be ready."""
    try:
        shard.store.read(lambda: one("SELECT id FROM guild LIMIT 1"))
    except Exception as error:
        retry = (("Retry-After", "5"),)
        raise STORE_UNAVAILABLE(f"The store does not answer: {error}.", headers=retry) from None
    return Readiness(
        problems=[
            Trouble(
                plugin=where.plugin,
                where=where.place,
                what=where.what,
                since=iso(one.since),
                last=iso(one.last),
                count=one.count,
            )
            for where, one in shard.problems.now()
        ]
    )

"""What runs here: shardapi, Python, SQLite."""

import platform
from collections.abc import Iterator

from ..shard import VERSION
from ..store import SAFE_WITH_TWO_WRITERS, sqlite_version
from .case import Case
from .finding import Finding, ok, warn


def look(case: Case) -> Iterator[Finding]:
    """Below a version of SQLite's our processes take turns, and others' would not."""
    version, safe = (".".join(map(str, one)) for one in (sqlite_version(), SAFE_WITH_TWO_WRITERS))
    yield ok("version", f"shardapi {VERSION}, Python {platform.python_version()}, SQLite {version}")
    if sqlite_version() < SAFE_WITH_TWO_WRITERS:
        what = f"SQLite {version} can damage a store that two processes write; ours take turns, by a lock"
        do = f"Let no other program write the store. {safe} and later are safe: pip install pysqlite3, on x86_64."
        yield warn("version.sqlite", what, do)

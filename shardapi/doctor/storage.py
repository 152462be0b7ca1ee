"""Whether the store is whole, and whether this version can use it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shardapi

from .case import Case, library
from .finding import Finding, Unable, error, info, ok

MOST_SHOWN = 5
RESTORE = "Stop the shard, keep a copy of the data folder, and restore the last backup."


def look(case: Case) -> Iterator[Finding]:
    """Its pages and indexes by SQLite's own check; with `full` every row against every index, and references."""
    case.need_folder()
    if not case.path.exists():
        yield info("store", f"there is no store in {case.folder} yet; the first start makes it")
        return
    damage = _damage(case)
    if damage:
        more = f" (and {len(damage) - MOST_SHOWN} more)" if len(damage) > MOST_SHOWN else ""
        yield error(
            "store.integrity", f"{case.path} is damaged: {'; '.join(damage[:MOST_SHOWN])}{more}", RESTORE
        )
        return
    how = "every row and index" if case.full else "quick check; --full looks at every index too"
    yield ok("store.integrity", f"{case.path} is whole ({how})")
    yield from _migrations(case)


def _damage(case: Case) -> list[str]:
    with case.reading() as db:
        try:
            found = _said(db, "integrity_check(100)" if case.full else "quick_check(100)")
            if not found and case.full:
                broken = db.execute("PRAGMA foreign_key_check").fetchall()
                found = [
                    f"a row of {table} names one of {parent} that is not there"
                    for table, _, parent, _ in broken
                ]
        except library.OperationalError as problem:
            raise Unable(f"cannot read {case.path}: {problem}") from None
        except library.Error as problem:
            return [str(problem)]
    return found


def _said(db: Any, check: str) -> list[str]:
    lines = [line for (text,) in db.execute(f"PRAGMA {check}") for line in str(text).splitlines()]
    return [] if lines == ["ok"] else lines


def _migrations(case: Case) -> Iterator[Finding]:
    folder = Path(shardapi.__file__).with_name("migrations")
    ours = {path.stem for path in folder.glob("[0-9]*.py")}
    had = {name for (name,) in case.rows("SELECT name FROM migration_core")}
    if had - ours:
        what = f"the store was written by a newer shardapi (it has had {max(had - ours)})"
        yield error("store.version", what, "Upgrade shardapi, or restore the backup from before the upgrade.")
    elif ours - had:
        what = f"the store is of an older shardapi; the next start takes it on to {max(ours)}"
        yield info("store.version", what, "Make a backup before: there is no way back.")

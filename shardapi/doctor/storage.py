"""Whether the store is whole, and whether this version can use it."""

from collections.abc import Iterator
from typing import Any

from ..config import ConfigError
from ..folder import SECRET
from ..installed import chosen
from ..remains import left_behind
from ..upgrades import BEFORE, CORE, HISTORY, known_steps
from .backups import way_back
from .case import Case, library
from .finding import Finding, Unable, error, info, ok

MOST_SHOWN = 5


def look(case: Case) -> Iterator[Finding]:
    """Its pages and indexes by SQLite's own check; with `full` every row against every index, and references."""
    case.need_folder()
    left = left_behind(case.folder)
    if not case.path.exists() and not left:
        what = f"there is no store in {case.folder} yet; the first start makes it"
        yield info("store", what, "Start the shard, or restore a backup.")
        return
    if not case.path.exists() or not case.path.stat().st_size:
        yield _lost(case, left)
        return
    damage = _damage(case)
    if damage:
        more = f" (and {len(damage) - MOST_SHOWN} more)" if len(damage) > MOST_SHOWN else ""
        yield error(
            "store.integrity",
            f"{case.path} is damaged: {'; '.join(damage[:MOST_SHOWN])}{more}",
            way_back(case),
        )
        return
    if not case.rows(f'SELECT 1 FROM "{HISTORY}{CORE}" LIMIT 1'):
        yield _lost(case, left)
        return
    how = "every row and index" if case.full else "quick check; --full looks at every index too"
    yield ok("store.integrity", f"{case.path} is whole ({how})")
    yield from _migrations(case)


def _lost(case: Case, left: list[str]) -> Finding:
    """A store without anything in it, or what is left where there is none."""
    there = case.path.exists()
    what = f"{case.path} is {'empty' if there else 'gone'}: the next start begins a new shard"
    more = f", though {', '.join(left)} {'is' if len(left) == 1 else 'are'} left of one" if left else ""
    if SECRET in left:
        new = f"remove {case.folder / SECRET}{' and the store' if there else ''} instead"
    else:
        new = "take another folder" if left else "start it"
    return error("store", what + more, way_back(case, f"if a new shard is meant, {new}"))


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
    for name, ours in sorted(_known(case).items()):
        had = {step for (step,) in case.rows(f'SELECT name FROM "{HISTORY}{name}"')}
        whose = "shardapi" if name == CORE else name
        if had - ours:
            what = f"the store was written by a newer {whose} (it has had {max(had - ours)}): the shard does not start"
            do = f"Upgrade {whose}, or restore the backup from before the upgrade."
            yield error("store.version", what, do)
        elif had and ours - had:
            what = f"the store is of an older {whose}; the next start takes it on to {max(ours)}"
            do = f"That start makes a backup first, {BEFORE}….zip in {case.folder}: there is no other way back."
            yield info("store.version", what, do)


def _known(case: Case) -> dict[str, set[str]]:
    """The migrations of the core, and of the plugins that the settings enable."""
    try:
        wanted = {CORE, *(one.name for one in chosen(case.settings))}
        return {name: steps for name, steps in known_steps(case.settings).items() if name in wanted}
    except ConfigError:  # which the look at the settings tells
        return {}

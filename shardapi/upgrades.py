"""Upgrades: migrations forward only, all of the core's or a plugin's in one transaction: the store is old or new."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .folder import STORE
from .store import TABLES_OF, StoreTooNew, alone, database, many, one, recorded_tables, rows, tables

if TYPE_CHECKING:
    from .config import Config

CORE = "core"
BEFORE, KEPT = "before-upgrade-", 3
HISTORY = "migration_"
TRANSACTION, ALLOW, DENY = (
    22,
    0,
    1,
)  # of SQLite's authorizer: BEGIN, COMMIT and ROLLBACK, which no savepoint is


def steps_in(directory: Path) -> set[str]:
    """The names of the migrations in a folder."""
    return {path.stem for path in directory.glob("[0-9]*.py")}


def had(name: str) -> set[str]:
    """The migrations of the core, or of a plugin, that the store has had."""
    table = HISTORY + name
    if not one("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)):
        return set()
    return {row[0] for row in rows(f'SELECT name FROM "{table}"')}


def all_had() -> dict[str, list[str]]:
    """The migrations that the store has had, by whose they are."""
    return {table.removeprefix(HISTORY): sorted(had(table.removeprefix(HISTORY))) for table in histories()}


def histories() -> list[str]:
    """The tables in which migrations are noted."""
    return sorted(name for name in tables() if name.startswith(HISTORY))


def pending(name: str, steps: Iterable[str]) -> set[str]:
    """Those of these migrations that the store has not had. Raises StoreTooNew if it has had others."""
    before = had(name)
    refuse_newer({name: before}, {name: set(steps)})
    return set(steps) - before


def refuse_newer(had: Mapping[str, Iterable[str]], known: Mapping[str, Iterable[str]]) -> None:
    """Raises StoreTooNew if any that is known has had migrations which are not."""
    from .installed import distribution_of

    for name, steps in known.items():
        if unknown := set(had.get(name, ())) - set(steps):
            newest, of = max(unknown), distribution_of(name)
            raise StoreTooNew(
                f"the store is newer than this version of {name} (it has had {newest}); upgrade {of}"
            )


def known_steps(config: "Config") -> dict[str, set[str]]:
    """The migrations of the core and of every plugin that is installed, whether it runs or not."""
    from .installed import candidates

    known = {CORE: steps_in(Path(__file__).with_name("migrations"))}
    for name, plugin in candidates(config).items():
        spec = None
        if plugin.entry is not None:
            try:
                spec = find_spec(plugin.entry.module)
            except (ImportError, ValueError):
                continue  # it says so itself where it is to run
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            if (folder := Path(place) / "migrations").is_dir():
                known[name] = steps_in(folder)
    return known


def due(config: "Config") -> bool:
    """Whether the store has not had just the migrations of what runs with these settings."""
    from .config import ConfigError
    from .installed import chosen

    with alone(config.folder / STORE):
        before = all_had()
    try:
        wanted = {CORE, *(one.name for one in chosen(config))}
    except ConfigError:  # about one of them, beside which the others run
        wanted = {CORE, *before}
    known = known_steps(config)
    return any(set(before.get(name, ())) != known.get(name, set()) for name in wanted)


def run(name: str, directory: Path) -> list[str]:
    """Run the migrations that the store has not had, all of them in one transaction."""
    from playhouse.migrations import Runner  # 1.3 MiB that a store in its final shape does without

    database.execute_sql("PRAGMA foreign_keys = 0")  # tables are made anew; inside, it cannot be changed
    try:
        with database.atomic(), _whole():
            before = tables()
            applied: list[str] = Runner(database.obj, str(directory), table_name=HISTORY + name).up()
            _note_tables(name, before)
    finally:
        database.execute_sql("PRAGMA foreign_keys = 1")
    return applied


@contextmanager
def _whole() -> Iterator[None]:
    """Let nothing end the transaction that runs: half of it would be kept, and be in the way of the next try."""
    connection = database.connection()
    connection.set_authorizer(lambda action, *_: DENY if action == TRANSACTION else ALLOW)
    try:
        yield
    finally:
        connection.set_authorizer(None)


def _note_tables(name: str, before: set[str]) -> None:
    """Keep in mind which tables are a plugin's, for when it is gone."""
    after = tables()
    if name == CORE or after == before or "meta" not in after:
        return
    own = {*recorded_tables().get(name, ()), *(after - before)} & after - {HISTORY + name}
    many("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(TABLES_OF + name, " ".join(sorted(own)))])


def keep_before_upgrade(config: "Config") -> Path:
    """Make a backup in the data folder, of which the last few are kept. Raises BackupError.

    A start that fails is tried again, and has nothing new to keep: then the last backup is the one before the upgrade.
    """
    from . import backup, retention
    from .snapshot import BackupError

    folder = config.folder
    try:
        made = backup.make(
            config, retention.free_name(folder, BEFORE), False, os.environ.get("SHARDAPI_CONFIG", "")
        )
    except BackupError as error:
        raise BackupError(
            f"the store has to be upgraded, and the backup that comes first, for which {folder} needs"
            f" {2 * (folder / STORE).stat().st_size // 1_000_000 + 1} MB, cannot be made: {error}"
        ) from error
    *_, last = [None, *(path for path in retention.dated(folder, BEFORE) if path != made.path)]
    if last is not None and _same_store(last, made.path):
        made.path.unlink()
        return last
    retention.forget(folder, BEFORE, KEPT, made.path)
    return made.path


def _same_store(one: Path, other: Path) -> bool:
    from . import backup
    from .snapshot import BackupError

    try:
        return backup.check(one).files[0] == backup.check(other).files[0]
    except BackupError:
        return False

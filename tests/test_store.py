"""The store: one file, one thread that writes, a few that read, and what its failures look like."""

import stat
import threading
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import gevent
import peewee
import pytest

from shardapi.errors import ApiError
from shardapi.models import ApiKey
from shardapi.store import Store, StoreTooNew, create_private, database, many, one, rows, translated

TABLE = "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one table."""
    made = Store(tmp_path)
    made.execute(lambda: one(TABLE))
    yield made
    made.close()


def names(store: Store) -> list[str]:
    """What is committed."""
    return [name for (name,) in store.read(lambda: rows("SELECT name FROM thing ORDER BY id"))]


def add(*names: str) -> None:
    """Insert rows on the running connection."""
    many("INSERT INTO thing (name) VALUES (?)", [(name,) for name in names])


def test_what_is_written_is_durable_before_it_is_acknowledged(store: Store) -> None:
    assert store.execute(lambda: one("PRAGMA journal_mode"))[0] == "wal"
    assert store.execute(lambda: one("PRAGMA synchronous"))[0] == 2  # FULL
    assert store.execute(lambda: one("PRAGMA foreign_keys"))[0] == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), gevent.Timeout(1)])
@pytest.mark.parametrize("run", [Store.read, Store.execute])
def test_nothing_that_runs_in_it_ends_the_process(
    store: Store, run: Callable[..., Any], error: BaseException
) -> None:
    def hostile() -> None:
        raise error

    with pytest.raises(RuntimeError) as raised:
        run(store, hostile)
    assert raised.value.__cause__ is error
    assert store.read(lambda: one("SELECT 1")) == store.execute(lambda: one("SELECT 1")) == (1,)


def test_a_read_waits_for_no_write(store: Store) -> None:
    release = threading.Event()

    def slow() -> None:
        with database.atomic():
            add("a")
            release.wait(10)

    writing = gevent.spawn(store.execute, slow)
    gevent.sleep(0.02)
    assert names(store) == []
    release.set()
    writing.get(timeout=5)
    assert names(store) == ["a"]


def test_the_loop_goes_on_while_the_store_works(store: Store) -> None:
    release = threading.Event()
    waiting = [gevent.spawn(store.read, lambda: release.wait(10)) for _ in range(3)]
    gevent.spawn(release.set)
    assert [one.get(timeout=5) for one in waiting] == [True] * 3


def test_writes_come_one_after_another_in_their_order(store: Store) -> None:
    writing = [gevent.spawn(store.execute, lambda number=number: add(str(number))) for number in range(20)]
    gevent.joinall(writing, raise_error=True)
    assert names(store) == [str(number) for number in range(20)]


def test_two_stores_on_one_folder_take_turns(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path)
    writing = [
        gevent.spawn(one.execute, lambda who=who, number=number: add(f"{who} {number}"))
        for number in range(15)
        for who, one in (("this", store), ("other", other))
    ]
    gevent.joinall(writing, raise_error=True)
    other.close()
    assert len(names(store)) == 30


def test_a_reading_connection_does_not_write(store: Store) -> None:
    with pytest.raises(ApiError) as caught:
        store.read(lambda: add("a"))
    assert caught.value.kind.code == "store_unavailable" and names(store) == []


def test_a_model_outside_the_store_is_an_error(store: Store) -> None:
    with pytest.raises(Exception, match="(?i)initiali[sz]ed|uninitialized|Proxy"):
        ApiKey.select().first()


def test_an_error_of_a_function_comes_to_its_caller(store: Store) -> None:
    def fails() -> None:
        raise LookupError("mine")

    for run in (store.read, store.execute):
        with pytest.raises(LookupError, match="mine"):
            run(fails)


def test_a_refused_row_is_no_failure_of_the_store(store: Store) -> None:
    store.execute(lambda: add("a"))
    with pytest.raises(Exception, match="UNIQUE") as caught:
        store.execute(lambda: add("a"))
    assert not isinstance(caught.value, ApiError)


# -- failures


class Failure(peewee.OperationalError):
    """A failure as SQLite's driver raises it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.sqlite_errorcode = code


@pytest.mark.parametrize("code", [5, 6, 8, 13, 14, 8 | 1 << 8, 5 | 2 << 8, 14 | 2 << 8])
def test_a_store_that_cannot_write_is_unavailable(code: int) -> None:
    error = translated(Failure(code))
    assert isinstance(error, ApiError) and error.kind.code == "store_unavailable"
    assert "nothing was changed" in error.detail and dict(error.headers)["Retry-After"]


@pytest.mark.parametrize("code", [10, 10 | 3 << 8, 10 | 4 << 8])
def test_a_store_with_an_io_error_is_uncertain(code: int) -> None:
    error = translated(Failure(code))
    assert isinstance(error, ApiError) and error.kind.code == "store_uncertain"
    assert "Idempotency-Key" in error.hint and dict(error.headers)["Retry-After"]


@pytest.mark.parametrize("error", [Failure(1), Failure(11), Failure(19), LookupError(), OSError(28, "full")])
def test_every_other_error_stays_what_it_is(error: Exception) -> None:
    assert translated(error) is error


def test_a_full_disk_is_told_although_the_rollback_fails_too(store: Store) -> None:
    store.execute(lambda: one("PRAGMA max_page_count = 1"))

    def fill() -> None:
        with database.atomic():
            add(*[f"{number} {'x' * 500}" for number in range(100)])

    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            store.execute(fill)
        assert caught.value.kind.code == "store_unavailable"
    store.execute(lambda: one("PRAGMA max_page_count = 10000"))
    store.execute(fill)
    assert len(names(store)) == 100


# -- migrations


def step(folder: Path, name: str, sql: str) -> None:
    """A migration of one statement."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(f"def up(migrator, db):\n    db.execute_sql({sql!r})\n")


def test_a_name_that_sql_would_read_otherwise_is_a_name(store: Store, tmp_path: Path) -> None:
    step(tmp_path / "steps", "0001_first", "INSERT INTO thing (name) VALUES ('one')")
    assert store.migrate("button-box", tmp_path / "steps") == ["0001_first"]
    assert store.migrate("button-box", tmp_path / "steps") == []


def test_each_step_runs_once_in_its_order(store: Store, tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    step(steps, "0001_first", "INSERT INTO thing (name) VALUES ('one')")
    assert store.migrate("mine", steps) == ["0001_first"]
    step(steps, "0002_second", "INSERT INTO thing (name) VALUES ('two')")
    assert store.migrate("mine", steps) == ["0002_second"] and store.migrate("mine", steps) == []
    assert names(store) == ["one", "two"]


def test_each_plugin_has_steps_of_its_own(store: Store, tmp_path: Path) -> None:
    for plugin in ("mine", "yours"):
        step(tmp_path / plugin, "0001_first", f"INSERT INTO thing (name) VALUES ('{plugin}')")
        store.migrate(plugin, tmp_path / plugin)
    assert names(store) == ["mine", "yours"]


def test_a_store_newer_than_the_program_is_refused_and_left_alone(store: Store, tmp_path: Path) -> None:
    steps, older = tmp_path / "steps", tmp_path / "older"
    step(steps, "0001_first", "INSERT INTO thing (name) VALUES ('one')")
    step(older, "0001_first", "INSERT INTO thing (name) VALUES ('one')")
    step(steps, "0002_second", "INSERT INTO thing (name) VALUES ('two')")
    store.migrate("mine", steps)
    with pytest.raises(StoreTooNew, match=r"newer .* mine .*0002_second.*upgrade"):
        store.migrate("mine", older)
    assert names(store) == ["one", "two"]


def test_every_table_names_the_guild_of_its_rows(store: Store) -> None:
    with as_file(files("shardapi") / "migrations") as steps:
        store.migrate("core", steps)

    def columns() -> dict[str, set[str]]:
        tables = [name for (name,) in rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: {row[1] for row in rows(f"PRAGMA table_info({name})")} for name in tables}

    shared = {"thing", "meta", "guild", "last_event", "migration_core", "sqlite_sequence"}
    found: dict[str, Any] = store.read(columns)
    assert [name for name, has in found.items() if "guild" not in has and name not in shared] == []


# -- files


def test_a_private_file_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert create_private(path, b"first") and not create_private(path, b"second")
    assert path.read_bytes() == b"first" and stat.S_IMODE(path.stat().st_mode) == 0o600

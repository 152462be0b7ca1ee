"""The store: one SQLite file; one thread writes, a few read, and no greenlet ever waits inside a transaction."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import peewee
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from .errors import STORE_UNAVAILABLE, STORE_UNCERTAIN, ApiError
from .folder import STORE, holds, open_lock
from .installed import quoted

T = TypeVar("T")

# Below this version two writing connections can corrupt a WAL database that is being reset.
SAFE_WITH_TWO_WRITERS = (3, 51, 3)
CONNECTIONS_THAT_READ = 4
PRAGMAS = {"journal_mode": "wal", "synchronous": "full", "busy_timeout": 5000, "foreign_keys": 1}
READ_PRAGMAS = {"busy_timeout": 5000, "query_only": 1}

_sqlite: Any = peewee.sqlite3  # type: ignore[attr-defined]  # the library that peewee has found
FAILURES = (peewee.DatabaseError, _sqlite.Error)  # of a query of peewee's, and of a bare one
BUSY, LOCKED, READ_ONLY, IO_ERROR, FULL, CANNOT_OPEN = 5, 6, 8, 10, 13, 14  # SQLite's result codes
CANNOT_WRITE = {
    BUSY: "it is busy",
    LOCKED: "it is locked",
    READ_ONLY: "it is read-only",
    FULL: "the disk is full",
    CANNOT_OPEN: "it cannot be opened",
}
TABLES_OF = "tables of "
CANNOT_MAKE_FILES = {READ_ONLY, IO_ERROR, FULL, CANNOT_OPEN}

_thread_local = get_original("threading", "local")()


class StoreTooNew(Exception):
    """Raised when the store was written by a newer version of a plugin or of the core."""


class _Current(peewee.DatabaseProxy):
    """The connection of the running thread: set while a function runs in `Store.read` or `Writer.write`."""

    @property
    def obj(self) -> peewee.SqliteDatabase | None:
        return getattr(_thread_local, "db", None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "obj":  # which follows the thread, and is not set
            object.__setattr__(self, name, value)


database = _Current()


class Model(peewee.Model):
    """A table of the store; its queries run inside `Store.read` or `Writer.write` and nowhere else."""

    class Meta:
        database = database
        legacy_table_names = False


class Store:
    """The open store: `read` and `execute` run a function on a connection of its own, off the loop."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / STORE
        self._writer = ThreadPool(1)
        self._readers = ThreadPool(CONNECTIONS_THAT_READ)
        self._lock_file = open_lock(folder / "write.lock") if _needs_lock() else None
        self._connections: list[peewee.SqliteDatabase] = []
        self.before_upgrade: Callable[[], object] | None = (
            None  # what to do first, once, before tables change
        )
        try:
            self.execute(lambda: one("SELECT 1"))
        except peewee.DatabaseError as error:
            raise peewee.DatabaseError(f"{self.path}: {error}") from error

    def read(self, fn: Callable[[], T]) -> T:
        """Run fn with a reading connection, in a thread; other greenlets go on meanwhile."""
        answer: T = _unpack(self._readers.apply(self._call, (fn, True)))
        return answer

    def execute(self, fn: Callable[[], T]) -> T:
        """Run fn on the writing connection, in its thread; what must be one transaction goes to the writer."""
        answer: T = _unpack(self._writer.apply(self._call, (fn, False)))
        return answer

    def _call(self, fn: Callable[[], T], reading: bool) -> "T | _Raised":
        try:
            with self._connection(reading):
                return fn()
        except Exception as error:  # returned, because gevent prints what a pool's thread raises
            return _Raised(translated(error))
        except BaseException as error:  # an attempt to end the process, which nothing that runs here may
            return _Raised(_contained(error))

    @contextmanager
    def _connection(self, reading: bool) -> Iterator[None]:
        mine = _thread_local.__dict__.setdefault("connections", {})
        db = mine.get(self)
        if db is None:
            db, keep = self._open(reading)
            if keep:
                mine[self] = db
                self._connections.append(db)
        _thread_local.db = db
        try:
            with self._write_lock(reading):
                yield
        finally:
            _thread_local.db = None
            if self not in mine:
                db.close()

    def _open(self, reading: bool) -> tuple[peewee.SqliteDatabase, bool]:
        """A connection, and whether to keep it: one that can only read for now shall not outlive that."""
        keep = os.access(self.path, os.W_OK) or not self.path.exists()
        db = _database(str(self.path), READ_PRAGMAS if reading else PRAGMAS)
        try:
            db.execute_sql("SELECT 1 FROM sqlite_master")  # type: ignore[no-untyped-call]
        except FAILURES as error:
            db.close()
            wal = self.path.with_name(f"{STORE}-wal")
            if not results(error) & CANNOT_MAKE_FILES or (wal.exists() and wal.stat().st_size):
                raise
            # SQLite cannot make the files of its WAL, nor can anybody else: nothing changes under us.
            return _database(f"{self.path.as_uri()}?immutable=1", READ_PRAGMAS, uri=True), False
        return db, keep

    @contextmanager
    def _write_lock(self, reading: bool) -> Iterator[None]:
        if reading or not self._lock_file:
            yield
            return
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def kept(self) -> dict[str, list[str]]:
        """The tables of each plugin that has had any, itself here now or not."""
        return self.read(recorded_tables)

    def migrate(self, name: str, directory: Path) -> list[str]:
        """Run the migrations of `directory` that this store has not had; `name` is the plugin's, or "core"."""
        from . import upgrades

        steps = upgrades.steps_in(directory)
        if not self.execute(lambda: upgrades.pending(name, steps)):
            return []
        if name == "core" and not self.execute(lambda: upgrades.had(name)):
            self.before_upgrade = None  # it is new, or becomes so now
        if self.before_upgrade is not None:
            self.execute(self.before_upgrade)
            self.before_upgrade = None
        return self.execute(lambda: upgrades.run(name, directory))

    def tables_of(self, name: str) -> list[str]:
        """The tables that a plugin's migrations have made."""
        return self.read(lambda: recorded_tables().get(name, []))

    def close(self) -> None:
        """End the threads and close the connections; what was acknowledged is on disk already."""
        self._readers.kill()
        self._writer.kill()
        with self._write_lock(reading=False):  # the last one to close empties the WAL
            for db in self._connections:
                db.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


class _Raised:
    def __init__(self, error: Exception) -> None:
        self.error = error


def _unpack(answer: Any) -> Any:
    if isinstance(answer, _Raised):
        raise answer.error
    return answer


def _contained(error: BaseException) -> Exception:
    contained = RuntimeError(f"raised in the store: {quoted(error)}")
    contained.__cause__ = error
    return contained


def translated(error: Exception) -> Exception:
    """The error as a caller may see it: an SQLite failure to write becomes 503, everything else stays."""
    found = results(error)
    if IO_ERROR in found:
        return STORE_UNCERTAIN(
            "The store reported an I/O error; whether this write is kept is not known.",
            hint="Retry with the same Idempotency-Key.",
            headers=(("Retry-After", "2"),),
        )
    if found & CANNOT_WRITE.keys():
        return unavailable(CANNOT_WRITE[min(found & CANNOT_WRITE.keys())])
    return error


def results(error: BaseException | None) -> set[int]:
    """SQLite's result codes in an error and those it hides: after a full disk it has rolled back by itself, and
    peewee's attempt fails."""
    found = set()
    while isinstance(error, FAILURES):
        found.add(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        error = error.__context__
    return found


def _database(name: str, pragmas: dict[str, Any], **options: Any) -> peewee.SqliteDatabase:
    return peewee.SqliteDatabase(
        name,
        pragmas=pragmas,
        lock_type="IMMEDIATE",
        thread_safe=False,
        check_same_thread=False,
        **options,
    )


def unavailable(why: str) -> ApiError:
    """503: nothing was changed, and the caller may try again."""
    return STORE_UNAVAILABLE(
        f"The store cannot write now ({why}); nothing was changed.", headers=(("Retry-After", "5"),)
    )


def sqlite_version() -> tuple[int, ...]:
    """The version of the SQLite library that peewee uses."""
    return tuple(peewee.SqliteDatabase.server_version)


def _needs_lock() -> bool:
    return sqlite_version() < SAFE_WITH_TWO_WRITERS


def tables() -> set[str]:
    """The names of all tables, less those that a virtual one is made of."""
    found = rows("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')")
    return {name for (name,) in found}


def recorded_tables() -> dict[str, list[str]]:
    """The tables of each plugin that has had any, itself here now or not."""
    if "meta" not in tables():
        return {}
    found = rows("SELECT name, value FROM meta WHERE name LIKE ?", (TABLES_OF + "%",))
    return {name.removeprefix(TABLES_OF): value.split() for name, value in sorted(found) if value}


def kept_tables(folder: Path) -> dict[str, list[str]]:
    """The tables of plugins in the store of a folder, by plugin, without opening it for more than this."""
    if not holds(folder):
        return {}
    with alone(folder / STORE):
        return recorded_tables()


@contextmanager
def alone(path: Path, mode: str = "ro") -> Iterator[Any]:
    """A store's file without its folder: `one`, `rows` and `many` are about it while the block runs.

    The mode is that of a URI of SQLite's; what is read only never touches the WAL of those who write.
    """
    db = _database(f"{path.absolute().as_uri()}?mode={mode}", READ_PRAGMAS if mode == "ro" else {}, uri=True)
    before, _thread_local.db = getattr(_thread_local, "db", None), db
    try:
        yield db
    finally:
        _thread_local.db = before
        db.close()


def many(sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """executemany on the running thread's connection, inside its transaction."""
    if found := list(rows):
        _running().executemany(sql, found)


def one(sql: str, parameters: tuple[Any, ...] = ()) -> Any:
    """The first row of a query on the running thread's connection, or None."""
    return _running().execute(sql, parameters).fetchone()


def rows(sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
    """All rows of a query on the running thread's connection."""
    return _running().execute(sql, parameters).fetchall()  # type: ignore[no-any-return]


def _running() -> Any:
    db = getattr(_thread_local, "db", None)
    return (database if db is None else db).connection()  # the first says what is wrong


def create_private(path: Path, content: bytes) -> bool:
    """Create a file that only its owner reads, whole or not at all, once; False if it is there already."""
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        if os.geteuid() == 0:  # whose command made it before the server did
            folder = path.parent.stat()
            os.chown(draft, folder.st_uid, folder.st_gid)
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True

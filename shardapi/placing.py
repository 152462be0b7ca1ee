"""Putting another store in the place of a data folder's: nobody serves it, nothing is lost, all of it or nothing."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import folder
from .backup import drafting, sync
from .config import Config
from .folder import RESTORING, SECRET, STORE
from .process import Process
from .remains import kept_aside
from .retention import free_name
from .snapshot import BackupError
from .store import FAILURES, alone, many, one, results

BUSY = {5, 6}  # SQLite's result codes: somebody else has it open
DRAFT = ".shardapi-restore-"
OF_A_STORE = ("", "-wal", "-shm", "-journal")


class Place:
    """A data folder held against servers and other commands; `put` makes a draft its content."""

    def __init__(self, path: Path, draft: Path) -> None:
        self.path, self.draft = path, draft
        self.aside: Path | None = None

    @property
    def store(self) -> Path:
        """The store that is there now, if there is one."""
        return self.path / STORE

    @property
    def replaced(self) -> Path:
        """The store that another takes the place of; one that was interrupted may have set it aside already."""
        kept = kept_aside(self.path)
        return kept / STORE if kept is not None and (kept / STORE).exists() else self.store

    def secret_differs(self, settings: Config) -> bool:
        """Whether the settings name a secret that opens nothing of what the draft's has closed."""
        secret = self.draft / SECRET
        then = secret.read_text("ascii").split() if secret.exists() else []
        return bool(settings.signing_secret.strip() and not set(then) & set(settings.signing_secret.split()))

    def put(self) -> None:
        """Make what is in the draft the folder's content; what was there is kept in `aside`.

        What one that was interrupted has set aside comes back first, and goes into the same folder then.
        """
        kept = kept_aside(self.path)
        if kept is not None and kept.is_dir():
            self._undo(kept)
        names = sorted(path.name for path in self.draft.iterdir())
        before = [STORE + end for end in OF_A_STORE] + [name for name in names if name != STORE]
        before = [name for name in before if (self.path / name).exists()]
        self._let_go()
        if before:
            self.aside = kept or free_name(self.path, "replaced-", "")
        self._mark()
        for name in before:
            with suppress(FileNotFoundError):  # a WAL that was emptied
                os.rename(self.path / name, self.aside / name)  # type: ignore[operator]
        if self.aside is not None:
            sync(self.aside)
        for name in names:
            os.rename(self.draft / name, self.path / name)
        self._belong(names)
        sync(self.path)
        (self.path / RESTORING).unlink()
        sync(self.path)

    def _undo(self, kept: Path) -> None:
        """Put what is the owner's in the place of what has its name."""
        for name in os.listdir(kept):
            there = self.path / name
            if there.is_dir() and not there.is_symlink():
                shutil.rmtree(there)
            os.rename(kept / name, there)
        sync(self.path)

    def _mark(self) -> None:
        """Leave word that this has begun, and where what was there is kept: all of that or nothing."""
        mark = self.draft / RESTORING
        name = self.aside.name if self.aside is not None else ""
        if self.aside is not None:
            self.aside.mkdir(mode=0o700, exist_ok=True)
        try:
            with mark.open("w") as file:
                file.write(f"A restore that has not come to its end; run it again.\n{name}\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(mark, self.path / RESTORING)
        except OSError:
            if self.aside is not None:
                with suppress(OSError):
                    self.aside.rmdir()
            raise
        sync(self.path)

    def _let_go(self) -> None:
        """Have the WAL of the store that was in the store itself. Raises BackupError if anybody has it open."""
        if not self.store.exists():
            return
        try:
            with alone(self.store, "rw") as db:
                db.connection().execute("PRAGMA busy_timeout = 2000")
                db.connection().execute("PRAGMA journal_mode = delete")
        except FAILURES as error:
            if results(error) & BUSY:
                raise BackupError(
                    f"another command has the store in {self.path} open; end it first"
                ) from None
            # Else it is broken, which may be why it is to be replaced: its files are kept as they are.

    def _belong(self, names: list[str]) -> None:
        """Where root does this, whoever owns the folder owns what is in it."""
        owner = self.path.stat()
        if os.geteuid() != 0 or owner.st_uid == 0:
            return
        for name in [*names, *(lock.name for lock in self.path.glob("*.lock"))]:
            place = self.path / name
            for path in (place, *(place.rglob("*") if place.is_dir() else ())):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        if self.aside is not None:
            os.chown(self.aside, owner.st_uid, owner.st_gid)


@contextmanager
def place(path: Path, force: bool, what: str) -> Iterator[Place]:
    """Hold a data folder while another store is made ready for it. Raises BackupError."""
    folder.prepare(path)
    try:
        serving = folder.lock(path)
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}; nothing in it was changed") from error
    if serving is None:
        raise BackupError(f"a server runs on {path}; stop it first{_how(path)}")
    try:
        with folder.setting_up(path), _writing(path):
            occupied = [name for name in (STORE, SECRET) if (path / name).exists()]
            if occupied and not force and not (path / RESTORING).exists():
                raise BackupError(
                    f"there is a shard in {path} already; --force puts {what} in its place and keeps it aside"
                )
            with drafting(path, DRAFT) as draft:
                yield Place(path, draft)
    except (OSError, *FAILURES) as error:
        left = "run it again" if (path / RESTORING).exists() else "nothing in it was changed"
        raise BackupError(f"{path}: {getattr(error, 'strerror', None) or error}; {left}") from error
    finally:
        os.close(serving)


def _how(path: Path) -> str:
    process = Process.serving(path)
    return f": {process.to_stop}" if process is not None and process.to_stop else ""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """The lock of those who write, whatever SQLite they have."""
    handle = folder.open_lock(path / "write.lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def begin_anew(store: Path) -> str:
    """Give a store a new epoch, so that places in its log from elsewhere are a gap; returns it."""
    epoch = secrets.token_hex(4)
    with alone(store, "rw") as db, db.atomic():
        many("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", [(epoch,)])
        assert one("SELECT value FROM meta WHERE name = 'epoch'") == (epoch,)
    return epoch

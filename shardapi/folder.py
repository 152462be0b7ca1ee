"""The data folder: private, writable, and served by one process at a time."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .config import ConfigError

LOCK, SETUP_LOCK = "serve.lock", "setup.lock"
STORE = "shard.sqlite3"
SECRET = "signing.secret"
RESTORING = "restoring"  # there while the content of the folder is being replaced
# A folder that cannot be written now may still be read, and recovers by itself.
RECOVERS = (errno.ENOSPC, errno.EROFS)


def prepare(folder: Path) -> Path:
    """Make the folder if it is not there, and prove that it can be written. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno not in RECOVERS or not (folder / STORE).exists():
            raise ConfigError(f"data folder {folder}: {error.strerror}") from None
    return folder


def holds(folder: Path, name: str = STORE) -> bool:
    """Whether there is such a file in it. Raises ConfigError where this user may not look."""
    try:
        return (folder / name).exists()
    except OSError as error:
        raise ConfigError(
            f"data folder {folder}: {error.strerror}; run this as the user whom it belongs to, or as root"
        ) from None


def check_whole(folder: Path) -> None:
    """Raises ConfigError where a restore was interrupted; held against another that runs by `setting_up`."""
    if holds(folder, RESTORING):
        raise ConfigError(
            f"data folder {folder}: a restore or import has not come to its end here; run it again"
        )


def open_lock(path: Path) -> int:
    """A lock file, made if it is not there; one that is can be locked on a read-only file system too."""
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def setting_up(folder: Path) -> Iterator[None]:
    """Held while the store is made or migrated: one process at a time."""
    try:
        handle = open_lock(folder / SETUP_LOCK)
    except OSError as error:
        if error.errno not in RECOVERS:
            raise
        yield  # nothing can be made here now
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def lock(folder: Path) -> int | None:
    """The right to serve the folder, as an open descriptor; None while another process has it."""
    handle = open_lock(folder / LOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle

"""A copy of a store that is all of one moment, taken beside those who write; and whether a store is whole."""

from pathlib import Path
from typing import Any

import msgspec

from .config import ConfigError
from .folder import STORE, check_whole
from .store import CANNOT_MAKE_FILES, FAILURES, alone, one, results, rows
from .upgrades import all_had


class BackupError(ConfigError):
    """Raised when a backup cannot be made, is not whole, or cannot be put in place."""


class GuildName(msgspec.Struct, frozen=True):
    """A guild of a store."""

    id: str
    name: str


class Facts(msgspec.Struct, frozen=True, rename="camel"):
    """What a store holds, told without opening it as a shard; `migrations` are those it has had, by whose they are."""

    guilds: tuple[GuildName, ...]
    migrations: dict[str, list[str]]
    last_event: int
    keys: int


def take(folder: Path, into: Path) -> None:
    """Copy the store of a folder into a file that is not there.

    One step, because a copy in several begins anew whenever another process has written in between. Nobody waits for
    it: those who write go on into the WAL, which can only not be begun anew meanwhile.
    """
    path = folder / STORE
    check_whole(folder)
    if not path.exists():
        raise BackupError(f"there is no shard in {folder}")
    try:
        _copy(path, into, "ro")
    except FAILURES as error:
        wal = path.with_name(f"{STORE}-wal")
        if not results(error) & CANNOT_MAKE_FILES or (wal.exists() and wal.stat().st_size):
            raise
        into.unlink(missing_ok=True)
        _copy(
            path, into, "ro&immutable=1"
        )  # nobody can make the files of a WAL here: nothing changes under us


def _copy(path: Path, into: Path, mode: str) -> None:
    with alone(path, mode) as source, alone(into, "rwc") as target:
        copy: Any = target.connection()
        copy.execute("PRAGMA synchronous = 0")  # it is synced when it is whole
        source.connection().backup(copy)
        copy.execute("PRAGMA journal_mode = delete")  # one file, for which no other is needed


def examine(path: Path) -> Facts:
    """Look through a store from end to end; it must be one that nobody writes. Raises BackupError."""
    try:
        with alone(path):
            found = [text for (text,) in rows("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                raise BackupError(f"the store is damaged: {'; '.join(found)}")
            if rows("PRAGMA foreign_key_check"):
                raise BackupError("the store is damaged: rows refer to others that are not there")
            return facts()
    except FAILURES as error:
        raise BackupError(f"the store cannot be read: {error}") from error


def facts() -> Facts:
    """What the store of the running thread's connection holds."""
    return Facts(
        guilds=tuple(
            GuildName(*row) for row in rows("SELECT id, name FROM guild ORDER BY created_at, rowid")
        ),
        migrations=all_had(),
        last_event=one("SELECT number FROM last_event")[0],
        keys=one("SELECT count(*) FROM api_key")[0],
    )

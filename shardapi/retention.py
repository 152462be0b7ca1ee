"""Backups with the date in their name, of which the last few are kept."""

import re
import time
from pathlib import Path

from . import clock
from .backup import Made, make
from .config import Config
from .folder import STORE
from .snapshot import BackupError
from .store import FAILURES, alone, one

DATED = r"(\d{8}-\d{6})(?:-(\d+))?\.zip"


def make_dated(settings: Config, folder: Path, keep: int, read_from: str = "") -> tuple[Made, list[Path]]:
    """Make a backup in a folder, then remove the oldest beyond so many; returns it and what was removed.

    Nothing is removed after one without the signing secret: the older ones may be the last that have it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupError(f"{folder}: {error.strerror}") from None
    prefix = f"shard-{_guild(settings)}-"
    made = make(settings, free_name(folder, prefix), read_from=read_from)
    return made, forget(folder, prefix, keep, made.path) if made.has_secret else []


def _guild(settings: Config) -> str:
    """The guild that a backup is named for, so that several shards may share a folder."""
    if settings.guild.id:
        return settings.guild.id
    path = settings.folder / STORE
    try:
        if not path.exists():
            return ""  # and there will be no backup
        with alone(path):
            return str(one("SELECT id FROM guild ORDER BY created_at, rowid LIMIT 1")[0])
    except (*FAILURES, TypeError, OSError) as error:
        raise BackupError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def stamp() -> str:
    """The time as it stands in a name."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(clock.now() / 1000))


def free_name(folder: Path, prefix: str, suffix: str = ".zip") -> Path:
    """A path with the date in its name, after all that have the same date."""
    start = f"{prefix}{stamp()}"
    taken = [path.name.removeprefix(start).removesuffix(suffix) for path in folder.glob(f"{start}*{suffix}")]
    last = max((int(end[1:] or 1) for end in taken if re.fullmatch(r"(-\d+)?", end)), default=0)
    return folder / f"{start}{f'-{last + 1}' if last else ''}{suffix}"


def dated(folder: Path, prefix: str) -> list[Path]:
    """The backups of a folder whose names begin so, the oldest first."""
    found = []
    for path in folder.glob("*.zip"):
        if match := re.fullmatch(re.escape(prefix) + DATED, path.name):
            found.append((match[1], int(match[2] or 1), path))
    return [path for *_, path in sorted(found)]


def forget(folder: Path, prefix: str, keep: int, newest: Path) -> list[Path]:
    """Remove the oldest backups until so many are left, the newest in any case; returns those removed."""
    others = [path for path in dated(folder, prefix) if path != newest]  # a clock may have been ahead
    gone = others[: max(0, len(others) - (keep - 1))]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone

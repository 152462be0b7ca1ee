"""What a shard has left behind in a data folder that has none of its data any more, and the way back to that."""

import os
import re
import shlex
import sys
from pathlib import Path

from .folder import RESTORING, SECRET, STORE

LEFT = (SECRET, "replaced-*", "before-upgrade-*.zip")


def lost(folder: Path) -> list[str]:
    """The names of what is left of a shard without its data; none where its data is, or a restore has to end first."""
    try:
        if (folder / RESTORING).exists() or has_data(folder):
            return []
        return left_behind(folder)
    except OSError:  # which whoever opens the shard is told
        return []


def left_behind(folder: Path) -> list[str]:
    """The names of what only a shard leaves in its folder, its store aside."""
    return sorted(path.name for pattern in LEFT for path in folder.glob(pattern))


def kept_aside(folder: Path) -> Path | None:
    """Where a restore that was interrupted keeps what was in the folder, None if it had not come to that."""
    try:
        last = (folder / RESTORING).read_text("ascii", "replace").split()[-1:]
    except OSError:
        return None
    return folder / last[0] if last and re.fullmatch(r"replaced-[\d-]+", last[0]) else None


def has_data(folder: Path) -> bool:
    """Whether the store has had the core's first migrations; one that cannot be read may have."""
    from .store import FAILURES, alone
    from .upgrades import CORE, had

    path = folder / STORE
    if not path.exists() or not path.stat().st_size:  # SQLite is not asked: it would remove a log beside it
        return False
    try:
        with alone(path):
            return bool(had(CORE))
    except FAILURES:
        return True


def begun_anew(folder: Path, names: list[str]) -> str:
    """What the log says of a start that finds these names and no data."""
    return (
        f"{folder} has {', '.join(names)} and no data: a new shard is begun. If there was one, stop this one and"
        f" restore a backup of it: {to_restore(folder)}"
    )


def to_restore(folder: Path, file: str = "", source: str = "FILE") -> str:
    """The command that puts a backup in the place of what is there; `file` has the settings, if they are in one."""
    return own_command("restore", "--force", folder=folder, file=file, last=[source])


def own_command(*words: str, folder: Path, file: str = "", last: list[str] | None = None) -> str:
    """A command of this installation on this very shard, ready to be pasted."""
    program = Path(sys.executable).with_name("shardapi")
    file = file or os.environ.get("SHARDAPI_CONFIG", "")
    said = [str(program) if program.exists() else "shardapi", *words, *(["--config", file] if file else [])]
    return shlex.join([*said, "--data-dir", str(folder), *(last or [])])

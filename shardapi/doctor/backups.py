"""Whether there is a backup to go back to."""

from collections.abc import Iterator
from pathlib import Path

from .. import clock
from .case import Case
from .finding import Finding, Unable, error, info, ok, warn

OLD_HOURS = 48
CREATED = "SELECT created_at FROM guild WHERE id = ?"
DO = "systemctl enable --now shardapi-backup.timer makes one each night, systemctl start shardapi-backup one now."
ELSEWHERE = " Without our units: shardapi backup --keep 14 DIR; --backups DIR has them looked for there."


def look(case: Case) -> Iterator[Finding]:
    """The newest one: how old it is, and with `full` whether it is whole."""
    case.need_store()
    from ..retention import dated  # with it comes all that makes a backup

    folder = case.backups
    try:
        found = dated(folder, f"shard-{case.guild_id}-") if folder.is_dir() else []
        age = _hours(int(found[-1].stat().st_mtime * 1000)) if found else 0.0
    except OSError as problem:
        raise Unable(f"cannot read {folder}: {problem.strerror}") from None
    if not found:
        made = case.rows(CREATED, (case.guild_id,))
        young = bool(made) and _hours(made[0][0]) < OLD_HOURS
        yield (info if young else warn)("backups", f"there is no backup in {folder} yet", DO + ELSEWHERE)
        return
    newest = found[-1]
    if age > OLD_HOURS:
        yield warn("backups", f"the newest backup, {newest}, is {age / 24:.0f} days old", DO)
        return
    if case.full and (broken := _broken(case, newest)):
        yield error("backups", broken, "Make another now, and see what happens to the disk it lies on.")
        return
    whole = ", the newest whole" if case.full else ""
    yield ok("backups", f"{len(found)} in {folder}{whole}, the newest {age:.0f} hours old")


def _hours(at: int) -> float:
    return (clock.now() - at) / 3_600_000


def _broken(case: Case, file: Path) -> str:
    from ..config import ConfigError
    from ..restore import verify
    from ..store import StoreTooNew

    try:
        verify(case.settings, file)
    except (ConfigError, StoreTooNew, OSError) as problem:
        return str(problem)
    return ""

"""Whether there is a backup to go back to."""

import re
from collections.abc import Iterator
from pathlib import Path

from .. import clock
from ..process import systemctl
from ..remains import own_command, to_restore
from ..units import STATE
from .case import Case
from .finding import Finding, Unable, error, info, ok, warn
from .machine import backup_of, booted, unit_of

OLD_HOURS = 48
CREATED = "SELECT created_at FROM guild WHERE id = ?"
DO = "{0} enable --now {1}.timer makes one each night, {0} start {1} one now."
BY_HAND = "Have this run each night, by cron for one (--backups DIR has them looked for elsewhere): {0}"
ELSEWHERE = " Without our units: shardapi backup --keep 14 DIR; --backups DIR has them looked for there."


def look(case: Case) -> Iterator[Finding]:
    """The newest one: how old it is, and with `full` whether it is whole."""
    case.need_store()
    folder, found = _found(case)
    do = _to_make_them(case, folder)
    if not found:
        made = case.rows(CREATED, (case.guild_id,))
        young = bool(made) and _hours(made[0][0]) < OLD_HOURS
        yield (info if young else warn)("backups", f"there is no backup in {folder} yet", do)
        return
    newest = found[-1]
    age = _hours(int(newest.stat().st_mtime * 1000))
    if age > OLD_HOURS:
        yield warn("backups", f"the newest backup, {newest}, is {age / 24:.0f} days old", do)
        return
    if case.full and (broken := _broken(case, newest)):
        yield error("backups", broken, "Make another now, and see what happens to the disk it lies on.")
        return
    whole = ", the newest whole" if case.full else ""
    yield ok("backups", f"{len(found)} in {folder}{whole}, the newest {age:.0f} hours old")


def _found(case: Case) -> tuple[Path, list[Path]]:
    """The first folder that has backups of the guild, else the first of all, and those backups. Raises Unable."""
    from ..retention import dated  # with it comes all that makes a backup

    first, *others = case.backups
    for folder in case.backups:
        try:
            if folder.is_dir() and (found := dated(folder, f"shard-{case.guild_id}-")):
                return folder, found
        except OSError as problem:
            if folder not in others:
                raise Unable(f"cannot read {folder}: {problem.strerror}") from None
    return first, []


def _to_make_them(case: Case, folder: Path) -> str:
    if not booted():
        keep = own_command("backup", "--keep", "14", folder=case.folder, file=case.file, last=[str(folder)])
        return BY_HAND.format(keep)
    control = systemctl(case.process is not None and case.process.of_a_user)
    return DO.format(control, backup_of(unit_of(case))) + ELSEWHERE


def way_back(case: Case, instead: str = "") -> str:
    """What to do to have the newest backup in the place of what is there, which is kept aside then. Raises Unable."""
    newest = _newest(case)
    look_in = "" if newest else f"look in {case.backups[0]} and elsewhere"
    remarks = "; ".join(filter(None, (look_in, instead)))
    which = f"the newest backup{f' ({remarks})' if remarks else ''}"
    stop = case.process.to_stop if case.process else _usual_stop(case)
    if stop or case.served:
        which = f"stop the shard{f' ({stop})' if stop else ''}, then restore {which}"
    else:
        which = f"restore {which}"
    return f"{which[0].upper()}{which[1:]}: {to_restore(case.folder, case.file, str(newest or 'FILE'))}"


def _usual_stop(case: Case) -> str:
    """How to stop our unit and its socket, which would start it, where they may be."""
    unit = unit_of(case).removesuffix(".service")
    return f"systemctl stop {unit}.socket {unit}.service" if booted() and case.folder.parent == STATE else ""


def _newest(case: Case) -> Path | None:
    """The newest one of a shard whose guild is not known any more; None where several shards have theirs."""
    from ..retention import DATED, dated

    own = re.escape(case.settings.guild.id) or ".*"
    for folder in case.backups:
        matches = (re.fullmatch(f"(shard-{own}-){DATED}", path.name) for path in folder.glob("*.zip"))
        prefixes = {match[1] for match in matches if match}
        if prefixes:
            return dated(folder, prefixes.pop())[-1] if len(prefixes) == 1 else None
    return None


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

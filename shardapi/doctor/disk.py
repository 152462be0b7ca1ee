"""Whether there is room for what will be written."""

import os
from collections.abc import Iterator

from .case import Case
from .finding import Finding, error, ok, warn

MIB = 1024 * 1024
LEAST, SPARE = 64 * MIB, 512 * MIB
LARGE_WAL = 256 * MIB
LEAST_FILES = 1000


def look(case: Case) -> Iterator[Finding]:
    """Free space beside the size of the store, of which a backup takes as much again."""
    case.need_folder()
    disk = os.statvfs(case.folder)
    free = disk.f_bavail * disk.f_frsize
    store, wal = (path.stat().st_size if path.exists() else 0 for path in (case.path, case.wal))
    facts = f"{_size(free)} free for {case.folder}; the store has {_size(store + wal)}"
    if free < LEAST:
        yield error(
            "disk.space", facts, "Make room now: a full disk refuses every write until there is some."
        )
    elif free < SPARE + store:
        yield warn(
            "disk.space", facts, "Make room for growth and for a copy of the store, or move the folder."
        )
    else:
        yield ok("disk.space", facts)
    if disk.f_files and disk.f_favail < LEAST_FILES:
        what = f"{disk.f_favail} more files fit on the disk of {case.folder}"
        yield error("disk.files", what, "Remove small files that nobody needs (df -i).")
    if wal > LARGE_WAL and wal > store:
        what = f"{case.wal.name} has {_size(wal)}: it is not taken into the store"
        do = "See which process keeps reading the store (fuser, lsof), and end it; a restart takes it in."
        yield warn("disk.wal", what, do)


def _size(octets: int) -> str:
    return f"{octets / MIB:,.0f} MiB" if octets >= 10 * MIB else f"{octets / MIB:.1f} MiB"

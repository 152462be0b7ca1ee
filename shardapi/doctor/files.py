"""Whose the files of the data folder are, and who else could read them."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from ..folder import RESTORING, SECRET
from ..remains import kept_aside
from ..units import STATE, SYSTEM_SETTINGS
from .case import Case
from .finding import Finding, error, info, ok, warn

INSTALLED = STATE / "shardapi"
USUAL = f"--config {SYSTEM_SETTINGS} --data-dir {INSTALLED}"
OTHERS, GROUP = 0o007, 0o070


def look(case: Case) -> Iterator[Finding]:
    """The folder is its owner's alone, and so is everything in it."""
    if not case.has_folder:
        do = f"The first start makes it. Another: {USUAL if INSTALLED.exists() else '--data-dir DIR'}"
        if case.named:
            yield error("files", f"there is no data folder {case.folder}: is it the one that was meant?", do)
        else:
            yield info("files", f"there is no data folder {case.folder} yet", do)
    case.need_folder()
    whole = not (case.folder / RESTORING).exists()
    if not whole:
        kept = kept_aside(case.folder) or "replaced-…"
        what = f"a restore or import into {case.folder} has not come to its end: the shard does not start"
        yield error("files.restore", what, f"Run it again; what was there before is kept in {kept}.")
    found = [*_folder(case.folder), *_secret(case), *_owners(case.folder), *_writable(case.folder)]
    yield from found
    if whole and not found:
        yield ok("files", f"{case.folder} is {_name(case.folder.stat().st_uid)}'s alone")


def _folder(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    do = f"chmod 700 {folder}"
    if mode & OTHERS:
        yield error("files.folder", f"everyone on this machine may enter {folder} (mode {mode:03o})", do)
    elif mode & GROUP:
        yield warn("files.folder", f"a group may enter {folder} (mode {mode:03o})", do)


def _secret(case: Case) -> Iterator[Finding]:
    path = case.folder / SECRET
    if case.settings.signing_secret:
        return
    if not path.exists():
        if case.path.exists():
            yield error(
                "files.secret",
                f"{path} is gone: the next start makes another, and no token is valid any more",
                "Put it back from a backup, if there is one.",
            )
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (OTHERS | GROUP):
        what = f"others than its owner may read {path} (mode {mode:03o}); whoever has it makes tokens"
        yield error("files.secret", what, f"chmod 600 {path}")
    if not path.stat().st_size:
        what = f"{path} is empty: the shard does not start"
        yield error("files.secret", what, "Put the secret back, or remove the file to have a new one made.")


def _owners(folder: Path) -> Iterator[Finding]:
    """Files that a command made as somebody else, so that the server cannot write them."""
    owner = folder.stat().st_uid
    others = [path.name for path in sorted(folder.iterdir()) if path.lstat().st_uid != owner]
    if others:
        yield error(
            "files.owner",
            f"{', '.join(others[:5])} in {folder} {'is' if len(others) == 1 else 'are'} not {_name(owner)}'s:"
            " was a command run as another user?",
            f"chown -R --reference={folder} {folder}",
        )


def _writable(folder: Path) -> Iterator[Finding]:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        what = f"{folder} lies on a file system that is read-only: nothing can be changed"
        yield error(
            "files.writable", what, "See what the kernel says (dmesg), and mount it for writing again."
        )
        return
    locked = [path.name for path in sorted(folder.iterdir()) if not path.lstat().st_mode & stat.S_IWUSR]
    if locked:
        what = f"{', '.join(locked[:5])} in {folder} cannot be written by its owner"
        yield error("files.writable", what, f"chmod -R u+w {folder}")


def may_look(folder: Path) -> str:
    """Who may look into the data folder, for a person."""
    try:
        owner = folder.stat().st_uid
    except OSError:  # it lies in one that is closed too
        return "root, or as the owner of the data folder"
    return f"root, or as {_name(owner)}" if owner else "root"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # one that systemd made for the time it runs
        return str(uid)

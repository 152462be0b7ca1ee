"""What `shardapi doctor` looks at; it changes nothing, and tells no secret."""

from collections.abc import Callable, Iterator

from . import backups, clocks, disk, files, machine, outboxes, proxy, running, settings, storage, versions
from .case import Case as Case
from .finding import Finding as Finding
from .finding import Nothing, Unable, error, warn

Look = Callable[[Case], Iterator[Finding]]

LOOKS: tuple[tuple[str, Look], ...] = (
    ("version", versions.look),
    ("settings", settings.look),
    ("files", files.look),
    ("disk", disk.look),
    ("store", storage.look),
    ("clock", clocks.look),
    ("server", running.look),
    ("public", proxy.look),
    ("webhooks", outboxes.look),
    ("backups", backups.look),
    ("systemd", machine.look),
)


def examine(case: Case) -> Iterator[Finding]:
    """Every look, one after another; what cannot be looked at is an error, and hides nothing else."""
    told = set()
    for name, look in LOOKS:
        try:
            yield from look(case)
        except Nothing:
            continue
        except Unable as reason:
            if str(reason) not in told:
                yield error(name, f"not looked at: {reason}", f"Run this as {files.may_look(case.folder)}.")
            told.add(str(reason))
        except Exception as failed:
            what = f"looking at it failed: {type(failed).__name__}"
            yield warn(name, what, "This is an error in shardapi itself: please report it, with the version.")

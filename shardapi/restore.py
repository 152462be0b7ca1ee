"""From a backup to a shard: verified first, then put in place, and told what has come back with it."""

import tempfile
from pathlib import Path

import msgspec

from .backup import SETTINGS, Manifest, check, glance, secrets_of
from .config import Config
from .folder import STORE
from .placing import begin_anew, place
from .snapshot import BackupError, examine
from .store import FAILURES, StoreTooNew, alone, rows
from .upgrades import known_steps, refuse_newer


class Revived(msgspec.Struct, frozen=True):
    """A key, or a user whose tokens, were good when the backup was made and have been revoked since."""

    id: str
    name: str = ""


class Restored(msgspec.Struct, frozen=True):
    """What a restore has done; `compared` is whether there was a store to compare with."""

    manifest: Manifest
    epoch: str
    aside: Path | None
    compared: bool
    keys: tuple[Revived, ...]
    operators: tuple[Revived, ...]
    secret_differs: bool
    without_secret: bool


def verify(settings: Config, file: Path) -> Manifest:
    """Read a backup from end to end and look through its store, nothing else. Raises BackupError, StoreTooNew."""
    with tempfile.TemporaryDirectory(prefix="shardapi-") as name:
        return _unpacked(settings, file, Path(name))


def _unpacked(settings: Config, file: Path, into: Path) -> Manifest:
    manifest = check(file, into)
    try:
        found = examine(into / STORE)
        refuse_newer({name: set(steps) for name, steps in found.migrations.items()}, known_steps(settings))
    except (BackupError, StoreTooNew) as error:
        raise BackupError(f"{file} (of version {manifest.version}): {error}") from None
    (into / SETTINGS).unlink(missing_ok=True)  # for reading, in the backup
    return manifest


def restore(settings: Config, file: Path, force: bool) -> Restored:
    """Make the data folder what a backup holds. Raises BackupError."""
    glance(file)
    with place(settings.folder, force, "the backup") as there:
        manifest = _unpacked(settings, file, there.draft)
        epoch = begin_anew(there.draft / STORE)
        compared, keys, operators = _revived(there.replaced, there.draft / STORE)
        differs = there.secret_differs(settings)
        there.put()
    without = not secrets_of(settings)
    return Restored(manifest, epoch, there.aside, compared, keys, operators, differs, without)


def _revived(now: Path, then: Path) -> tuple[bool, tuple[Revived, ...], tuple[Revived, ...]]:
    """What is revoked in one store and is not in another: whether that can be said, keys, operators."""
    try:
        with alone(now):
            keys = {id_: name for id_, name in rows("SELECT id, name FROM api_key WHERE revoked_at > 0")}
            operators = {
                (guild, user): at for guild, user, at in rows("SELECT guild, user, at FROM revoked_operator")
            }
    except FAILURES:  # there is none, or it is broken or old
        return False, (), ()
    with alone(then):
        live = [id_ for (id_,) in rows("SELECT id FROM api_key WHERE revoked_at = 0 ORDER BY created_at")]
        before = {}
        if rows("SELECT 1 FROM sqlite_master WHERE name = 'revoked_operator'"):
            before = {
                (guild, user): at for guild, user, at in rows("SELECT guild, user, at FROM revoked_operator")
            }
    return (
        True,
        tuple(Revived(id_, keys[id_]) for id_ in live if id_ in keys),
        tuple(
            Revived(user)
            for (guild, user), at in sorted(operators.items())
            if at > before.get((guild, user), -1)
        ),
    )

"""Backups: one file with all that a shard is made of, proved whole before it has its name.

A backup is a ZIP file that anybody can look into:

    backup.json       what it is: format, version, time, guilds, migrations, and the SHA-256 of everything else
    shard.sqlite3     the store, all of one moment
    signing.secret    what operators' tokens, public links and the secrets of webhooks hang on
    settings.toml     the settings of then, if they were a file; for reading, a restore leaves settings alone
    NAME/…            the files that the plugin NAME keeps in the data folder, in the folder of that name

It is a secret: who has it can sign tokens for the shard.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from . import clock, snapshot
from .config import Config, ConfigError
from .folder import SECRET, STORE
from .snapshot import BackupError, Facts
from .store import FAILURES

FORMAT = 1
MANIFEST, SETTINGS = "backup.json", "settings.toml"
CHUNK = 1 << 20
DRAFT = ".shardapi-backup-"
YOUNG_SECONDS = 60
FULL = (errno.ENOSPC, errno.EDQUOT)
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, KeyError)


class Member(msgspec.Struct, frozen=True):
    """A file in a backup."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a backup says of itself."""

    format: int
    app: str
    version: str
    made_at: str
    store: Facts
    files: tuple[Member, ...]


class Made(NamedTuple):
    """A backup that was just made."""

    path: Path
    size: int
    ms: int
    manifest: Manifest

    @property
    def has_secret(self) -> bool:
        """Whether the signing secret is in it."""
        return any(one.name == SECRET for one in self.manifest.files)


def make(settings: Config, target: Path, compressed: bool = True, read_from: str = "") -> Made:
    """Write a backup of the shard of these settings, read from that file, in place of an older one.

    Raises BackupError.
    """
    began = time.perf_counter()
    try:
        _may_replace(target)
        with drafting(target.parent) as draft:
            snapshot.take(settings.folder, draft / STORE)
            members = [(STORE, draft / STORE), *_others(settings, draft, read_from)]
            ready = draft / "backup.zip"
            _pack(ready, members, snapshot.examine(draft / STORE), compressed)
            manifest = check(ready)
            os.replace(ready, target)
            sync(target.parent)
    except OSError as error:
        raise BackupError(f"{error.filename or target}: {error.strerror}; no backup was made") from error
    except FAILURES as error:
        raise BackupError(f"{target}: {error}; no backup was made") from error
    return Made(target, target.stat().st_size, round((time.perf_counter() - began) * 1000), manifest)


def _may_replace(target: Path) -> None:
    if target.is_dir():
        raise BackupError(f"{target} is a folder; with --keep N it gets a backup with the date in its name")
    if target.exists() and not _is_backup(target):
        raise BackupError(f"{target} is there and no backup; it stays as it is")


def _is_backup(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, *UNREADABLE):
        return path.stat().st_size == 0


@contextmanager
def drafting(folder: Path, prefix: str = DRAFT) -> Iterator[Path]:
    """A private folder inside another one, gone with the block; those that a killed process has left go too."""
    for left in folder.glob(f"{prefix}*"):
        if left.is_dir() and _deserted(left):
            shutil.rmtree(left, ignore_errors=True)
    try:
        draft = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(folder)) from None
    handle = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield draft
    finally:
        os.close(handle)
        shutil.rmtree(draft, ignore_errors=True)


def _deserted(draft: Path) -> bool:
    try:
        if time.time() - draft.stat().st_mtime < YOUNG_SECONDS:
            return False  # whose it is may not have locked it yet
        handle = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def secrets_of(settings: Config) -> list[str]:
    """The signing secrets in force, the newest first, without making any."""
    if settings.signing_secret.strip():
        return settings.signing_secret.split()
    try:
        return (settings.folder / SECRET).read_text("ascii").split()
    except FileNotFoundError:
        return []


def _others(settings: Config, draft: Path, read_from: str) -> Iterator[tuple[str, Path]]:
    """What a shard is made of besides its store: names, and the files with their content."""
    if found := secrets_of(settings):
        (draft / SECRET).write_text("\n".join(found) + "\n", "ascii")
        yield SECRET, draft / SECRET
    if read_from:
        yield SETTINGS, Path(read_from)
    for name in sorted(plugin_names(settings)):
        place = settings.folder / name
        for path in sorted(place.rglob("*")) if place.is_dir() and not place.is_symlink() else ():
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(settings.folder).as_posix(), path


def plugin_names(settings: Config) -> set[str]:
    """The plugins that are installed: each may keep files in the folder of its name."""
    from .installed import candidates

    try:
        return set(candidates(settings))
    except ConfigError:  # the settings name a folder that is gone, which is no reason to have no backup
        return set()


def _pack(path: Path, members: Iterable[tuple[str, Path]], facts: Facts, compressed: bool) -> None:
    from .shard import VERSION

    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    kind, files = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED, []
    with os.fdopen(handle, "wb") as file:
        with zipfile.ZipFile(file, "w", kind, compresslevel=1 if compressed else None) as archive:
            for name, source in members:
                with (
                    source.open("rb") as content,
                    archive.open(_entry(name, kind), "w", force_zip64=True) as out,
                ):
                    files.append(copied(name, content, out))
            manifest = Manifest(
                format=FORMAT,
                app="shardapi",
                version=VERSION,
                made_at=clock.iso(clock.now()),
                store=facts,
                files=tuple(files),
            )
            text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
            archive.writestr(_entry(MANIFEST, kind), text + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _entry(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, time.gmtime()[:6])
    entry.compress_type, entry.external_attr = kind, 0o600 << 16
    return entry


def copied(name: str, content: IO[bytes], out: IO[bytes] | None = None) -> Member:
    """What a file is made of, read to its end and written on if there is where to."""
    digest, size = hashlib.sha256(), 0
    while chunk := content.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if out is not None:
            out.write(chunk)
    return Member(name, size, digest.hexdigest())


def glance(path: Path) -> Manifest:
    """What a backup says of itself, and nothing else of it. Raises BackupError."""
    with _opened(path) as archive:
        return _manifest(path, archive)


def check(path: Path, into: Path | None = None) -> Manifest:
    """Read a backup from end to end, and write its files into a folder if one is named. Raises BackupError."""
    with _opened(path) as archive:
        manifest = _manifest(path, archive)
        with _room(path, into, manifest):
            for said in manifest.files:
                with archive.open(said.name) as content, _out(into, said.name) as out:
                    found = copied(said.name, content, out)
                if found != said:
                    raise BackupError(f"{path} is damaged: {said.name} is not what it was")
    return manifest


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise BackupError(f"{error.filename or path}: {error.strerror or error}") from error
    except UNREADABLE as error:
        raise BackupError(f"{path} is no whole backup: {error}") from error


@contextmanager
def _room(path: Path, into: Path | None, manifest: Manifest) -> Iterator[None]:
    """Say what is full where it is the disk that is written to."""
    try:
        yield
    except OSError as error:
        if into is None or error.errno not in FULL:
            raise
        needed = sum(one.bytes for one in manifest.files) // 1_000_000 + 1
        raise BackupError(
            f"{into.parent}: {error.strerror}: what is in {path} needs {needed} MB; nothing was changed"
        ) from error


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    if MANIFEST not in archive.namelist():
        raise BackupError(f"{path} is no backup of a shard: it has no {MANIFEST}")
    text = archive.read(MANIFEST)
    try:
        said = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"0"))
        if bytes(said) != b"%d" % FORMAT:
            raise BackupError(f"{path} is of format {bytes(said).decode()}, which is newer; upgrade shardapi")
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupError(f"{path} is no whole backup: {MANIFEST}: {error}") from error
    names = {one.name for one in manifest.files}
    if STORE not in names or not all(_safe(name) for name in names):
        raise BackupError(f"{path} is no whole backup: {MANIFEST} names other files than a shard has")
    return manifest


def _safe(name: str) -> bool:
    parts = name.split("/")
    return not name.startswith((".", STORE + "-")) and not {"", ".", ".."} & set(parts)


@contextmanager
def _out(into: Path | None, name: str) -> Iterator[IO[bytes] | None]:
    """A private file to be written, synced at the end; None if nothing is."""
    if into is None:
        yield None
        return
    place = into / name
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The shard that is looked at: its settings, its folder and its store, all of them only read."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import peewee

from ..config import Config
from ..folder import LOCK, SECRET, STORE
from ..process import Process
from ..tokens import Tokens
from ..units import STATE
from .finding import Nothing, Unable

library: Any = peewee.sqlite3  # type: ignore[attr-defined]  # the one that the store uses


class Case:
    """One shard; `problem` says why its settings cannot be used, and then they are the defaults.

    It is `named` if somebody has said which folder is meant.
    """

    def __init__(
        self,
        settings: Config,
        file: str,
        problem: str = "",
        full: bool = False,
        backups: Path | None = None,
        named: bool = False,
    ) -> None:
        self.settings, self.file, self.problem, self.full = settings, file, problem, full
        self.named = named or settings.data_dir != Config().data_dir
        self.folder = settings.folder
        # Where our units for systemd put them: beside shardapi and shardapi-NAME, and there for data elsewhere too.
        name = re.sub(r"^shardapi(?=-|$)|$", lambda end: f"{end[0]}-backups", self.folder.name, count=1)
        self.backups = [backups] if backups else [self.folder.with_name(name), STATE / "shardapi-backups"]
        self.path = self.folder / STORE
        self.plugins: list[str] = []  # those that run, once the settings were looked at
        self.answers = False  # whether the server does, once it was asked

    @property
    def wal(self) -> Path:
        """What was written last and is not in the store yet."""
        return self.path.with_name(f"{STORE}-wal")

    def need_folder(self) -> None:
        """Raises Unable where the data cannot be read, Nothing where there is none."""
        try:
            os.scandir(self.folder).close()
        except FileNotFoundError:
            raise Nothing(f"there is no data folder {self.folder}") from None
        except OSError as error:
            raise Unable(f"cannot read {self.folder}: {error.strerror}") from None

    @property
    def has_folder(self) -> bool:
        """Whether the shard was ever started. Raises Unable."""
        try:
            self.need_folder()
        except Nothing:
            return False
        return True

    def need_store(self) -> None:
        """Raises Unable where the store cannot be read, Nothing where there is none."""
        self.need_folder()
        if not self.path.exists() or not self.path.stat().st_size:  # opening one would remove its log
            raise Nothing("there is no store yet")

    @cached_property
    def served(self) -> bool:
        """Whether a server has the data folder now. Raises Unable."""
        self.need_folder()
        try:
            handle = os.open(self.folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Unable(f"cannot read {self.folder / LOCK}: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    @cached_property
    def process(self) -> Process | None:
        """The server that has the data folder, None if it cannot be told. Raises Unable."""
        return Process.serving(self.folder) if self.served else None

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """The store; nothing is made beside it where nobody else is at it. Raises Unable."""
        self.need_store()
        still = not self.served and not (self.wal.exists() and self.wal.stat().st_size)
        how = "immutable=1" if still else "mode=ro"
        try:
            db = library.connect(f"{self.path.as_uri()}?{how}", uri=True, timeout=5)
        except library.Error as error:
            raise Unable(f"cannot open {self.path}: {error}") from None
        try:
            yield db
        finally:
            db.close()

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """All rows of a query; none where the store has not got the table. Raises Unable."""
        with self.reading() as db:
            try:
                found: list[Any] = db.execute(sql, parameters).fetchall()
                return found
            except library.Error as error:
                if "no such table" in str(error):
                    return []
                raise Unable(f"cannot read {self.path}: {error}") from None

    @cached_property
    def guild_id(self) -> str:
        """The guild that the settings open, "" if there is none yet. Raises Unable."""
        if self.settings.guild.id:
            return self.settings.guild.id
        found = self.rows("SELECT id FROM guild ORDER BY created_at, rowid LIMIT 1")
        return str(found[0][0]) if found else ""

    @cached_property
    def tokens(self) -> Tokens:
        """What signs as the shard does. Raises Unable."""
        secrets = self.settings.signing_secret.split()
        path = self.folder / SECRET
        if not secrets:
            try:
                secrets = path.read_text("ascii").split()
            except (OSError, UnicodeDecodeError) as error:
                raise Unable(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
        if not secrets:
            raise Unable(f"{path} is empty")
        return Tokens(secrets)

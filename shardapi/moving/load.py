"""Lines as a shard: each is checked as it comes, and only a store that is whole takes the place of what is there."""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ..config import Config
from ..folder import SECRET, STORE
from ..journal import FIRST
from ..models import load_guild
from ..placing import begin_anew, place
from ..snapshot import BackupError, Facts, examine
from ..store import FAILURES, StoreTooNew, alone, database, one, rows
from ..upgrades import CORE, known_steps, refuse_newer, steps_in
from .export import OWN_CONTENT, quoted
from .lines import DECODER, FORMAT, End, Export, NoText, OfGuild, Row, Schema, Signing, read

STATEMENT = re.compile(
    r"\s*CREATE\s+(VIRTUAL\s+TABLE|TABLE|UNIQUE\s+INDEX|INDEX|TRIGGER|VIEW)\b", re.IGNORECASE
)
# Columns of the core in which a text is JSON.
JSON = {
    "api_key": {"scopes"},
    "catalogue": {"tags", "assigned", "relays", "inbound"},
    "event": {"data"},
    "guild": {"features", "public_net"},
    "net": {"relays"},
    "outbox_endpoint": {"events"},
    "outbox_parked": {"data"},
    "rule": {"nets"},
}
KINDS: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "TEXT": (str,), "BLOB": (bytes,)}


class Moved(msgspec.Struct, frozen=True):
    """What an import has done, or would do."""

    head: Export
    facts: Facts
    rows: int
    aside: Path | None = None
    secret_differs: bool = False


def load(settings: Config, name: str, lines: Iterable[bytes], force: bool, check: bool) -> Moved:
    """Make the data folder what an export says, or only check it. Raises BackupError."""
    if check:
        with tempfile.TemporaryDirectory(prefix="shardapi-") as folder:
            return _loaded(settings, name, lines, Path(folder))
    with place(settings.folder, force, "the export") as there:
        moved = _loaded(settings, name, lines, there.draft)
        begin_anew(there.draft / STORE)
        then = (there.draft / SECRET).read_text("ascii").split() if (there.draft / SECRET).exists() else []
        differs = bool(
            settings.signing_secret.strip() and not set(then) & set(settings.signing_secret.split())
        )
        there.put()
    return msgspec.structs.replace(moved, aside=there.aside, secret_differs=differs)


def _loaded(settings: Config, name: str, lines: Iterable[bytes], into: Path) -> Moved:
    loader = Loader()
    (into / STORE).touch(0o600)
    try:
        with alone(into / STORE, "rwc") as db:
            database.execute_sql("PRAGMA synchronous = 0")
            with db.atomic():
                loader.run(lines)
        found = examine(into / STORE)
        refuse_newer(found.migrations, known_steps(settings))
        with alone(into / STORE):
            _try_guilds(found)
    except (BackupError, StoreTooNew) as error:
        raise BackupError(f"{name}: {error}") from None
    except FAILURES as error:
        raise BackupError(f"{name}: {error}") from error
    assert loader.head is not None
    if loader.secrets:
        secret = into / SECRET
        secret.touch(0o600)
        secret.write_text("\n".join(loader.secrets) + "\n", "ascii")
    return Moved(loader.head, found, loader.rows)


def _try_guilds(found: Facts) -> None:
    for guild in found.guilds:
        try:
            load_guild(guild.id)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise BackupError(f"the guild {guild.id} cannot be read: {error}") from error


class Loader:
    """A store in the making, one line after another."""

    def __init__(self) -> None:
        self.head: Export | None = None
        self.secrets: tuple[str, ...] = ()
        self.rows = 0
        self._guild = ""
        self._guilds: set[str] = set()
        self._announced: set[str] = set()
        self._ended = False
        self._later: list[tuple[int, Schema]] = []
        self._indexes: list[str] = []
        self._sequence: list[tuple[Any, ...]] = []
        self._chains: dict[str, tuple[int, bytes]] = {}
        self._types = dict(core_types())
        self._inserts: dict[tuple[str, tuple[str, ...], tuple[bool, ...]], str] = {}

    def run(self, lines: Iterable[bytes]) -> None:
        """Take all lines. Raises BackupError, which names the line."""
        number = 0
        for number, text in enumerate(lines, 1):
            self._take(number, text)
        if not self._ended:
            raise BackupError(f"line {number + 1}: the export is cut off here: there is no line of type end")
        for at, made in self._later:
            self._at(at, partial(self._create, made))
        for name in self._indexes:
            database.execute_sql(f"INSERT INTO {quoted(name)} ({quoted(name)}) VALUES ('rebuild')")
        if self._sequence:
            database.execute_sql("DELETE FROM sqlite_sequence")
            database.connection().executemany(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", self._sequence
            )

    def _take(self, number: int, text: bytes) -> None:
        try:
            line = DECODER.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = (
                "is no JSON" if not isinstance(error, msgspec.ValidationError) else "is no line of an export"
            )
            raise BackupError(f"line {number} {what}: {error}") from None
        self._at(number, partial(self._apply, number, line))

    def _at(self, number: int, work: Callable[[], None]) -> None:
        try:
            work()
        except (BackupError, *FAILURES, ValueError) as error:
            raise BackupError(f"line {number}: {error}") from None

    def _apply(self, number: int, line: Any) -> None:
        if isinstance(line, Export) is not (self.head is None):
            raise ValueError("the first line, and no other, has the type export")
        if self._ended:
            raise ValueError("nothing comes after the line of type end")
        match line:
            case Export():
                self._begin(line)
            case Signing():
                if not all(
                    secret.isascii() and secret.isprintable() and " " not in secret for secret in line.secrets
                ):
                    raise ValueError("a signing secret has no spaces and no letters beyond ASCII")
                self.secrets = line.secrets
            case Schema(kind="table" | "virtual"):
                self._create(line)
            case Schema():
                self._later.append((number, line))  # triggers must not see the rows come
            case OfGuild():
                self._guild = line.id
                self._guilds.add(line.id)
            case Row():
                self._insert(line)
            case End():
                self._end(line)

    def _begin(self, line: Export) -> None:
        if line.format != FORMAT:
            raise ValueError(
                f"the export is of format {line.format}, which is not ours ({FORMAT}); upgrade shardapi"
            )
        self.head = line
        self._announced = {guild.id for guild in line.guilds}

    def _create(self, line: Schema) -> None:
        if not STATEMENT.match(line.sql) or line.name.startswith("sqlite_"):
            raise ValueError(f"the sql of {line.name} makes no table, index, trigger or view")
        database.execute_sql(line.sql)
        if not one("SELECT 1 FROM sqlite_master WHERE name = ?", (line.name,)):
            raise ValueError(f"the sql makes something else than {line.name}")
        if line.kind == "virtual" and OWN_CONTENT.search(line.sql):
            self._indexes.append(line.name)

    def _insert(self, line: Row) -> None:
        values = {column: read(value) for column, value in line.values.items()}
        self.rows += 1
        if line.table == "sqlite_sequence":
            self._sequence.append((values.get("name"), values.get("seq")))
            return
        self._check(line.table, values)
        texts = tuple(isinstance(value, NoText) for value in values.values())
        what = (line.table, tuple(values), texts)
        if (sql := self._inserts.get(what)) is None:
            columns, marks = (
                ", ".join(map(quoted, values)),
                ", ".join("CAST(? AS TEXT)" if odd else "?" for odd in texts),
            )
            sql = self._inserts[what] = f"INSERT INTO {quoted(line.table)} ({columns}) VALUES ({marks})"
        database.connection().execute(sql, tuple(values.values()))

    def _check(self, table: str, values: dict[str, Any]) -> None:
        """Raises ValueError for what a table of the core cannot hold."""
        kinds = self._types.get(table)
        if kinds is None:
            return
        for column, value in values.items():
            wanted = KINDS.get(kinds.get(column, ""))
            if wanted and not isinstance(value, wanted):
                raise ValueError(f"{table}.{column} is {kinds[column].lower()}, and {value!r:.40} is none")
            if column in JSON.get(table, ()):
                msgspec.json.decode(value)
        whose = values.get("id" if table == "guild" else "guild", self._guild)
        if whose != self._guild and (self._guild or whose in self._announced):
            raise ValueError(f"the row is of the guild {whose}, and stands with {self._guild or 'none'}")
        if table == "catalogue_change" and "hash" in values:
            self._follow(values)

    def _follow(self, values: dict[str, Any]) -> None:
        """The journal of the archive is a chain: this is its next link."""
        guild, version, hashed = values["guild"], values["version"], values["hash"]
        before, digest = self._chains.get(guild, (version - 1, FIRST if version == 1 else b""))
        if version != before + 1 or (digest and sha256(digest + values["operation"]).digest() != hashed):
            raise ValueError(f"the archive's journal of {guild} is broken at version {version}")
        self._chains[guild] = version, hashed

    def _end(self, line: End) -> None:
        self._ended = True
        if line.rows != self.rows:
            raise ValueError(
                f"there are {self.rows} rows, and should be {line.rows}: lines are missing or doubled"
            )
        there = {guild for (guild,) in rows("SELECT id FROM guild")}
        if wrong := (self._guilds ^ self._announced) | (there ^ self._announced):
            raise ValueError(f"the first line and the guilds disagree about {', '.join(sorted(wrong))}")
        for guild, (version, digest) in self._chains.items():
            if rows("SELECT version, hash FROM catalogue_head WHERE guild = ?", (guild,)) != [
                (version, digest)
            ]:
                raise ValueError(f"the archive's journal of {guild} does not end at its head")


def core_types() -> Iterator[tuple[str, dict[str, str]]]:
    """The columns of the core's tables, each with its type."""
    from playhouse.migrations import Runner

    migrations = Path(__file__).parents[1] / "migrations"
    assert steps_in(migrations)
    with alone(Path("/nowhere"), "memory") as db:
        Runner(db, str(migrations), table_name=f"migration_{CORE}").up()
        for (table,) in rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ):
            if not table.startswith("migration_"):
                yield table, dict(rows("SELECT name, type FROM pragma_table_info(?)", (table,)))

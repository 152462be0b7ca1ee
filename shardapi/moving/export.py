"""A shard as lines: every table of the store, those of plugins that do not run too."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from .. import snapshot
from ..backup import drafting, secrets_of
from ..config import Config
from ..folder import STORE
from ..shard import VERSION
from ..snapshot import BackupError, facts
from ..store import FAILURES, alone, database, rows
from .lines import ENCODER, FORMAT, End, Export, Line, OfGuild, Row, Schema, Signing, text_or_not, written

OWN_CONTENT = re.compile(r"\bcontent\s*=", re.IGNORECASE)  # an index with this has its words from elsewhere


class Table(NamedTuple):
    """A table to be told: its columns, and what gives its rows an order that a copy has too."""

    name: str
    columns: tuple[str, ...]
    order: str

    @property
    def of_guilds(self) -> bool:
        """Whether each row names its guild."""
        return self.name == "guild" or "guild" in self.columns

    @property
    def guild_column(self) -> str:
        """The column that names the guild."""
        return "id" if self.name == "guild" else "guild"


class Told(NamedTuple):
    """What was exported."""

    guilds: int
    rows: int
    lines: int


def export(settings: Config, out: IO[bytes], events: bool) -> Told:
    """Write the shard of these settings as lines. Raises BackupError."""
    try:
        with _room(settings.folder) as room:
            copy = room / STORE
            snapshot.take(
                settings.folder, copy
            )  # so that a slow reader keeps nobody from beginning the WAL anew
            with alone(copy) as db:
                db.connection().text_factory = text_or_not
                return _write(out, settings, events)
    except FAILURES as error:
        raise BackupError(f"{settings.folder / STORE}: {error}; the export is not whole") from error


@contextmanager
def _room(folder: Path) -> Iterator[Path]:
    """A folder for a copy of the store, on its own disk where that can be."""
    if os.access(folder, os.W_OK):
        with drafting(folder, ".shardapi-export-") as draft:
            yield draft
    else:
        with tempfile.TemporaryDirectory(prefix="shardapi-") as name:
            yield Path(name)


def _write(out: IO[bytes], settings: Config, events: bool) -> Told:
    told, count, lines = facts(), 0, 0
    for line in _lines(settings, events):
        count += isinstance(line, Row)
        lines += 1
        out.write(ENCODER.encode(line) + b"\n")
    out.write(ENCODER.encode(End(rows=count)) + b"\n")
    return Told(len(told.guilds), count, lines + 1)


def _lines(settings: Config, events: bool) -> Iterator[Line]:
    found = facts()
    yield Export(format=FORMAT, version=VERSION, guilds=found.guilds, events=events)
    yield Signing(secrets=tuple(secrets_of(settings)))
    yield from schema()
    told = list(tables())
    guilds = [one.id for one in found.guilds]
    for table in told:
        if not table.of_guilds:
            yield from _rows(table, "name <> 'epoch'" if table.name == "meta" else "true")
        elif table.name != "guild":
            yield from _rows(
                table, f"{quoted('guild')} IS NULL OR {quoted('guild')} NOT IN (SELECT id FROM guild)"
            )
    for guild in guilds:
        yield OfGuild(id=guild)
        for table in sorted(told, key=lambda table: table.name != "guild"):
            if table.of_guilds:
                yield from _of_guild(table, guild, events)


def _of_guild(table: Table, guild: str, events: bool) -> Iterator[Row]:
    which = f"{quoted(table.guild_column)} = ?"
    if table.name == "event" and not events:
        which += " AND number IN (SELECT number FROM open_event)"  # as when the others were forgotten
    for row in _rows(table, which, guild):
        if table.name == "guild" and not events:
            last = facts().last_event
            yield Row(table=row.table, values={**row.values, "pruned": last})
        else:
            yield row


def _rows(table: Table, which: str, *parameters: str) -> Iterator[Row]:
    columns = ", ".join(quoted(name) for name in table.columns)
    sql = f"SELECT {columns} FROM {quoted(table.name)} WHERE {which} ORDER BY {table.order}"
    for found in database.connection().execute(sql, parameters):
        values = (written(value) for value in found)
        yield Row(table=table.name, values=dict(zip(table.columns, values, strict=True)))


def schema() -> Iterator[Schema]:
    """The store's schema, less what SQLite makes by itself; tables first, as an import makes them."""
    kinds = dict(rows("SELECT name, type FROM pragma_table_list WHERE schema = 'main'"))
    found = rows(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type <> 'table', rowid"
    )
    for kind, name, sql in found:
        if name.startswith("sqlite_") or kinds.get(name) == "shadow":
            continue
        yield Schema(kind="virtual" if kinds.get(name) == "virtual" else kind, name=name, sql=sql)


def tables() -> Iterator[Table]:
    """The tables whose rows are told, in their order."""
    made = {one.name: one for one in schema() if one.kind in ("table", "virtual")}
    keyed = dict(rows("SELECT name, wr FROM pragma_table_list WHERE schema = 'main'"))
    for name, one in made.items():
        if one.kind == "table" or not OWN_CONTENT.search(one.sql):
            yield _table(name, bool(keyed[name]))
    if "sqlite_sequence" in keyed:  # numbers that were given once are not given again
        yield Table("sqlite_sequence", ("name", "seq"), "name")


def _table(name: str, without_rowid: bool) -> Table:
    columns = rows("SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", (name,))
    key = ", ".join(quoted(column) for column, place in sorted(columns, key=lambda row: row[1]) if place)
    return Table(name, tuple(column for column, _ in columns), key if without_rowid else "rowid")


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'

"""A shard as lines and back: everything is in them, what is wrong is named by its line, and nothing is half moved."""

import base64
import io
import json
import math
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal import SHARDAPI

from shardapi import ShardApp, folder, journal
from shardapi.cli import main
from shardapi.config import load
from shardapi.events import Event, UserJoined
from shardapi.moving.export import export
from shardapi.moving.lines import NoText, read, text_or_not, written
from shardapi.moving.load import _loaded
from shardapi.outbox.vault import Secret, Vault
from shardapi.store import many, one, rows

MakeApp = Callable[..., ShardApp]
ODD = "a\u0000b\u2028\r\n\t\"'\\ \ufeff\U0001f680 \x7f ￿"


def run(*words: str | Path, stdin: bytes | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(main, [str(word) for word in words], input=stdin)


def exported(data: Path, *words: str) -> bytes:
    """What `shardapi export` writes."""
    result = run("export", *words, "--data-dir", data)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def imported(lines: bytes, data: Path, *words: str) -> Any:
    """What `shardapi import` says of lines that it takes."""
    result = run("import", "-", *words, "--data-dir", data, "--json", stdin=lines)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(lines: bytes, data: Path, *words: str) -> str:
    """The one line with which it refuses others."""
    result = run("import", "-", *words, "--data-dir", data, stdin=lines)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.output
    (line,) = result.stderr.strip().splitlines()
    return str(line)


@pytest.fixture
def busy(app: ShardApp, client: FlaskClient) -> ShardApp:
    """A shard with something in every table, in two guilds, beside a table of a plugin that is gone."""

    def call(path: str, body: Any, method: str = "POST") -> Any:
        answer = client.open(f"/api/v1{path}", method=method, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json

    nets = [call("/nets", {"name": name})["netUid"] for name in ("Strike", "Zoë 🚀", "gone")]
    call("/assignments", {"userId": "1", "netUid": nets[0]})
    call("/assignments/temporary", {"userId": "2", "netUid": nets[0], "minutes": 60})
    call("/rules", {"rules": [{"roleId": "7", "netUids": nets[:2]}]})
    call("/presets", {"name": "a/b %", "nets": [{"name": "Strike"}], "assignments": {}})
    call("/nets/remove", {"netUid": nets[2]})
    call("/archive", {"name": "old", "notes": "line\nline", "tags": ["red", "red"]})
    call("/webhooks", {"url": "http://93.184.215.14/hook", "secret": "s" * 20})
    app.shard.writer.append([joined("1"), joined("2")])
    app.shard.operators.revoke("9")

    def more() -> None:
        one(
            "CREATE TABLE gone_plugin (id INTEGER PRIMARY KEY AUTOINCREMENT, guild TEXT, text, real REAL, raw BLOB)"
        )
        many(
            "INSERT INTO gone_plugin VALUES (?, ?, ?, ?, ?)", [(5, app.shard.guild_id, ODD, 1.0, b"\xff\x00")]
        )
        many(
            "INSERT INTO gone_plugin VALUES (6, 'nobody', CAST(? AS TEXT), ?, ?)",
            [(b"\xff\xfe", math.inf, None)],
        )
        one("CREATE TABLE gone_shared (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID")
        many("INSERT INTO gone_shared VALUES (?, ?)", [(2**63 - 1, 1), (-0.5, 1)])
        one("CREATE VIRTUAL TABLE gone_words USING fts5(text)")
        one("INSERT INTO gone_words VALUES ('kept in itself')")
        one("CREATE VIEW gone_view AS SELECT * FROM gone_plugin")

    app.shard.store.execute(more)
    return app


def joined(user: str) -> Event:
    """That somebody has come."""
    return Event("user.joined", UserJoined(user_id=user, display_name=ODD, transport="ws", nets=()))


@pytest.fixture
def lines(busy: ShardApp) -> bytes:
    """The busy shard, exported."""
    return exported(busy.shard.store.folder)


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """What the tests of this file share."""
    return {}


@pytest.fixture
def some_lines(kept: dict[str, bytes], request: pytest.FixtureRequest) -> bytes:
    """A busy shard, exported, of a test before."""
    if "lines" not in kept:
        kept["lines"] = request.getfixturevalue("lines")
    return kept["lines"]


# -- what is in it


@pytest.mark.parametrize("words", [(), ("--events",)])
def test_what_was_imported_is_exported_just_so(
    busy: ShardApp, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = exported(busy.shard.store.folder, *words)
    imported(before, tmp_path / "new")
    assert exported(tmp_path / "new", *words) == before


def test_one_of_something_is_told_as_one(app: ShardApp, tmp_path: Path) -> None:
    app.shard.keys.create("bot", ["read:status"])
    file = tmp_path / "x.jsonl"
    told = run("export", file, "--data-dir", app.shard.store.folder).stdout
    assert f"{file}: 1 guild, " in told and " rows." in told
    assert "with 1 key, " in run("import", "--check", file, "--data-dir", tmp_path / "new").stdout


def test_a_moved_shard_is_the_same_to_its_bots(
    busy: ShardApp, client: FlaskClient, key: str, lines: bytes, tmp_path: Path, make_app: MakeApp
) -> None:
    kept = busy.shard.store.read(lambda: bytes(one("SELECT secret FROM outbox_endpoint")[0]))
    token = busy.shard.tokens.sign("test", {"user": "1"})
    head = busy.shard.store.read(lambda: journal.head(busy.shard.guild_id))
    imported(lines, tmp_path / "new")
    moved = make_app(tmp_path / "new")
    other = moved.test_client()
    other.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    for path in (
        "/assignments",
        "/features",
        "/public-net",
        "/rules",
        "/presets",
        "/archive",
        "/archive?q=ol",
        "/webhooks",
    ):
        then, now = client.get(f"/api/v1{path}"), other.get(f"/api/v1{path}")
        assert (now.status_code, now.json) == (200, then.json), path
    then, now = client.get("/api/v1/status").json, other.get("/api/v1/status").json
    assert {**now, "shard": 0} == {**then, "shard": 0}
    assert Vault(moved.shard.tokens).open(kept)[0] == Secret("s" * 20)
    assert moved.shard.tokens.read("test", token) == {"user": "1"}
    assert moved.shard.store.read(lambda: journal.head(moved.shard.guild_id)) == head
    assert moved.shard.operators.revoked_at("9") > 0


def test_without_events_the_log_is_as_if_all_were_forgotten_but_what_is_open(
    busy: ShardApp, lines: bytes, tmp_path: Path, make_app: MakeApp
) -> None:
    last = busy.shard.events.newest
    epoch = busy.shard.events.epoch
    imported(lines, tmp_path / "new")
    moved = make_app(tmp_path / "new").shard
    assert moved.store.read(lambda: rows("SELECT type FROM event")) == [("user.joined",)] * 2
    assert (moved.events.newest, moved.events.oldest) == (last, last + 1)
    assert moved.events.missing_after(last - 1) and moved.events.epoch != epoch
    moved._close_what_a_crash_left_open()
    assert [event.type for event in moved.events.page(last, 2**60)] == ["user.left"] * 2


def test_with_events_the_log_is_the_same_in_another_epoch(
    busy: ShardApp, tmp_path: Path, make_app: MakeApp
) -> None:
    imported(exported(busy.shard.store.folder, "--events"), tmp_path / "new")
    moved = make_app(tmp_path / "new").shard

    def log(shard: Any) -> list[Any]:
        return [(event.number, event.type, event.envelope["data"]) for event in shard.events.page(0, 2**60)]

    assert log(moved) == log(busy.shard) and moved.events.epoch != busy.shard.events.epoch


def test_two_guilds_are_moved_apart(make_app: MakeApp, tmp_path: Path) -> None:
    for guild in ("11", "22"):
        make_app(GUILD__ID=guild).shard.keys.create(f"bot of {guild}", ["read:status"])
    found = [json.loads(line) for line in exported(tmp_path / "data").splitlines()]
    assert [guild["id"] for guild in found[0]["guilds"]] == ["11", "22"]
    whose, keys = "", {}
    for line in found:
        whose = line["id"] if line["type"] == "guild" else whose
        if line["type"] == "row" and line["table"] == "api_key":
            keys[whose] = line["values"]["name"]
    assert keys == {"11": "bot of 11", "22": "bot of 22"}
    imported(exported(tmp_path / "data"), tmp_path / "new")
    assert [key.name for key in make_app(tmp_path / "new", GUILD__ID="22").shard.keys.all()] == ["bot of 22"]


def test_a_file_is_private_and_none_is_overwritten(busy: ShardApp, lines: bytes, tmp_path: Path) -> None:
    file, data = tmp_path / "shard.jsonl", busy.shard.store.folder
    assert run("export", file, "--data-dir", data, "--json").exit_code == 0
    assert file.read_bytes() == lines and file.stat().st_mode & 0o777 == 0o600
    assert "it stays as it is" in run("export", file, "--data-dir", data).stderr
    assert run("import", file, "--check", "--data-dir", data).exit_code == 0


@pytest.mark.parametrize("how", ["a table", "all of it"])
@pytest.mark.parametrize("target", ["-", "file"])
def test_a_damaged_store_is_told_in_one_line(app: ShardApp, tmp_path: Path, target: str, how: str) -> None:
    for number in range(50):
        app.shard.keys.create(f"bot {number}", ["read:status"])
    data = app.shard.store.folder
    app.shard.close()
    store = data / "shard.sqlite3"
    with closing(sqlite3.connect(store)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'api_key'").fetchone()
    with store.open("r+b") as file:
        file.seek(4096 * (page - 1) if how == "a table" else 0)
        file.write(b"\xff" * 64)
    file_or_not = tmp_path / target if target == "file" else target
    result = run("export", file_or_not, "--data-dir", data)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"Error: {store}: ") and "the export is not whole" in line
    assert not (tmp_path / "file").exists()
    assert b'"type":"end"' not in result.stdout_bytes
    if how == "all of it":
        (line,) = run("config", "check", "--data-dir", data).stderr.strip().splitlines()
        assert line.startswith("Error: ") and "not a database" in line


def test_an_export_goes_through_a_pipe(busy: ShardApp, lines: bytes, tmp_path: Path) -> None:
    data, new = busy.shard.store.folder, tmp_path / "new"
    out = subprocess.Popen([*SHARDAPI, "export", "--data-dir", str(data)], stdout=subprocess.PIPE)
    done = subprocess.run(
        [*SHARDAPI, "import", "-", "--data-dir", str(new)], stdin=out.stdout, timeout=60, check=True
    )
    assert out.stdout is not None
    out.stdout.close()
    assert (out.wait(10), done.returncode) == (0, 0)
    assert exported(new) == lines


# -- values


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=8))
def test_any_values_come_back_as_they_were(plain: bytes, values: list[tuple[Any, Any]]) -> None:
    head, *rest = plain.splitlines(keepends=True)
    table = {"type": "schema", "kind": "table", "name": "odd", "sql": "CREATE TABLE odd (a, b)"}
    with closing(sqlite3.connect(":memory:")) as db:
        db.text_factory = text_or_not
        stored = [db.execute("SELECT ?, ?", one).fetchone() for one in values]
    made = [
        {"type": "row", "table": "odd", "values": dict(zip("ab", map(as_json, one), strict=True))}
        for one in stored
    ]
    end = json.loads(rest[-1])
    end["rows"] += len(made)
    place = next(at for at, line in enumerate(rest) if b'"type":"row"' in line)
    text = [json.dumps(one).encode() + b"\n" for one in (table, *made)]
    lines = b"".join([head, *rest[:place], *text, *rest[place:-1], json.dumps(end).encode() + b"\n"])
    with TemporaryDirectory() as name:
        data, again = Path(name, "data"), Path(name, "again")
        first = came_back(lines, data)
        with closing(sqlite3.connect(data / "shard.sqlite3")) as db:
            assert repr(db.execute("SELECT a, b FROM odd ORDER BY rowid").fetchall()) == repr(stored)
        assert came_back(first, again) == first


def came_back(lines: bytes, folder: Path) -> bytes:
    """What is exported from a folder that these lines were loaded into."""
    folder.mkdir()
    made, out = load(data_dir=str(folder), environ={}), io.BytesIO()
    _loaded(made, "these", lines.splitlines(keepends=True), folder)
    export(made, out, events=False)
    return out.getvalue()


def as_json(value: Any) -> Any:
    """A value as a line has it."""
    said = written(value)
    assert read(said) == value
    if said is None or isinstance(said, str | int | float):
        return said
    return {
        name: getattr(said, name) for name in ("base64", "text", "real") if getattr(said, name) is not None
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The export of a new shard."""
    data = tmp_path_factory.mktemp("plain") / "data"
    assert run("keys", "create", "bot", "--all-scopes", "--data-dir", data).exit_code == 0
    return exported(data)


def test_a_text_that_is_none_comes_back() -> None:
    said = written(NoText(b"\xff"))
    assert base64.b64decode(said.text) == b"\xff" and read(said) == NoText(b"\xff")  # type: ignore[union-attr,arg-type]


# -- what is refused


def numbered(lines: bytes, *words: str) -> int:
    """The number of the first line that has all these words."""
    return next(
        number
        for number, line in enumerate(lines.splitlines(), 1)
        if all(word.encode() in line for word in words)
    )


WRONG = [
    (("net", '"Strike"'), ('"Strike"', "5"), "net.name is text, and 5 is none"),
    (("net", '"Strike"'), ('"slot":1', '"slot":"one"'), "net.slot is integer"),
    (("net", '"Strike"'), ('"slot":1', '"slto":1'), "slto"),
    (("net", '"Strike"'), ('"table":"net"', '"table":"nets"'), "no such table: nets"),
    (("net", '"Strike"'), ('"type":"row"', '"type":"rwo"'), "no line of an export"),
    (("net", '"Strike"'), ('"values"', '"more":1,"values"'), "no line of an export"),
    (("net", '"Strike"'), ("}}", "}"), "is no JSON"),
    (("net", '"Strike"'), ('"relays":"[]"', '"relays":"["'), "line"),
    (("net", '"Strike"'), ('"guild":"', '"guild":null,"x":"'), "net.guild is text"),
    (("api_key", "test"), ('"base64":"', '"base64":"!'), "line"),
    (("catalogue_change", '"version":2'), ('"version":2', '"version":4'), "broken at version 4"),
    (("catalogue_change", '"version":2'), ('"base64":"', '"base64":"AAAA'), "broken at version 2"),
    (("schema", "CREATE TABLE meta"), ("CREATE TABLE meta", "DROP TABLE meta"), "makes no table"),
    (("schema", "CREATE TABLE meta"), ("CREATE TABLE meta", "CREATE TABLE mate"), "something else than meta"),
    (("signing",), ('["', '["with space'), "no spaces"),
    (("export",), ('"format":1', '"format":2'), "of format 2"),
    (('"type":"end"',), ('"rows":', '"rows":1'), "lines are missing or doubled"),
]


@pytest.mark.parametrize(("where", "change", "why"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_line_is_named_and_nothing_is_imported(
    some_lines: bytes, tmp_path: Path, where: tuple[str, ...], change: tuple[str, str], why: str
) -> None:
    number = numbered(some_lines, *where)
    every = some_lines.splitlines(keepends=True)
    wrong = every[number - 1].replace(change[0].encode(), change[1].encode(), 1)
    assert wrong != every[number - 1]
    every[number - 1] = wrong
    said = refusal(b"".join(every), tmp_path / "new")
    assert said.startswith(f"Error: standard input: line {number}") and why in said
    assert not (tmp_path / "new" / "shard.sqlite3").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.999])
def test_an_export_that_is_cut_off_is_refused(some_lines: bytes, tmp_path: Path, share: float) -> None:
    said = refusal(some_lines[: int(len(some_lines) * share)], tmp_path / "new")
    assert "line" in said and ("cut off" in said or "no JSON" in said)


def test_lines_that_are_missing_or_doubled_are_found(some_lines: bytes, tmp_path: Path) -> None:
    every = some_lines.splitlines(keepends=True)
    row = numbered(some_lines, '"table":"audit"') - 1
    for changed in (every[:row] + every[row + 1 :], [*every[: row + 1], *every[row:]], [*every, every[-1]]):
        assert "Error: standard input: line" in refusal(b"".join(changed), tmp_path / "new")


def test_a_newer_export_is_refused(busy: ShardApp, tmp_path: Path) -> None:
    busy.shard.store.execute(lambda: one("INSERT INTO migration_core VALUES (99, '9999_later', '')"))
    said = refusal(exported(busy.shard.store.folder), tmp_path / "new")
    assert "newer than this version of core" in said and "upgrade" in said


def test_an_import_refuses_a_folder_that_is_served_or_has_a_shard(
    busy: ShardApp, lines: bytes, tmp_path: Path, make_app: MakeApp
) -> None:
    data = busy.shard.store.folder
    assert "--force puts the export in its place" in refusal(lines, data)
    assert "another command has the store" in refusal(lines, data, "--force")
    serving = folder.lock(data)
    assert serving is not None
    assert "a server runs on" in refusal(lines, data, "--force")
    os.close(serving)
    busy.shard.close()
    done = imported(lines, data, "--force")
    assert (Path(done["replaced"]) / "shard.sqlite3").exists()
    assert make_app(data).shard.guild_id == busy.shard.guild_id


def test_checking_an_export_imports_nothing(some_lines: bytes, tmp_path: Path) -> None:
    assert imported(some_lines, tmp_path / "new", "--check")["keys"] == 1
    assert not (tmp_path / "new").exists()

"""Upgrades: from every store there has been, cut off at every statement, a store is the old one or the new."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from faults.disk import Disk
from terminal import SHARDAPI

from shardapi import ShardApp, backup, retention, upgrades
from shardapi.cli import main
from shardapi.config import load
from shardapi.store import Store, alone

HERE = Path(__file__).resolve().parent
CORE = HERE.parent / "shardapi" / "migrations"
PLUGINS = {
    path.parent.name.removeprefix("shardapi_"): path
    for path in sorted((HERE.parent / "plugins").glob("shardapi_*/migrations"))
}
VERSIONS = sorted(upgrades.steps_in(CORE))
# Rows of the first version, for the steps that carry some over.
FILLED = """
INSERT INTO guild VALUES ('1', 'One', 3, 5, 1, '{}', '{}', 0, 0, 0);
INSERT INTO guild VALUES ('2', 'Two', 0, 5, 0, '{}', '{}', 0, 0, 1);
INSERT INTO catalogue VALUES
    (7, '1', 'net_a', 'Strike', 'notes', '["red","red"]', '[]', '[]', '[]', 1, 2, 3, 'removed'),
    (8, '2', 'net_b', 'Night', '', '[]', '[]', '[]', '[]', 1, 2, 3, 'api');
INSERT INTO catalogue_change (guild, uid, action, at, entry) VALUES
    ('1', 'net_a', 'upsert', 10, '{"uid":"net_a"}'), ('2', 'net_b', 'upsert', 11, '{"uid":"net_b"}'),
    ('1', 'net_a', 'upsert', 12, '{"uid":"net_a","name":"Strike"}');
"""


def steps(folder: Path, upto: int) -> Path:
    """The core's first migrations, in a folder of their own."""
    folder.mkdir()
    for name in VERSIONS[:upto]:
        shutil.copy(CORE / f"{name}.py", folder)
    return folder


def old_store(folder: Path, upto: int, plugins: bool) -> Path:
    """A store as a version made it that had so many migrations of the core; it has rows."""
    folder.mkdir(mode=0o700)
    store = Store(folder)
    store.migrate("core", steps(folder.parent / "first", 1))
    with closing(sqlite3.connect(folder / "shard.sqlite3")) as db:
        db.executescript(FILLED)
    store.migrate("core", steps(folder.parent / "steps", upto))
    for name, directory in PLUGINS.items() if plugins else ():
        store.migrate(name, directory)
    store.close()
    return folder


def content(path: Path) -> dict[str, Any]:
    """The schema of a store, its rows, and what SQLite finds wrong."""
    with closing(sqlite3.connect(path)) as db:
        found = {name: sql for name, sql in db.execute("SELECT name, sql FROM sqlite_master")}
        tables = [name for name, sql in found.items() if sql and sql.startswith("CREATE TABLE")]
        rows = {name: sorted(map(repr, db.execute(f'SELECT * FROM "{name}"'))) for name in tables}
        for name in list(rows):
            if name.startswith("migration_"):  # the time is another each time
                rows[name] = sorted(one for (one,) in db.execute(f'SELECT name FROM "{name}"'))
        return {"schema": found, "rows": rows, "wrong": db.execute("PRAGMA integrity_check").fetchall()}


@pytest.mark.parametrize(
    ("owner", "version"),
    [
        *(("core", version) for version in range(1, len(VERSIONS))),
        *((plugin, len(VERSIONS)) for plugin in PLUGINS),
    ],
)
def test_an_upgrade_that_is_killed_at_any_statement_leaves_the_old_store_or_the_new(
    tmp_path: Path, owner: str, version: int
) -> None:
    old = old_store(tmp_path / "old", version, plugins=owner == "core")
    directory = CORE if owner == "core" else PLUGINS[owner]
    call = [sys.executable, str(HERE / "upgraded.py"), str(old), owner, str(directory), str(tmp_path / "cut")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    before, after = content(old / "shard.sqlite3"), content(tmp_path / "cut" / "whole" / "shard.sqlite3")
    assert before["schema"] != after["schema"] and after["wrong"] == [("ok",)]
    states = []
    for number in range(report["statements"]):
        found = content(tmp_path / "cut" / str(number) / "shard.sqlite3")
        assert found in (before, after), number
        states.append(found == after)
    assert states == sorted(states) and report["statements"] > 5  # once it is new it stays so
    assert set(report["killed"]) == {9}


@pytest.mark.parametrize("version", range(1, len(VERSIONS) + 1))
def test_every_version_is_upgraded_to_what_a_new_one_is(
    tmp_path: Path, version: int, make_app: Callable[..., ShardApp]
) -> None:
    old = old_store(tmp_path / "old", version, plugins=version > 1)
    make_app(old).shard.close()
    make_app(tmp_path / "new").shard.close()
    upgraded, new = content(old / "shard.sqlite3"), content(tmp_path / "new" / "shard.sqlite3")
    assert {name for name in new["schema"]} == {name for name in upgraded["schema"]}
    assert upgraded["rows"]["migration_core"] == VERSIONS
    assert len(upgraded["rows"]["catalogue"]) == 2 and upgraded["wrong"] == [("ok",)]
    kept = retention.dated(old, upgrades.BEFORE)
    assert len(kept) == (version < len(VERSIONS) or version == 1)
    for path in kept:
        done = CliRunner().invoke(
            main, ["restore", str(path), "--data-dir", str(tmp_path / "back"), "--json"]
        )
        assert done.exit_code == 0, done.output
        had = content(tmp_path / "back" / "shard.sqlite3")["rows"]["migration_core"]
        assert had == VERSIONS[:version]


def test_a_migration_that_fails_leaves_no_trace_of_those_before_it(tmp_path: Path) -> None:
    store = Store(old_store(tmp_path / "old", len(VERSIONS), plugins=True))
    folder = tmp_path / "failing"
    folder.mkdir()
    (folder / "0001_good.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE good (a)')\n"
    )
    (folder / "0002_bad.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE bad (')\n")
    before = content(store.path)
    with pytest.raises(Exception, match="syntax|incomplete"):
        store.migrate("mine", folder)
    store.close()
    assert content(store.path) == before


def test_a_new_shard_makes_no_backup_of_nothing(app: ShardApp) -> None:
    assert retention.dated(app.shard.store.folder, upgrades.BEFORE) == []


def test_the_last_three_backups_before_upgrades_are_kept_each_of_another_store(tmp_path: Path) -> None:
    data = old_store(tmp_path / "old", 1, plugins=False)
    settings = load(data_dir=str(data), environ={})
    first = upgrades.keep_before_upgrade(settings)
    assert upgrades.keep_before_upgrade(settings) == first  # a start that failed, and is tried again
    made = [first]
    for number in range(4):
        with alone(data / "shard.sqlite3", "rw") as db:
            db.execute_sql(f"INSERT INTO meta VALUES ('n{number}', '')")
        made.append(upgrades.keep_before_upgrade(settings))
    assert retention.dated(data, upgrades.BEFORE) == made[-3:]


def test_a_failing_plugin_leaves_a_backup_and_the_store_as_it_was(
    make_app: Callable[..., ShardApp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_app(PLUGINS__ENABLED="nets").shard.close()
    data = tmp_path / "data"
    before = content(data / "shard.sqlite3")
    monkeypatch.setattr(upgrades, "_note_tables", lambda *given: 1 / 0)
    done = CliRunner().invoke(
        main, ["keys", "list", "--data-dir", str(data)], env={"SHARDAPI_PLUGINS__ENABLED": "presets"}
    )
    assert done.exit_code == 1 and done.stderr.startswith(
        "Error: plugin presets: a migration failed and was taken back"
    )
    assert content(data / "shard.sqlite3") == before
    (kept,) = retention.dated(data, upgrades.BEFORE)
    assert backup.check(kept).store.migrations["core"] == VERSIONS


@pytest.mark.root
def test_without_room_for_the_backup_there_is_no_upgrade(tmp_path: Path) -> None:
    with Disk(tmp_path / "disk", "900k") as disk:
        data = old_store(disk.path / "data", 1, plugins=False)
        with alone(data / "shard.sqlite3", "rw") as db:
            db.execute_sql("PRAGMA journal_mode = wal")
            db.execute_sql("INSERT INTO meta VALUES ('much', hex(zeroblob(150000)))")
        before = content(data / "shard.sqlite3")
        done = CliRunner().invoke(main, ["keys", "list", "--data-dir", str(data)])
        (line,) = done.stderr.strip().splitlines()
        assert done.exit_code == 1 and "the backup that comes first, for which" in line
        assert re.search(r" needs \d+ MB, cannot be made: .*(No space left|disk is full)", line)
        assert content(data / "shard.sqlite3") == before
        assert [path.name for path in data.iterdir() if "backup" in path.name or "before" in path.name] == []


def test_a_server_refuses_a_newer_store_in_one_line(tmp_path: Path) -> None:
    data = old_store(tmp_path / "old", len(VERSIONS), plugins=False)
    with closing(sqlite3.connect(data / "shard.sqlite3")) as db, db:
        db.execute("INSERT INTO migration_core VALUES (9999, '9999_later', '')")
    before = content(data / "shard.sqlite3")
    env = {**os.environ, "SHARDAPI_SERVER__BIND": "127.0.0.1:0"}
    call = [*SHARDAPI, "serve", "--data-dir", str(data)]
    done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "Error: " in line]
    assert "the store is newer than this version of core (it has had 9999_later); upgrade shardapi" in line
    assert content(data / "shard.sqlite3") == before and retention.dated(data, upgrades.BEFORE) == []

"""Backups are one moment of the shard, whole and private; a restore makes it so again, and says what came back."""

import errno
import json
import os
import random
import re
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from faults.disk import Disk

from shardapi import ShardApp, backup, clock, folder, placing, restore
from shardapi.cli import main
from shardapi.config import load
from shardapi.eventlog import still_open
from shardapi.events import Event, UserJoined
from shardapi.outbox.vault import Secret, Vault
from shardapi.process import Process
from shardapi.snapshot import BackupError
from shardapi.store import many
from shardapi.testing import Server

MakeApp = Callable[..., ShardApp]


def run(*words: str | Path, env: dict[str, str] | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(main, [str(word) for word in words], env=env)


def said(result: Result) -> Any:
    """The JSON that a command printed."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(result: Result) -> str:
    """The one line with which a command was refused."""
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: ") and result.stdout == ""
    return str(line)


def value(path: Path, sql: str) -> Any:
    """The one value of a query on a store's file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchone()[0]


@pytest.fixture(scope="session")
def shard_settings() -> dict[str, str]:
    """Few plugins: most of what these tests cost is to begin shards."""
    return {"SHARDAPI_PLUGINS__ENABLED": "archive,nets"}


@pytest.fixture
def data(app: ShardApp) -> Path:
    """The data folder of `app`, which has it open."""
    return app.shard.store.folder


@pytest.fixture
def made(app: ShardApp, data: Path, tmp_path: Path) -> Path:
    """A backup of `app`, which has a key."""
    app.shard.keys.create("bot", ["read:status"])
    said(run("backup", tmp_path / "made.zip", "--data-dir", data, "--json"))
    return tmp_path / "made.zip"


def members(path: Path) -> dict[str, bytes]:
    """What is in a backup."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, content: dict[str, bytes]) -> Path:
    """A file like a backup, with this in it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


# -- what a backup is


def test_a_backup_is_one_private_file_that_holds_all_of_a_shard(
    app: ShardApp, data: Path, tmp_path: Path
) -> None:
    app.shard.keys.create("bot", ["read:status"])
    config = tmp_path / "shardapi.toml"
    config.write_text("[server]\n# a remark of the owner's\n")
    (data / "nets" / "deep").mkdir(parents=True)
    (data / "nets" / "deep" / "file").write_bytes(b"of a plugin")
    target = tmp_path / "shard.zip"
    facts = said(run("backup", target, "--data-dir", data, "--config", config, "--json"))
    assert facts["keys"] == 1 and facts["guilds"] == [{"id": app.shard.guild_id, "name": "Shard"}]
    assert facts["bytes"] == target.stat().st_size and facts["file"] == str(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    content = members(target)
    assert content["settings.toml"] == config.read_bytes()
    assert content["signing.secret"] == (data / "signing.secret").read_bytes()
    assert content["nets/deep/file"] == b"of a plugin"
    assert set(content) == {
        "backup.json",
        "settings.toml",
        "shard.sqlite3",
        "signing.secret",
        "nets/deep/file",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "shard.zip", "shardapi.toml"]


def test_a_backup_holds_what_is_committed_and_nothing_that_is_not(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "shard.sqlite3", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO meta VALUES ('half', 'done')")
        said(run("backup", tmp_path / "during.zip", "--data-dir", data, "--json"))
        db.execute("COMMIT")
    said(run("backup", tmp_path / "after.zip", "--data-dir", data, "--json"))
    for name, there in (("during", 0), ("after", 1)):
        store = tmp_path / f"{name}.sqlite3"
        store.write_bytes(members(tmp_path / f"{name}.zip")["shard.sqlite3"])
        assert value(store, "SELECT count(*) FROM meta WHERE name = 'half'") == there


def test_a_secret_from_the_settings_is_in_the_backup(make_app: MakeApp, tmp_path: Path) -> None:
    make_app(SIGNING_SECRET="new-one old-one")
    env = {"SHARDAPI_SIGNING_SECRET": "new-one old-one"}
    said(run("backup", tmp_path / "b.zip", "--data-dir", tmp_path / "data", "--json", env=env))
    assert members(tmp_path / "b.zip")["signing.secret"] == b"new-one\nold-one\n"


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_backup_without_the_signing_secret_is_made_and_removes_no_older_one(
    data: Path, tmp_path: Path, how: str
) -> None:
    kept = tmp_path / "kept"
    said(run("backup", "--keep", "1", kept, "--data-dir", data, "--json"))
    (data / "signing.secret").unlink()
    if how == "empty":
        (data / "signing.secret").touch()
    for words in ((), ("--json",)):
        done = run("backup", "--keep", "1", kept, "--data-dir", data, *words)
        assert done.exit_code == 1 and "whole" not in done.stdout
        assert f"has no signing secret, because {data / 'signing.secret'} is not there" in done.stderr
    assert len(list(kept.iterdir())) == 3
    lacking = Path(json.loads(done.stdout)["file"])
    assert "signing.secret" not in members(lacking)
    restored = said(run("restore", lacking, "--data-dir", tmp_path / "new", "--json"))
    assert "there is no signing secret" in restored["warnings"][1]
    env = {"SHARDAPI_SIGNING_SECRET": "one-of-the-settings"}
    assert (
        len(said(run("backup", "--keep", "1", kept, "--data-dir", data, "--json", env=env))["removed"]) == 3
    )


def test_a_newer_backup_takes_the_place_of_an_older_one_and_of_nothing_else(made: Path, data: Path) -> None:
    before = made.read_bytes()
    said(run("backup", made, "--data-dir", data, "--json"))
    assert made.read_bytes() != before
    made.write_text("a letter to my aunt")
    assert "no backup; it stays as it is" in refusal(run("backup", made, "--data-dir", data))
    assert made.read_text() == "a letter to my aunt"


def test_a_backup_that_cannot_be_made_leaves_the_older_one(
    made: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.read_bytes()
    monkeypatch.setattr(backup, "check", lambda path: (_ for _ in ()).throw(BackupError("not whole")))
    assert "not whole" in refusal(run("backup", made, "--data-dir", data))
    assert made.read_bytes() == before
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".")] == []


def test_a_damaged_store_gives_no_backup(app: ShardApp, data: Path, tmp_path: Path) -> None:
    for number in range(50):
        app.shard.keys.create(f"bot {number}", ["read:status"])
    app.shard.close()
    store = data / "shard.sqlite3"
    with store.open("r+b") as file:
        file.seek(value(store, "SELECT rootpage FROM sqlite_master WHERE name = 'api_key'") * 4096 - 4096)
        file.write(b"\xff" * 64)
    assert "damaged" in refusal(run("backup", tmp_path / "b.zip", "--data-dir", data))
    assert not (tmp_path / "b.zip").exists()


def test_without_a_shard_there_is_no_backup(tmp_path: Path) -> None:
    line = refusal(run("backup", tmp_path / "b.zip", "--data-dir", tmp_path / "none"))
    assert line == f"Error: there is no shard in {tmp_path / 'none'}"
    assert list(tmp_path.iterdir()) == []


# -- retention


def test_the_last_backups_are_kept_and_nobody_elses_removed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    others = ["shard-9-20200101-000000.zip", "holiday.zip", "shard-x.zip"]
    for name in others:
        (kept / name).touch()
    made = []
    for second in (0, 1, 1, 3, -7):  # twice in one second, and a clock that was put back
        monkeypatch.setattr(clock, "now", lambda second=second: 1_800_000_000_000 + 1000 * second)
        facts = said(run("backup", "--keep", "3", kept, "--data-dir", data, "--json"))
        made.append(Path(facts["file"]))
        assert made[-1].exists()
    assert made[2].stem == made[1].stem + "-2"
    assert {path.name for path in kept.iterdir()} == {*others, *(path.name for path in made[2:])}
    assert facts["removed"] == [str(made[1])]


def test_a_folder_without_keep_is_refused(data: Path, tmp_path: Path) -> None:
    assert "--keep" in refusal(run("backup", tmp_path, "--data-dir", data))


# -- what is not restored


def test_a_byte_that_is_another_is_found_or_changes_nothing(made: Path, data: Path, tmp_path: Path) -> None:
    settings, good, chance = load(data_dir=str(data), environ={}), members(made), random.Random(8)
    found = 0
    for _ in range(150):
        content = bytearray(made.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (tmp_path / "bad.zip").write_bytes(content)
        try:
            restore.verify(settings, tmp_path / "bad.zip")
        except BackupError as error:
            assert str(error).startswith(str(tmp_path / "bad.zip"))
            found += 1
        else:  # in what a ZIP file says of times and such
            assert members(tmp_path / "bad.zip") == good
    assert found > 120


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_backup_that_is_cut_off_is_refused(made: Path, tmp_path: Path, share: float) -> None:
    made.write_bytes(made.read_bytes()[: int(made.stat().st_size * share)])
    line = refusal(run("restore", made, "--data-dir", tmp_path / "new"))
    assert line.startswith(f"Error: {made} is no whole backup")
    assert not (tmp_path / "new" / "shard.sqlite3").exists()


@pytest.mark.parametrize(
    ("owner", "word"), [("core", "newer than this version of core"), ("archive", "of archive")]
)
def test_a_newer_backup_is_refused(app: ShardApp, data: Path, tmp_path: Path, owner: str, word: str) -> None:
    def pretend() -> None:
        many(f"INSERT INTO migration_{owner} VALUES (99, '9999_later', '2030-01-01')", [()])

    app.shard.store.execute(pretend)
    said(run("backup", tmp_path / "b.zip", "--data-dir", data, "--json"))
    line = refusal(run("restore", tmp_path / "b.zip", "--data-dir", tmp_path / "new"))
    assert word in line and "9999_later" in line and "upgrade shardapi" in line


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda said: {**said, "format": 2}, "of format 2, which is newer"),
        (lambda said: {}, "of format 0"),
        (lambda said: {**said, "files": []}, "names other files"),
        (
            lambda said: {**said, "files": [*said["files"], {**said["files"][0], "name": "../x"}]},
            "names other",
        ),
        (lambda said: {**said, "files": [*said["files"], {**said["files"][0], "name": "/x"}]}, "names other"),
        (
            lambda said: {**said, "files": [*said["files"], {**said["files"][0], "name": "x"}]},
            "no whole backup",
        ),
    ],
)
def test_a_backup_that_says_other_things_of_itself_is_refused(
    made: Path, tmp_path: Path, change: Callable[[Any], Any], why: str
) -> None:
    content = members(made)
    content["backup.json"] = json.dumps(change(json.loads(content["backup.json"]))).encode()
    assert why in refusal(run("restore", packed(made, content), "--data-dir", tmp_path / "new"))


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    packed(tmp_path / "other.zip", {"a": b"b"})
    new = ("--data-dir", tmp_path / "new")
    assert "is no whole backup" in refusal(run("restore", tmp_path / "text", *new))
    assert "it has no backup.json" in refusal(run("restore", tmp_path / "other.zip", *new))
    assert "No such file" in refusal(run("restore", tmp_path / "none.zip", *new))
    assert not (tmp_path / "new").exists()


# -- where it is not restored


def test_a_restore_refuses_a_folder_that_is_served(app: ShardApp, made: Path, data: Path) -> None:
    app.shard.close()
    serving = folder.lock(data)
    assert serving is not None
    try:
        line = refusal(run("restore", "--force", made, "--data-dir", data))
    finally:
        os.close(serving)
    assert line == f"Error: a server runs on {data}; stop it first"


@pytest.mark.parametrize(
    ("group", "do"),
    [
        ("/system.slice/shardapi.service", ": systemctl stop shardapi.socket shardapi.service"),
        (
            "/system.slice/system-shardapi.slice/shardapi@two.service",
            ": systemctl stop shardapi@two.socket shardapi@two.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/shardapi.service",
            ": systemctl --user stop shardapi.socket shardapi.service",
        ),
        ("/user.slice/user-1000.slice/session-3.scope", ""),
    ],
)
def test_who_restores_over_a_unit_is_told_to_stop_its_socket_too(
    app: ShardApp, made: Path, data: Path, monkeypatch: pytest.MonkeyPatch, group: str, do: str
) -> None:
    app.shard.close()
    monkeypatch.setattr(Process, "group", lambda _: f"0::{group}")
    serving = folder.lock(data)
    assert serving is not None
    try:
        line = refusal(run("restore", "--force", made, "--data-dir", data))
    finally:
        os.close(serving)
    assert line == f"Error: a server runs on {data}; stop it first{do}"


def test_a_restore_refuses_a_store_that_somebody_has_open(app: ShardApp, made: Path, data: Path) -> None:
    before = app.shard.events.epoch
    assert "another command has the store" in refusal(run("restore", "--force", made, "--data-dir", data))
    assert app.shard.keys.create("more", ["read:status"])  # it goes on
    app.shard.close()
    assert value(data / "shard.sqlite3", "SELECT value FROM meta WHERE name = 'epoch'") == before
    assert not (data / folder.RESTORING).exists()


def test_a_restore_over_a_shard_wants_force_and_keeps_it_aside(
    app: ShardApp, made: Path, data: Path, make_app: MakeApp
) -> None:
    app.shard.keys.create("later", ["read:status"])
    app.shard.close()
    assert "--force" in refusal(run("restore", made, "--data-dir", data))
    done = said(run("restore", "--force", made, "--data-dir", data, "--json"))
    aside = Path(done["replaced"])
    assert value(aside / "shard.sqlite3", "SELECT count(*) FROM api_key") == 2
    assert (aside / "signing.secret").read_bytes() == (data / "signing.secret").read_bytes()
    assert [key.name for key in make_app().shard.keys.all()] == ["bot"]


def test_a_broken_store_is_replaced_and_kept_aside(
    app: ShardApp, made: Path, data: Path, make_app: MakeApp
) -> None:
    app.shard.close()
    (data / "shard.sqlite3").write_bytes(b"no store any more" * 1000)
    done = said(run("restore", "--force", made, "--data-dir", data, "--json"))
    assert (Path(done["replaced"]) / "shard.sqlite3").read_bytes().startswith(b"no store")
    assert "changed after" in done["warnings"][0] and "not known here" in done["warnings"][0]
    assert [key.name for key in make_app().shard.keys.all()] == ["bot"]


@pytest.mark.parametrize("moves", range(6))  # files of a plugin, store and secret aside, and those in
def test_a_restore_that_is_interrupted_is_refused_to_start_and_can_be_done_again(
    app: ShardApp, data: Path, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    key, made = app.shard.keys.create("bot", ["read:status"])[0], tmp_path / "made.zip"
    (data / "nets").mkdir()
    (data / "nets" / "file").write_text("then")
    said(run("backup", made, "--data-dir", data, "--json"))
    app.shard.keys.create("later", ["read:status"])
    app.shard.keys.revoke(key.id)
    app.shard.close()
    (data / "nets" / "file").write_text("now")
    secret = (data / "signing.secret").read_text()
    real, left = os.rename, [moves]

    def rename(one: Any, other: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(one, other)

    monkeypatch.setattr(placing.os, "rename", rename)
    assert run("restore", "--force", made, "--data-dir", data).exit_code == 1
    monkeypatch.setattr(placing.os, "rename", real)
    assert "has not come to its end" in refusal(run("keys", "list", "--data-dir", data))
    assert "has not come to its end" in refusal(run("backup", data.parent / "x.zip", "--data-dir", data))
    (aside,) = data.glob("replaced-*")
    told = run("doctor", "--json", "--data-dir", data).stdout
    assert f"what was there before is kept in {aside}" in told
    done = said(run("restore", made, "--data-dir", data, "--json"))
    assert [key.name for key in make_app().shard.keys.all()] == ["bot"]
    assert list(data.glob("replaced-*")) == [aside] == [Path(done["replaced"])]
    assert {path.name for path in aside.iterdir()} == {"shard.sqlite3", "signing.secret", "nets"}
    assert value(aside / "shard.sqlite3", "SELECT count(*) FROM api_key") == 2
    assert (aside / "signing.secret").read_text() == secret and (aside / "nets" / "file").read_text() == "now"
    assert (data / "nets" / "file").read_text() == "then"
    assert done["keysGoodAgain"] == [{"id": key.id, "name": "bot"}]  # which the store set aside knows


@pytest.mark.root
def test_what_root_restores_is_whose_the_folder_is(made: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir(mode=0o700)
    os.chown(new, 12345, 12345)
    said(run("restore", made, "--data-dir", new, "--json"))
    said(run("restore", "--force", made, "--data-dir", new, "--json"))
    assert {(path.stat().st_uid, path.stat().st_gid) for path in new.rglob("*")} == {(12345, 12345)}


@pytest.mark.root
def test_a_full_disk_leaves_the_older_backup(made: Path, data: Path, tmp_path: Path) -> None:
    with Disk(tmp_path / "disk", "300k") as disk:
        kept = disk.path / "b.zip"
        kept.write_bytes(made.read_bytes())
        disk.fill()
        line = refusal(run("backup", kept, "--data-dir", data))
        assert re.search("No space left|disk is full", line) and "no backup was made" in line
        assert kept.read_bytes() == made.read_bytes()
        assert {path.name for path in disk.path.iterdir()} == {"b.zip", "ballast"}


@pytest.mark.root
def test_a_restore_onto_a_full_disk_names_that_and_changes_nothing(made: Path, tmp_path: Path) -> None:
    with Disk(tmp_path / "disk", "100k") as disk:
        (disk.path / "data").mkdir()
        line = refusal(run("restore", made, "--data-dir", disk.path / "data"))
        assert line.startswith(
            f"Error: {disk.path / 'data'}: No space left on device: what is in {made} needs 1 MB"
        )
        assert line.endswith("; nothing was changed")
        assert {path.suffix for path in (disk.path / "data").iterdir()} == {".lock"}


def test_a_disk_that_is_full_at_the_last_moment_leaves_the_shard_as_it_was(
    app: ShardApp, made: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.shard.close()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name for path in data.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(placing.os, "replace", full)
        line = refusal(run("restore", "--force", made, "--data-dir", data))
    assert line == f"Error: {data}: No space left on device; nothing in it was changed"
    assert {path.suffix for path in data.iterdir() if path.name not in before} <= {".lock"}


def test_a_folder_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    line = refusal(run("backup", tmp_path / "none" / "b.zip", "--data-dir", data))
    assert line == f"Error: {tmp_path / 'none'}: No such file or directory; no backup was made"


# -- what is restored


def test_a_restored_shard_goes_on_in_another_epoch(
    app: ShardApp, made: Path, tmp_path: Path, make_app: MakeApp
) -> None:
    app.shard.writer.append([joined("1")])
    place = app.shard.events.id_of(app.shard.events.newest)
    done = said(run("restore", made, "--data-dir", tmp_path / "new", "--json"))
    restored = make_app(tmp_path / "new").shard
    assert restored.events.epoch == done["epoch"] != app.shard.events.epoch
    cursor, gap = restored.events.cursor(place)
    assert cursor == restored.events.newest and b"event: stream.gap" in gap


def joined(user: str) -> Event:
    """That somebody has come."""
    return Event("user.joined", UserJoined(user_id=user, display_name="Ann", transport="ws", nets=()))


def test_who_was_connected_then_is_told_as_gone(
    app: ShardApp, data: Path, tmp_path: Path, make_app: MakeApp
) -> None:
    app.shard.writer.append([joined("1")])
    at = clock.now()
    said(run("backup", tmp_path / "b.zip", "--data-dir", data, "--json"))
    said(run("restore", tmp_path / "b.zip", "--data-dir", tmp_path / "new", "--json"))
    restored = make_app(tmp_path / "new").shard
    restored._close_what_a_crash_left_open()
    left = restored.events.page(0, restored.events.newest)[-1].envelope
    assert (left["type"], left["data"]["userId"], left["data"]["reason"]) == ("user.left", "1", "restart")
    assert abs(clock.ms(left["at"]) - at) < 5000
    assert restored.store.read(lambda: still_open(restored.guild_id)) == []


def test_secrets_that_were_closed_are_opened_after_a_restore_elsewhere(
    app: ShardApp, made: Path, tmp_path: Path, make_app: MakeApp
) -> None:
    kept = Vault(app.shard.tokens).close([Secret("whsec_x")])
    token = app.shard.tokens.sign("test", {"user": "1"})
    said(run("restore", made, "--data-dir", tmp_path / "new", "--json"))
    restored = make_app(tmp_path / "new").shard
    assert Vault(restored.tokens).open(kept) == (Secret("whsec_x"),)
    assert restored.tokens.read("test", token) == {"user": "1"}


def test_settings_with_another_secret_are_told(made: Path, tmp_path: Path) -> None:
    new = ("--data-dir", tmp_path / "new", "--json")
    done = said(run("restore", made, *new, env={"SHARDAPI_SIGNING_SECRET": "other"}))
    assert any("signing_secret" in line for line in done["warnings"])
    secret = (tmp_path / "new" / "signing.secret").read_text().strip()
    again = said(run("restore", "--force", made, *new, env={"SHARDAPI_SIGNING_SECRET": f"other {secret}"}))
    assert not any("signing_secret" in line for line in again["warnings"])


def test_keys_and_operators_that_were_revoked_since_are_named(
    app: ShardApp, data: Path, tmp_path: Path
) -> None:
    keys = [app.shard.keys.create(name, ["read:status"])[0] for name in ("before", "since", "never")]
    app.shard.keys.revoke(keys[0].id)
    app.shard.operators.revoke("1")
    said(run("backup", tmp_path / "b.zip", "--data-dir", data, "--json"))
    app.shard.keys.revoke(keys[1].id)
    app.shard.operators.revoke("2")
    app.shard.close()
    done = said(run("restore", "--force", tmp_path / "b.zip", "--data-dir", data, "--json"))
    assert done["keysGoodAgain"] == [{"id": keys[1].id, "name": "since"}]
    assert done["operatorsGoodAgain"] == ["2"]
    assert len(done["warnings"]) == 3 and "not known here" not in done["warnings"][0]
    shown = run("restore", "--force", tmp_path / "b.zip", "--data-dir", data)
    (line,) = shown.stderr.splitlines()  # now there is no difference that is known
    assert shown.exit_code == 0 and line.startswith(
        "Warning: all that was revoked, rotated or changed after 20"
    )
    assert line.endswith("is as it was then: keys, operators' tokens, the public token, the panel's password")


def test_files_of_plugins_come_back_and_settings_are_left_alone(
    app: ShardApp, data: Path, tmp_path: Path
) -> None:
    config = tmp_path / "shardapi.toml"
    config.write_text("[guild]\nname = 'Then'\n")
    (data / "nets").mkdir()
    (data / "nets" / "file").write_text("then")
    said(run("backup", tmp_path / "b.zip", "--data-dir", data, "--config", config, "--json"))
    (data / "nets" / "file").write_text("now")
    app.shard.close()
    done = said(run("restore", "--force", tmp_path / "b.zip", "--data-dir", data, "--json"))
    assert (data / "nets" / "file").read_text() == "then"
    assert (Path(done["replaced"]) / "nets" / "file").read_text() == "now"
    assert not (data / "settings.toml").exists()


def test_a_start_without_the_data_of_a_shard_that_was_there_is_told_in_one_line(
    start_shard: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_shard(tmp_path / "data")
    assert not any("new shard is begun" in line for line in server.log)  # the first start has made the secret
    server.stop()
    for path in server.data_dir.glob("shard.sqlite3*"):
        path.unlink()
    (server.data_dir / "shard.sqlite3").touch(0o600)  # as a kill in a first start leaves it too
    server.log.clear()
    server.start()
    (line,) = [line for line in server.log if "new shard is begun" in line]
    assert "WARNING" in line and "has signing.secret and no data" in line
    assert f"restore --force --data-dir {server.data_dir} FILE" in line
    server.log.clear()
    server.restart()
    assert not any("new shard is begun" in line for line in server.log)


def test_checking_a_backup_changes_nothing(made: Path, tmp_path: Path) -> None:
    assert said(run("restore", "--check", made, "--data-dir", tmp_path / "new", "--json"))["keys"] == 1
    assert "is whole" in run("restore", "--check", made, "--data-dir", tmp_path / "new").stdout
    assert not (tmp_path / "new").exists()


def test_names_on_a_terminal_are_printable(make_app: MakeApp, tmp_path: Path) -> None:
    make_app(GUILD__NAME="red \x1b[31m")
    shown = run("backup", tmp_path / "b.zip", "--data-dir", tmp_path / "data")
    assert shown.exit_code == 0 and "\x1b" not in shown.stdout and "\\u001b" in shown.stdout


def test_what_killed_commands_have_left_is_removed(data: Path, tmp_path: Path) -> None:
    left = tmp_path / ".shardapi-backup-left"
    left.mkdir()
    (left / "shard.sqlite3").write_bytes(b"half")
    os.utime(left, (0, 0))
    said(run("backup", tmp_path / "b.zip", "--data-dir", data, "--json"))
    assert not left.exists()

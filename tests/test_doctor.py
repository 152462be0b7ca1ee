"""`shardapi doctor` where no server runs: each thing that can be wrong is made so, and told with what to do."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shardapi import clock, create_app, doctor, units
from shardapi.cli import main
from shardapi.config import Config, load
from shardapi.doctor import Case, Finding, backups, clocks, disk, files, machine, versions
from shardapi.doctor import case as case_module
from shardapi.folder import RESTORING
from shardapi.units import Place

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
SECRET = "a-signing-secret-of-the-owner-that-is-long-enough-to-sign"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a shard that has run."""
    folder = tmp_path_factory.mktemp("sound") / "data"
    app = create_app(load(environ={}, data_dir=str(folder)))
    app.shard.keys.create("test", ["read:status"])
    app.shard.close()
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """One like it, to be spoiled."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


def case_of(folder: Path, full: bool = False, **environ: str) -> Case:
    """The shard in a folder, with settings such as SERVER__BIND="0.0.0.0:80"."""
    settings = {
        f"SHARDAPI_{name}": value for name, value in {"SERVER__BIND": "127.0.0.1:0", **environ}.items()
    }
    return Case(load(environ=settings, data_dir=str(folder)), "", full=full)


def examined(folder: Path, full: bool = False, **environ: str) -> dict[str, list[Finding]]:
    """What the doctor finds there, by name."""
    found: dict[str, list[Finding]] = {}
    for finding in doctor.examine(case_of(folder, full, **environ)):
        found.setdefault(finding.name, []).append(finding)
    return found


def typed(folder: Path, *words: str, **environ: str) -> tuple[int, str]:
    """The command's exit status and what it prints."""
    env = {"SHARDAPI_SERVER__BIND": "127.0.0.1:0", **environ}
    done = CliRunner(env=env).invoke(main, ["doctor", "--data-dir", str(folder), *words])
    assert "Traceback" not in done.output
    return done.exit_code, done.output


def everything_in(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file with its content, mode and time."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


def both(folder: Path, name: str, **environ: str) -> dict[str, str]:
    """The gravest finding of a name, which the text has too, in the same words, and no secret is in either."""
    with pytest.MonkeyPatch.context() as patch:
        if not name.startswith(("settings", "plugins")):  # which takes as long as all the others
            patch.setattr(doctor, "LOOKS", [look for look in doctor.LOOKS if look[0] != "settings"])
        status, text = typed(folder, **environ)
        json_status, said = typed(folder, "--json", **environ)
    findings = json.loads(said)["findings"]
    order = ["ok", "info", "warn", "error"]
    one: dict[str, str] = max(
        (each for each in findings if each["name"] == name), key=lambda each: order.index(each["level"])
    )
    assert one["what"] in text and one["do"] in text
    assert status == json_status == (2 if any(each["level"] == "error" for each in findings) else 0)
    assert SECRET not in text + said
    secret = folder / "signing.secret"
    assert not secret.exists() or not secret.read_text() or secret.read_text().strip() not in text + said
    return one


def change(folder: Path, sql: str, *parameters: Any) -> None:
    """Write to the store."""
    with closing(sqlite3.connect(folder / "shard.sqlite3")) as db, db:
        db.execute(sql, parameters)


# -- a shard that is well


def test_a_sound_shard_is_told_so_and_nothing_is_changed(folder: Path) -> None:
    before = everything_in(folder)
    status, text = typed(folder)
    assert (status, everything_in(folder)) == (0, before)
    assert "is whole (quick check" in text and f"{folder} is" in text
    assert [
        one for found in examined(folder).values() for one in found if one.level != "ok" and not one.do
    ] == []
    assert "error " not in text


def test_where_nothing_was_started_yet_nothing_is_made(tmp_path: Path) -> None:
    one = both(tmp_path / "none", "files")
    assert (one["level"], list(tmp_path.iterdir())) == (
        "error",
        [],
    )  # a folder that was named is one that there is


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({}, "info"),
        ({"SHARDAPI_DATA_DIR": "./shard-data"}, "error"),
        ({"SHARDAPI_CONFIG": "c.toml"}, "error"),
    ],
)
def test_a_folder_that_is_not_there_is_an_error_if_it_was_named(
    tmp_path: Path, environ: dict[str, str], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text('data_dir = "elsewhere"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "LOOKS", [look for look in doctor.LOOKS if look[0] == "files"])
    done = CliRunner(env=environ).invoke(main, ["doctor", "--json"])
    (one,) = json.loads(done.output)["findings"]
    assert (one["level"], done.exit_code) == (level, 2 if level == "error" else 0)


def test_who_is_in_the_wrong_place_is_told_where_the_shard_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "INSTALLED", tmp_path)
    assert "/etc/shardapi/shardapi.toml" in both(tmp_path / "none", "files")["do"]


def test_strict_ends_with_1_for_a_warning_alone(folder: Path) -> None:
    folder.chmod(0o750)
    assert typed(folder)[0] == 0
    assert typed(folder, "--strict")[0] == 1
    folder.chmod(0o755)
    assert typed(folder, "--strict")[0] == 2


def test_a_look_that_fails_hides_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(case: Case) -> Iterator[Finding]:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr(doctor, "LOOKS", (("first", fails), *doctor.LOOKS))
    found = examined(folder)
    assert found["first"][0].what == "looking at it failed: ZeroDivisionError"
    assert found["store.integrity"][0].level == "ok"


# -- settings


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"SERVER__WORKERS": "2"}, "workers"),
        ({"NOVEL": "1"}, "unknown setting novel"),
        ({"PLUGINS__STREAM__PER_KEY": "0"}, "plugins.stream"),
        ({"PLUGINS__ENABLED": "nets,netz"}, "netz"),
    ],
)
def test_settings_that_cannot_be_used_are_an_error(folder: Path, environ: dict[str, str], words: str) -> None:
    one = both(folder, "settings", **{f"SHARDAPI_{name}": value for name, value in environ.items()})
    assert one["level"] == "error" and words in one["what"]


def test_the_store_is_looked_at_even_with_settings_that_cannot_be_used(folder: Path) -> None:
    status, said = typed(folder, "--json", SHARDAPI_NOVEL="1")
    found = {one["name"]: one["level"] for one in json.loads(said)["findings"]}
    assert (status, found["settings"], found["store.integrity"]) == (2, "error", "ok")


@pytest.mark.parametrize(
    ("environ", "name", "level"),
    [
        ({"SERVER__BIND": "0.0.0.0:0"}, "settings.bind", "warn"),
        ({"SERVER__BIND": "[::]:0"}, "settings.bind", "warn"),
        ({"SERVER__PUBLIC_URL": "http://shard.example.com"}, "settings.public_url", "warn"),
        ({"SERVER__PUBLIC_URL": "https://shard.example.com"}, "settings.trusted_proxies", "warn"),
        ({"SERVER__TRUSTED_PROXIES": "127.0.0.1,0.0.0.0/0"}, "settings.trusted_proxies", "error"),
        ({"SIGNING_SECRET": "hunter2"}, "settings.signing_secret", "error"),
    ],
)
def test_risky_settings_are_told(folder: Path, environ: dict[str, str], name: str, level: str) -> None:
    one = both(folder, name, **{f"SHARDAPI_{key}": value for key, value in environ.items()})
    assert one["level"] == level and one["do"] and "hunter2" not in one["what"]


def test_safe_settings_are_not(folder: Path) -> None:
    found = examined(
        folder,
        SERVER__PUBLIC_URL="https://shard.example.com",
        SERVER__TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8,::1",
        SIGNING_SECRET=SECRET,
    )
    assert [name for name in found if name.startswith("settings.")] == []


def test_a_settings_file_with_a_secret_that_all_can_read_is_told(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "shardapi.toml"
    file.write_text(f'signing_secret = "{SECRET}"\n')
    file.chmod(0o644)
    one = both(folder, "settings.file", SHARDAPI_CONFIG=str(file))
    assert one["level"] == "warn" and "/etc/credstore" in one["do"]
    file.chmod(0o640)
    assert "settings.file" not in typed(folder, SHARDAPI_CONFIG=str(file))[1]
    file.write_text("")
    file.chmod(0o644)
    (tmp_path / "secret").write_text(SECRET)  # where the advice has it moved to
    elsewhere = {"SHARDAPI_SIGNING_SECRET_FILE": str(tmp_path / "secret")}
    assert "settings.file" not in typed(folder, SHARDAPI_CONFIG=str(file), **elsewhere)[1]


def test_a_plugin_that_is_left_out_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broken.py").write_text("raise RuntimeError('no battery')\n")
    environ = {"SHARDAPI_PLUGINS__DIR": str(tmp_path / "own"), "SHARDAPI_PLUGINS__ON_ERROR": "skip"}
    one = both(folder, "plugins", **environ)
    assert one["level"] == "error" and "broken" in one["what"]
    del environ["SHARDAPI_PLUGINS__ON_ERROR"]
    assert both(folder, "settings", **environ)["level"] == "error"


# -- files


@pytest.mark.parametrize(("mode", "level"), [(0o755, "error"), (0o701, "error"), (0o750, "warn")])
def test_a_folder_that_others_may_enter_is_told(folder: Path, mode: int, level: str) -> None:
    folder.chmod(mode)
    one = both(folder, "files.folder")
    assert (one["level"], one["do"]) == (level, f"chmod 700 {folder}")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_that_others_may_read_is_told(folder: Path, mode: int) -> None:
    (folder / "signing.secret").chmod(mode)
    assert both(folder, "files.secret")["level"] == "error"


def test_a_secret_that_is_gone_is_told_and_not_made_anew(folder: Path) -> None:
    (folder / "signing.secret").unlink()
    one = both(folder, "files.secret")
    assert one["level"] == "error" and "is gone" in one["what"]
    assert not (folder / "signing.secret").exists()


def test_a_secret_that_is_empty_is_told(folder: Path) -> None:
    (folder / "signing.secret").write_text("")
    assert "does not start" in both(folder, "files.secret")["what"]


def test_a_secret_in_the_settings_needs_no_file(folder: Path) -> None:
    (folder / "signing.secret").unlink()
    assert "files.secret" not in examined(folder, SIGNING_SECRET=SECRET)


@pytest.mark.root
def test_a_file_of_another_user_is_told(folder: Path) -> None:
    os.chown(folder, 12345, 12345)
    for path in folder.iterdir():
        os.chown(path, 12345, 12345)
    assert both(folder, "files")["what"].endswith("12345's alone")
    os.chown(folder / "serve.lock" if (folder / "serve.lock").exists() else folder / "setup.lock", 0, 0)
    one = both(folder, "files.owner")
    assert one["level"] == "error" and "setup.lock" in one["what"]


def test_a_file_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "shard.sqlite3").chmod(0o400)
    assert "shard.sqlite3" in both(folder, "files.writable")["what"]


@pytest.mark.root
@pytest.mark.parametrize("closed", ["data", "."])
def test_who_may_not_read_the_folder_is_told_once_what_to_do(folder: Path, closed: str) -> None:
    for path in folder.parents:
        if not path.stat().st_mode & 0o001:
            path.chmod(0o711)
    (folder.parent / closed).chmod(0o700)
    os.seteuid(NOBODY)
    try:
        found = examined(folder)
    finally:
        os.seteuid(0)
    blind = [one for name in found for one in found[name] if one.what.startswith("not looked at: cannot")]
    assert [(one.name, one.level) for one in blind] == [("files", "error")]
    assert (
        blind[0].do
        == f"Run this as root{'' if closed == 'data' else ', or as the owner of the data folder'}."
    )
    assert [name for name in found if found[name][0].what.startswith("looking at it failed")] == []


def test_a_restore_that_was_interrupted_is_told(folder: Path) -> None:
    (folder / RESTORING).touch()
    one = both(folder, "files.restore")
    assert one["level"] == "error" and "Run it again" in one["do"]
    assert "files" not in examined(folder)


# -- disk


@pytest.mark.root
@pytest.mark.parametrize(("bytes_", "files", "name", "level"), [
    ("2m", 0, "disk.space", "error"),
    ("100m", 0, "disk.space", "warn"),
    ("900m", 40, "disk.files", "error"),
])  # fmt: skip
def test_a_disk_that_is_full_is_told(
    folder: Path, tmp_path: Path, bytes_: str, files: int, name: str, level: str
) -> None:
    place = tmp_path / "small"
    place.mkdir()
    options = f"size={bytes_},mode=700" + (f",nr_inodes={files}" if files else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        subprocess.run(["cp", "-a", f"{folder}/.", place], check=True)
        assert both(place, name)["level"] == level
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_a_disk_that_is_read_only_is_told(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", place], check=True)
    try:
        subprocess.run(["cp", "-a", f"{folder}/.", place], check=True)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        assert "read-only" in both(place, "files.writable")["what"]
        assert both(place, "store.integrity")["level"] == "ok"
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_log_that_outgrows_the_store_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LARGE_WAL", 100_000)
    writer = sqlite3.connect(folder / "shard.sqlite3")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("CREATE TABLE ballast (x)")
    with writer:
        writer.executemany("INSERT INTO ballast VALUES (zeroblob(100000))", [()] * 20)
    try:
        assert examined(folder)["disk.wal"][0].level == "warn"
    finally:
        writer.close()


# -- the store


def spoil(path: Path, page: int, size: int = 4096) -> None:
    """Write rubbish over a page."""
    with path.open("r+b") as file:
        file.seek(page * size)
        file.write(b"\xde\xad\xbe\xef" * (size // 4))


@pytest.mark.parametrize("page", [0, 3])
def test_a_broken_page_is_told(folder: Path, page: int) -> None:
    spoil(folder / "shard.sqlite3", page)
    one = both(folder, "store.integrity")
    assert one["level"] == "error" and "restore" in one["do"]


@pytest.mark.parametrize("how", ["emptied", "without tables", "gone"])
def test_a_store_that_is_lost_is_told_with_the_way_back(folder: Path, how: str) -> None:
    kept = backup_of(folder)
    for path in folder.glob("shard.sqlite3*"):
        path.unlink()
    if how == "emptied":
        (folder / "shard.sqlite3").touch(0o600)
        (folder / "shard.sqlite3-wal").write_bytes(b"what SQLite would remove")
    elif how == "without tables":
        with closing(sqlite3.connect(folder / "shard.sqlite3")) as db:
            db.execute("PRAGMA journal_mode = wal")
        (folder / "shard.sqlite3").chmod(0o600)
    before = everything_in(folder)
    one = both(folder, "store")
    assert one["level"] == "error" and "signing.secret is left of one" in one["what"]
    assert one["do"].endswith(f"restore --force --data-dir {folder} {kept}")
    assert f"(if a new shard is meant, remove {folder / 'signing.secret'}" in one["do"]
    assert everything_in(folder) == before


def test_what_a_restore_kept_aside_is_not_taken_for_a_new_shard(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    assert both(folder, "store")["level"] == "info"
    (folder / "replaced-20260101-000000").mkdir()
    one = both(folder, "store")
    assert (
        one["level"] == "error" and "FILE" in one["do"] and str(folder.with_name("data-backups")) in one["do"]
    )


def test_who_goes_back_is_told_to_stop_the_unit_and_its_socket(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder.rename(folder.with_name("shardapi-two"))
    (folder / "shard.sqlite3").write_bytes(b"")
    assert both(folder, "store")["do"].startswith("Restore the newest backup")
    monkeypatch.setattr(backups, "STATE", folder.parent)
    monkeypatch.setattr(machine, "BOOTED", folder.parent)
    stop = "systemctl stop shardapi@two.socket shardapi@two.service"
    assert both(folder, "store")["do"].startswith(f"Stop the shard ({stop}), then restore the newest backup")


def test_the_newest_backup_is_not_named_where_several_shards_have_theirs(folder: Path) -> None:
    kept = backup_of(folder)
    kept.with_name("shard-2-20260101-000000.zip").touch()
    (folder / "shard.sqlite3").write_bytes(b"")
    assert str(kept) not in both(folder, "store")["do"]
    guild = kept.name.split("-")[1]
    assert str(kept) in both(folder, "store", SHARDAPI_GUILD__ID=guild)["do"]


def test_an_index_that_lacks_a_row_is_found_by_a_full_check(folder: Path) -> None:
    db = sqlite3.connect(folder / "shard.sqlite3")
    db.execute("CREATE TABLE thing (a INTEGER, b INTEGER)")
    db.execute("CREATE INDEX thing_b ON thing (b)")
    db.execute("PRAGMA writable_schema=ON")
    db.executemany("INSERT INTO thing VALUES (?, ?)", [(n, n) for n in range(50)])
    db.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX thing_b ON thing (a)' WHERE name = 'thing_b'")
    db.execute("UPDATE thing SET a = a + 1")
    db.commit()
    db.close()
    db = sqlite3.connect(folder / "shard.sqlite3")
    db.execute("UPDATE thing SET b = b + 1000")  # the index is on a now, and its entries are still those of b
    db.execute("PRAGMA writable_schema=ON")
    db.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX thing_b ON thing (b)' WHERE name = 'thing_b'")
    db.commit()
    db.close()
    assert examined(folder)["store.integrity"][0].level == "ok"
    assert examined(folder, full=True)["store.integrity"][0].level == "error"


def test_an_old_sqlite_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "sqlite_version", lambda: (3, 40, 1))
    assert examined(folder)["version.sqlite"][0].level == "warn"


@pytest.mark.parametrize(
    ("sql", "level"),
    [("UPDATE migration_core SET name = '9999_later'", "error"), ("DELETE FROM migration_core", "info")],
)
def test_a_store_of_another_version_is_told(folder: Path, sql: str, level: str) -> None:
    change(folder, f"{sql} WHERE name LIKE '0005%'")
    assert both(folder, "store.version")["level"] == level


def test_a_store_of_a_newer_version_of_a_plugin_is_told_where_that_runs(folder: Path) -> None:
    change(folder, "UPDATE migration_presets SET name = '9999_later'")
    one = both(folder, "store.version")
    assert one["level"] == "error" and "newer presets (it has had 9999_later)" in one["what"]
    assert "store.version" not in examined(folder, PLUGINS__ENABLED="nets")
    change(folder, "DROP TABLE migration_presets")  # as before it was ever enabled
    assert "store.version" not in examined(folder)


def test_what_a_crash_has_left_is_read_with_its_log(folder: Path) -> None:
    script = (
        "import os, sqlite3; db = sqlite3.connect('shard.sqlite3');"
        "db.execute('DROP TABLE IF EXISTS outbox_parked'); db.execute(\"UPDATE guild SET updated_at = 4102444800000\");"
        "db.commit(); os.kill(os.getpid(), 9)"
    )
    subprocess.run(["python3", "-c", script], cwd=folder, check=False)
    assert (folder / "shard.sqlite3-wal").stat().st_size
    content = (folder / "shard.sqlite3").read_bytes()
    assert "2100-01-01" in both(folder, "clock.store")["what"]
    assert (folder / "shard.sqlite3").read_bytes() == content and (
        folder / "shard.sqlite3-wal"
    ).stat().st_size


# -- the clock


def test_a_clock_behind_the_store_is_told(folder: Path) -> None:
    change(folder, "UPDATE guild SET updated_at = ?", clock.now() + 3_600_000)
    assert both(folder, "clock.store")["level"] == "error"


def test_a_clock_before_the_installation_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: 1_000_000_000)
    assert examined(folder)["clock"][0].level == "error"


@pytest.mark.parametrize(("told", "levels"), [(5, ["warn"]), (0, []), (-1, [])])
def test_a_clock_that_nothing_keeps_is_told(
    folder: Path, told: int, levels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kernel:
        def adjtimex(self, _: object) -> int:
            return told

    monkeypatch.setattr(clocks.ctypes, "CDLL", lambda *_, **__: Kernel())
    assert [one.level for one in examined(folder).get("clock.kept", [])] == levels


def test_the_kernel_is_asked_without_harm() -> None:
    before = time.time()
    assert clocks._unsynchronised() in (True, False)
    assert abs(time.time() - before) < 5


# -- what is delivered


def deliver(folder: Path, outbox: str, id_: str, **values: Any) -> None:
    """An endpoint in the store, in such a state."""
    row = {"id": id_, "outbox": outbox, "url": f"https://{id_}.example.com/{SECRET}", "secret": b"", "events": "[]",
           "ordered": 1, "created_at": 1, "enabled": 1, "disabled": "", "failures": 0, "failing_since": 0,
           "next_at": 0, "last_delivery_at": 0, "last_status": 0, "last_error": "", "rewind": -1, "generation": 0,
           "gap_at": 0, **values}  # fmt: skip
    db = sqlite3.connect(folder / "shard.sqlite3")
    row["guild"] = db.execute("SELECT id FROM guild").fetchone()[0]
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO outbox_endpoint ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("outbox", "do"), [("webhooks", "/api/v1/webhooks/wh_1/enable"), ("discord", "discord status")]
)
def test_an_endpoint_that_is_disabled_is_told_without_its_url(folder: Path, outbox: str, do: str) -> None:
    deliver(folder, outbox, "wh_1", enabled=0, disabled="gone", last_status=410)
    one = both(folder, outbox)
    assert (
        one["level"] == "error"
        and "wh_1 (wh_1.example.com) is disabled (gone)" in one["what"]
        and do in one["do"]
    )


def test_an_endpoint_that_is_waited_for_is_told(folder: Path) -> None:
    deliver(
        folder,
        "webhooks",
        "wh_2",
        failures=7,
        failing_since=1_700_000_000_000,
        last_error="refused connection",
    )
    one = both(folder, "webhooks")
    assert one["level"] == "warn" and "since 2023-11-14T22:13:20.000Z: 7 failures" in one["what"]


def test_events_that_were_refused_are_told(folder: Path) -> None:
    deliver(folder, "webhooks", "wh_3")
    db = sqlite3.connect(folder / "shard.sqlite3")
    guild = db.execute("SELECT id FROM guild").fetchone()[0]
    for number in (1, 2):
        db.execute(
            "INSERT INTO outbox_parked VALUES (?, 'wh_3', ?, 'user.joined', '', 1, '{}', 5, 400, '', 0, 1)",
            (guild, number),
        )
    db.commit()
    db.close()
    one = both(folder, "webhooks")
    assert one["level"] == "warn" and "refused 2 events" in one["what"] and "replay wh_3" in one["do"]


def test_endpoints_that_are_well_are_told(folder: Path) -> None:
    deliver(folder, "webhooks", "wh_4")
    assert both(folder, "webhooks")["what"] == "1 of 1 are delivered to"


# -- backups


def backup_of(folder: Path, into: Path | None = None) -> Path:
    """Make one, where the doctor looks first."""
    into = into or folder.with_name("data-backups")
    into.parent.mkdir(exist_ok=True)
    done = CliRunner().invoke(main, ["backup", "--keep", "3", str(into), "--data-dir", str(folder)])
    assert done.exit_code == 0, done.output
    return max(into.glob("*.zip"))


@pytest.mark.parametrize(("days", "level"), [(0, "info"), (5, "warn")])
def test_a_shard_without_a_backup_is_told_so(
    folder: Path, days: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, "UPDATE guild SET created_at = ?", clock.now() - days * 86_400_000)
    monkeypatch.setattr(machine, "BOOTED", folder)
    one = both(folder, "backups")
    assert one["level"] == level and "shardapi-backup.timer" in one["do"]
    monkeypatch.setattr(machine, "BOOTED", folder / "nowhere")
    one = both(folder, "backups")
    assert "systemctl" not in one["do"]
    assert f"backup --keep 14 --data-dir {folder} {folder.with_name('data-backups')}" in one["do"]


def test_a_backup_that_is_old_is_told(folder: Path) -> None:
    file = backup_of(folder)
    assert both(folder, "backups")["level"] == "ok"
    os.utime(file, (time.time() - 5 * 86_400,) * 2)
    one = both(folder, "backups")
    assert one["level"] == "warn" and "5 days old" in one["what"]


def test_a_backup_that_is_broken_is_found_by_a_full_look(folder: Path) -> None:
    file = backup_of(folder)
    assert examined(folder, full=True)["backups"][0].level == "ok"
    with file.open("r+b") as spoiled:
        spoiled.seek(file.stat().st_size // 2)
        spoiled.write(b"rubbish")
    assert examined(folder)["backups"][0].level == "ok"
    assert examined(folder, full=True)["backups"][0].level == "error"


@pytest.mark.parametrize(
    ("data", "backups"),
    [("shardapi", "shardapi-backups"), ("shardapi-one", "shardapi-backups-one"), ("d", "d-backups")],
)
def test_backups_are_looked_for_where_the_units_put_them(tmp_path: Path, data: str, backups: str) -> None:
    assert case_of(tmp_path / data).backups[0] == tmp_path / backups


def test_backups_of_data_elsewhere_are_found_where_the_units_put_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_module, "STATE", tmp_path / "state")
    written = units.filled(
        Place(tmp_path / "bin", ROOT, tmp_path / "settings", Path("/var/lib/radio")), Config()
    )
    (kept,) = re.findall(r"--keep 14 %S/(\S+)", written["shardapi-backup.service"])
    backup_of(folder, into=tmp_path / "state" / kept)
    assert both(folder, "backups")["what"].startswith(f"1 in {tmp_path / 'state' / kept}")


# -- systemd


SHOWN = {
    "LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled",
    "NeedDaemonReload": "no", "NRestarts": "0", "Result": "success",
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "level", "words"),
    [
        ({}, "ok", "runs"),
        ({"LoadState": "not-found"}, "info", "there is no shardapi.service"),
        ({"ActiveState": "failed", "Result": "watchdog"}, "error", "failed (watchdog)"),
        ({"ActiveState": "inactive"}, "info", "is inactive"),
        ({"UnitFileState": "disabled"}, "warn", "not enabled"),
        ({"NeedDaemonReload": "yes"}, "warn", "changed and not read again"),
        ({"NRestarts": "12"}, "warn", "12 times"),
        ({"ActiveState": "inactive"}, "warn", "shardapi-backup.timer does not run"),
    ],
)
def test_what_systemd_says_is_told(
    folder: Path,
    tmp_path: Path,
    said: dict[str, str],
    level: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = "\n".join(f"{name}={value}" for name, value in {**SHOWN, **said}.items())
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ $1 = show ] && cat <<'.'\n{lines}\n.\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(machine, "BOOTED", tmp_path)
    found = examined(folder)
    told = [*found["systemd"], *found.get("systemd.backup", [])]
    assert [one.level for one in told if words in one.what] == [level]


@pytest.mark.parametrize(
    ("said", "do"),
    [
        ({"UnitFileState": "disabled"}, "systemctl --user enable shardapi.service"),
        ({"ActiveState": "failed"}, "journalctl --user -u shardapi.service says why."),
    ],
)
def test_a_unit_of_a_user_is_found(
    folder: Path, tmp_path: Path, said: dict[str, str], do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "\n".join(f"{name}={value}" for name, value in {**SHOWN, **said}.items())
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ $1 = --user ] && cat <<'.' || echo LoadState=not-found\n{lines}\n.\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(machine, "BOOTED", tmp_path)
    assert do in [one.do for one in examined(folder)["systemd"]]


def test_backups_of_one_of_several_shards_are_made_by_its_own_timer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "BOOTED", folder.parent)
    assert (
        "enable --now shardapi-backup@two.timer"
        in both(folder.rename(folder.with_name("shardapi-two")), "backups")["do"]
    )


def test_a_machine_without_systemd_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "BOOTED", folder / "nowhere")
    assert examined(folder)["systemd"][0].level == "info"

"""`shardapi plugins new`: what it writes works as it is."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shardapi import ShardApp
from shardapi.cli import main
from shardapi.testing import client_of


def run(*arguments: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def new(name: str, into: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["plugins", "new", "--into", str(into), *options, "--", name])


def refusal(result: Result) -> str:
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package of a new plugin."""
    folder = tmp_path / "new"
    assert new("radio_1", folder).exit_code == 0
    return folder


def test_a_new_package_is_installed_and_passes_its_own_tests(package: Path, tmp_path: Path) -> None:
    site = str(tmp_path / "site")
    run(
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-t",
        site,
        ".",
        cwd=package,
    )
    path = os.pathsep.join(filter(None, (site, os.environ.get("PYTHONPATH"))))
    said = run("pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=package, PYTHONPATH=path)
    assert "passed" in said and "failed" not in said
    opened = run("shardapi", "plugins", "check", "radio_1", cwd=package, PYTHONPATH=path)
    assert "shardapi-radio-1 0.1.0" in opened and "POST /api/v1/radio_1" in opened
    assert "radio_1_note" in opened and "radio_1.added" in opened and "shardapi radio_1" in opened


def test_a_new_file_runs_from_its_folder(make_app: Callable[..., ShardApp], tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    said = new("talking", folder, "--single-file")
    assert said.exit_code == 0 and "shardapi plugins check talking" in said.stdout
    app = make_app(PLUGINS__DIR=str(folder), PLUGINS__TALKING__LOUD="1")
    _, secret = app.shard.keys.create("reader", ["read:talking"])
    answer = client_of(app, secret).get("/api/v1/talking").get_json()
    assert answer["talking"] == 0 and not answer["loud"]


def test_a_new_file_goes_elsewhere_while_the_folder_of_the_settings_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARDAPI_PLUGINS__DIR", str(tmp_path / "gone"))
    said = new("talking", tmp_path / "other", "--single-file")
    assert said.exit_code == 0 and f'[plugins] dir = "{tmp_path}/other"' in said.stdout
    assert "dir =" not in new("talking", tmp_path / "other" / ".." / "gone", "--single-file").stdout


def test_two_new_packages_run_in_one_shard_and_are_described_apart(
    make_app: Callable[..., ShardApp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("diary", "ledger"):
        assert new(name, tmp_path / name).exit_code == 0
        info = tmp_path / name / f"shardapi_{name}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: shardapi-{name}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[shardapi]\n{name} = shardapi_{name}\n")
        monkeypatch.syspath_prepend(tmp_path / name)
    notes = tmp_path / "ledger" / "shardapi_ledger" / "notes.py"
    notes.write_text(
        notes.read_text("utf-8").replace("    at: str\n", "    at: str\n    sum: int = 0\n"), "utf-8"
    )
    app = make_app(PLUGINS__ENABLED="diary,ledger,openapi")
    schemas = client_of(app, "").get("/api/v1/openapi.json").get_json()["components"]["schemas"]
    for name, members in (("Diary", {"id", "text", "at"}), ("Ledger", {"id", "text", "at", "sum"})):
        note = schemas[f"{name}NoteAdded"]["properties"]["note"]["$ref"].rpartition("/")[2]
        assert set(schemas[note]["properties"]) == members
    for module in [one for one in sys.modules if one.startswith(("shardapi_diary", "shardapi_ledger"))]:
        del sys.modules[module]


@pytest.mark.parametrize("name", ["status", "keys", "events", "dir", "core", "shardapi"])
@pytest.mark.parametrize("options", [[], ["--single-file"]])
def test_a_name_with_which_it_could_not_run_is_refused(tmp_path: Path, name: str, options: list[str]) -> None:
    assert f"the name {name} is taken" in refusal(new(name, tmp_path / "new", *options))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["9lives", "Talk", "a-b", "a__b", "a_", "../x", "", "x" * 41])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    assert "a plugin is named with" in refusal(new(name, tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("options", [[], ["--single-file"]])
def test_what_is_there_is_not_written_over(tmp_path: Path, options: list[str]) -> None:
    assert new("talking", tmp_path / "new", *options).exit_code == 0
    assert "is there already" in refusal(new("talking", tmp_path / "new", *options))

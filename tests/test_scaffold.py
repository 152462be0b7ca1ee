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
    assert new("button_box", folder).exit_code == 0
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
    opened = run("shardapi", "plugins", "check", "button_box", cwd=package, PYTHONPATH=path)
    assert "shardapi-button-box 0.1.0" in opened and "POST /api/v1/button_box" in opened
    assert "button_box_note" in opened and "button_box.added" in opened and "shardapi button_box" in opened


def test_a_new_file_runs_from_its_folder(make_app: Callable[..., ShardApp], tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    said = new("talking", folder, "--single-file")
    assert said.exit_code == 0 and "shardapi plugins check talking" in said.stdout
    app = make_app(PLUGINS__DIR=str(folder), PLUGINS__TALKING__LOUD="1")
    _, secret = app.shard.keys.create("reader", ["read:talking"])
    answer = client_of(app, secret).get("/api/v1/talking").get_json()
    assert answer["talking"] == 0 and not answer["loud"]


@pytest.mark.parametrize("name", ["9lives", "Talk", "a-b", "../x", "", "x" * 41])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    assert "a plugin is named with" in refusal(new(name, tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("options", [[], ["--single-file"]])
def test_what_is_there_is_not_written_over(tmp_path: Path, options: list[str]) -> None:
    assert new("talking", tmp_path / "new", *options).exit_code == 0
    assert "is there already" in refusal(new("talking", tmp_path / "new", *options))

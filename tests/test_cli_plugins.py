"""`shardapi plugins`: what a list opens, before it runs and while a plugin of it fails."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from strangers import GUEST, install

from shardapi.cli import main

Invoke = Callable[..., Result]
COMMAND = '''
import click

@routes.cli.command("wake")
def wake():
    """Wake the guest."""
    click.echo("awake")

@hookimpl
def shardapi_tasks(app):
    def sleep():
        pass
    return [sleep]

@hookimpl
def shardapi_guards(app):
    return [Guard(lambda guild, command: None)]
'''


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    """Run a command with these files as plugins."""

    def run(*words: str, env: dict[str, str] | None = None, **files: str) -> Result:
        folder = tmp_path / f"plugins{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        given = {
            "SHARDAPI_PLUGINS__DIR": str(folder),
            "SHARDAPI_DATA_DIR": str(tmp_path / "data"),
            **(env or {}),
        }
        return CliRunner().invoke(main, words, env=given)

    return run


def by_name(result: Result) -> dict[str, Any]:
    """What was printed of plugins, by name."""
    said = json.loads(result.stdout)
    return {one["name"]: one for one in (said if isinstance(said, list) else said["plugins"])}


def test_check_tells_what_a_list_would_open(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("plugins", "check", "guest", "status", "--json", guest=GUEST + COMMAND)
    assert result.exit_code == 0 and set(by_name(result)) == {"guest", "status"}
    guest = by_name(result)["guest"]
    assert guest == {
        "name": "guest", "enabled": True, "bundled": False, "distribution": guest["distribution"], "version": "",
        "routes": ["GET /api/v1/guest"], "scopes": ["read:guest"], "pages": [], "events": ["guest.slept"],
        "commands": ["shardapi guest"], "tables": [], "subscribers": [],
        "tasks": ["shardapi_tasks.<locals>.sleep"], "guards": ["shardapi_guards.<locals>.<lambda>"], "kept": [],
    }  # fmt: skip
    assert guest["distribution"].endswith("guest.py") and not (tmp_path / "data").exists()


def test_check_as_text_has_a_line_for_each_kind(invoke: Invoke) -> None:
    said = invoke("plugins", "check", "guest", guest=GUEST + COMMAND).stdout
    assert re.search(
        r"^guest +on +\S+guest\.py\n +routes +GET /api/v1/guest\n +scopes +read:guest\n +events", said
    )


def test_check_names_every_problem_at_once(invoke: Invoke) -> None:
    bad = {"one": "raise OSError('no luck')", "two": GUEST.replace("@hookimpl", ""), "guest": GUEST}
    result = invoke("plugins", "check", *bad, "nix", **bad)
    assert result.exit_code == 1 and "GET /api/v1/guest" in result.stdout
    assert [line.partition(" failed")[0] for line in result.stderr.splitlines()] == [
        f"Error: plugin nix: there is no such plugin: {result.stderr.partition('such plugin: ')[2].splitlines()[0]}",
        "Error: plugin one: cannot be loaded: OSError('no luck')",
        "Error: plugin two: shardapi_blueprints needs @hookimpl",
    ]
    said = json.loads(invoke("plugins", "check", *bad, "--json", **bad).stdout)
    assert said["ok"] is False and [one["plugin"] for one in said["problems"]] == ["one", "two"]


def test_check_without_names_is_about_the_settings(invoke: Invoke) -> None:
    result = invoke(
        "plugins", "check", "--json", env={"SHARDAPI_PLUGINS__ENABLED": "status,guest"}, guest=GUEST
    )
    assert set(by_name(result)) == {"guest", "status"}
    refused = invoke("plugins", "check", env={"SHARDAPI_PLUGINS__GUEST__BEDS": "many"}, guest=GUEST)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(
        "Error: plugin guest: its settings cannot be used: plugins.guest: Expected"
    )


def test_the_list_shows_one_that_cannot_run_and_why(invoke: Invoke) -> None:
    result = invoke("plugins", "list", "--json", bad="raise OSError('no luck')")
    shown = by_name(result)
    assert result.exit_code == 0 and shown["status"]["enabled"]
    assert shown["bad"]["enabled"] is False and shown["bad"]["problem"] == "cannot be loaded"
    assert "problem      cannot be loaded" in invoke("plugins", "list", bad="raise OSError('no luck')").stdout


def test_config_check_tells_what_is_left_out(invoke: Invoke) -> None:
    bad, skip = "raise OSError('no luck')", {"SHARDAPI_PLUGINS__ON_ERROR": "skip"}
    assert invoke("config", "check", bad=bad).exit_code == 1
    result = invoke("config", "check", env=skip, bad=bad)
    assert result.exit_code == 0
    assert "Left out: plugin bad: cannot be loaded: OSError('no luck')" in result.stdout
    assert json.loads(invoke("config", "check", "--json", env=skip, bad=bad).stdout)["problems"] == [
        "plugin bad: cannot be loaded: OSError('no luck')"
    ]


TABLE = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE guest (x)')\n"
ONCE = "def up(migrator, db):\n    db.execute_sql('ALTER TABLE guest ADD COLUMN y')\n"
FAILS = (
    "def up(migrator, db):\n    if db.execute_sql('SELECT * FROM key').fetchone():\n        raise OSError\n"
)


@pytest.mark.parametrize(
    ("name", "steps", "problem"),
    [
        (
            "guest",
            {"0001_x": TABLE, "0002_y": ONCE, "0003_z": FAILS},
            "a migration failed and was taken back",
        ),
        ("guest", {"0001_x": TABLE}, "the store is newer than this version of guest"),
        ("lodger", {"0001_x": TABLE}, "a migration failed and was taken back"),
        ("guest", {"0001_x": TABLE, "0002_y": ONCE}, ""),
    ],
    ids=["fails on the data", "downgraded", "renamed", "as it was"],
)
def test_what_the_store_would_refuse_is_told_beforehand(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    steps: dict[str, str],
    problem: str,
) -> None:
    def have(name: str, steps: dict[str, str]) -> dict[str, str]:
        where = tmp_path / f"{name}-{len(steps)}-{len(list(tmp_path.iterdir()))}"
        monkeypatch.syspath_prepend(install(where, name, GUEST, steps))
        monkeypatch.delitem(sys.modules, f"stranger_{name}", raising=False)
        return {"SHARDAPI_PLUGINS__ENABLED": f"status,{name}"}

    before = have("guest", {"0001_x": TABLE, "0002_y": ONCE})
    assert invoke("keys", "create", "test", "--all-scopes", env=before).exit_code == 0
    store = tmp_path / "data" / "shard.sqlite3"
    content = store.read_bytes()
    env = have(name, steps)
    for command in ("config", "plugins"):
        checked = invoke(command, "check", env=env)
        assert checked.exit_code == bool(problem), checked.output
        assert f"plugin {name}: {problem}" in checked.stderr if problem else not checked.stderr
    listed = by_name(invoke("plugins", "list", "--json", env=env))[name]
    assert listed["enabled"] is not bool(problem) and problem in listed.get("problem", "")
    assert store.read_bytes() == content and len(list((tmp_path / "data").glob("before-*"))) == 0


@pytest.mark.parametrize("bad", ["raise OSError('no luck')", "raise SystemExit(3)", "def"])
def test_a_plugin_that_cannot_be_loaded_leaves_help_and_the_other_commands(invoke: Invoke, bad: str) -> None:
    result = invoke("--help", guest=GUEST + COMMAND, bad=bad)
    assert result.exit_code == 0 and re.search(r"^  guest\b", result.stdout, re.MULTILINE)
    assert "serve" in result.stdout and "plugin bad: cannot be loaded" in result.stderr
    assert invoke("keys", "list", "--help", bad=bad).exit_code == 0


@pytest.mark.parametrize("text", ["on_error = 'ignore'", "on_error = 1"])
def test_what_on_error_may_be_is_checked(invoke: Invoke, tmp_path: Path, text: str) -> None:
    (tmp_path / "shard.toml").write_text(f"[plugins]\n{text}\n")
    result = invoke("config", "check", "--config", str(tmp_path / "shard.toml"))
    assert result.exit_code == 1 and "plugins.on_error" in result.stderr

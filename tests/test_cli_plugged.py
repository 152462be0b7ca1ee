"""Commands of plugins: they stand beside ours, take the same options, and work on the shard of the settings."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shardapi import create_app
from shardapi.cli import main
from shardapi.config import ConfigError, load

PLUGIN = '''
"""A plugin with commands."""

import click
import flask
import msgspec

from shardapi import Routes, Shard, hookimpl

bell = Routes("bell")
bell.cli.help = "See to the bell."


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sound: str = "ding"


@bell.cli.command("ring")
@click.option("--times", type=int, default=1, help="How often.")
@click.pass_obj
def ring(shard: Shard, times: int) -> None:
    """Ring the bell."""
    assert flask.current_app.shard is shard
    click.echo(f"{shard.config.folder} {' '.join([shard.settings(Settings).sound] * times)}")


@bell.cli.group("clapper")
def clapper() -> None:
    """See to the clapper."""


@clapper.command("oil")
@click.pass_obj
def oil(shard: Shard) -> None:
    """Oil it."""
    click.echo(f"oiled in {shard.guild_id}")


@hookimpl
def shardapi_blueprints() -> list[Routes]:
    return [bell]
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plugin folder with one plugin that has commands."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "bell.py").write_text(PLUGIN)
    return folder


@pytest.fixture
def config(tmp_path: Path, folder: Path) -> Path:
    """A file of settings in which that plugin runs."""
    file = tmp_path / "shardapi.toml"
    file.write_text(f'[plugins]\ndir = "{folder}"\n[plugins.bell]\nsound = "dong"\n')
    return file


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run a command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words, **options: CliRunner().invoke(main, words, **options)


Run = Callable[..., Result]


def begin(run: Run, *options: str, **more: Any) -> None:
    """Begin a shard."""
    assert run("keys", "create", "bot", "--all-scopes", *options, **more).exit_code == 0


def test_a_plugins_command_takes_the_settings_that_follow_it(run: Run, config: Path, tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    begin(run, f"--data-dir={data}")
    done = run("bell", "ring", "--times", "2", "--config", str(config), f"--data-dir={data}")
    assert (done.exit_code, done.output) == (0, f"{data} dong dong\n")


def test_a_command_in_a_group_works_on_the_guild(run: Run, config: Path) -> None:
    env = {"SHARDAPI_CONFIG": str(config), "SHARDAPI_GUILD__ID": "77"}
    begin(run, env=env)
    done = run("bell", "clapper", "oil", env=env)
    assert (done.exit_code, done.output) == (0, "oiled in 77\n")


def test_it_is_listed_beside_ours_and_tells_of_its_options(run: Run, config: Path) -> None:
    env = {"SHARDAPI_CONFIG": str(config)}
    listed = run("--help", env=env).output
    assert re.search("  bell +See to the bell.", listed) and "  keys " in listed
    told = run("bell", "ring", "--help", env=env)
    assert told.exit_code == 0
    for words in ("Ring the bell.", "--times", "--config FILE", "--data-dir DIR"):
        assert words in told.output
    shown = json.loads(run("plugins", "list", "--json", env=env).stdout)
    assert [one["commands"] for one in shown if one["name"] == "bell"] == [["shardapi bell"]]


def test_looking_touches_no_data_folder(run: Run, config: Path, tmp_path: Path) -> None:
    for words in (["--help"], ["bell", "ring", "--help"], ["bell", "--help"], ["nonsense"]):
        run(*words, env={"SHARDAPI_CONFIG": str(config)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plugins", "shardapi.toml"]


def test_a_command_of_a_plugin_that_does_not_run_is_unknown(run: Run, config: Path) -> None:
    env = {"SHARDAPI_CONFIG": str(config), "SHARDAPI_PLUGINS__ENABLED": "bell"}
    begin(run)
    assert run("bell", "ring", env=env).exit_code == 0
    for env in ({}, {"SHARDAPI_PLUGINS__ENABLED": "status"}):
        done = run("bell", "ring", env=env)
        assert done.exit_code == 2 and "No such command 'bell'" in done.stderr and "off" not in done.stderr
    env = {"SHARDAPI_CONFIG": str(config), "SHARDAPI_PLUGINS__ENABLED": "status"}
    done = run("bell", "ring", env=env)
    assert done.exit_code == 2 and "the plugin bell is off" in done.stderr


def test_a_mistyped_command_of_ours_is_told_with_the_right_one(run: Run) -> None:
    done = run("keyz", "list")
    assert done.exit_code == 2 and "No such command 'keyz'" in done.stderr


def test_settings_that_cannot_be_used_are_told_in_one_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[nonsense]\n")
    for words in (["bell", "ring", "--config", str(file)], ["bell", "--config", str(file), "ring"]):
        done = run(*words)
        assert done.exit_code == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: ") and "nonsense" in line
    helped = run("--help", env={"SHARDAPI_CONFIG": str(file)})
    assert helped.exit_code == 0 and "  keys " in helped.output


def test_a_command_of_a_plugin_that_the_store_leaves_out_does_not_run(
    run: Run, folder: Path, config: Path
) -> None:
    begin(run)
    config.write_text(f'[plugins]\ndir = "{folder}"\non_error = "skip"\n')
    refuses = "def shardapi_blueprints(app):\n    if app.shard.keys.all():\n        raise OSError('no luck')"
    (folder / "bell.py").write_text(PLUGIN.replace("def shardapi_blueprints() -> list[Routes]:", refuses))
    for words in (["bell", "ring"], ["bell", "clapper", "oil"]):
        done = run(*words, "--config", str(config))
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == "Error: plugin bell: shardapi_blueprints failed: OSError('no luck')\n"


def test_commands_need_no_group(run: Run, folder: Path, config: Path) -> None:
    (folder / "bell.py").write_text(PLUGIN.replace('Routes("bell")', 'Routes("bell", cli_group=None)'))
    begin(run)
    done = run("ring", "--config", str(config))
    assert done.exit_code == 0 and done.output.endswith("dong\n")


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        ('Routes("chime", cli_group="bell")', "plugin chime: the command bell is taken by bell"),
        ('Routes("chime", cli_group="keys")', "plugin chime: the command keys is taken by shardapi"),
    ],
)
def test_a_name_that_is_taken_stops_the_start(
    folder: Path, tmp_path: Path, second: str, complaint: str
) -> None:
    (folder / "chime.py").write_text(PLUGIN.replace('Routes("bell")', second))
    with pytest.raises(ConfigError, match=complaint):
        create_app(
            load(environ={"SHARDAPI_PLUGINS__DIR": str(folder)}, data_dir=str(tmp_path / "data"))
        ).shard.close()

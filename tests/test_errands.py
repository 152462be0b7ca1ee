"""Commands in forks: what they answer, and that one in other surroundings has a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardapi import errands
from shardapi.errands import Errands


@pytest.fixture(scope="module")
def forks() -> Errands:
    return Errands()


def test_a_command_answers_as_from_a_shell(forks: Errands, tmp_path: Path) -> None:
    env = {**os.environ, "SHARDAPI_DATA_DIR": str(tmp_path)}
    done = forks.run(["keys", "create", "bot", "--scope", "read:status", "--json"], env)
    assert (done.returncode, done.stderr) == (0, f"There was no shard in {tmp_path}; one is begun.\n")
    assert json.loads(done.stdout)["scopes"] == ["read:status"]
    call = [sys.executable, "-m", "shardapi", "keys", "list", "--json"]
    listed = subprocess.run(call, env=env, capture_output=True, check=True)
    assert [one["name"] for one in json.loads(listed.stdout)] == ["bot"]


def test_a_command_that_fails_says_so_and_the_next_one_runs(forks: Errands) -> None:
    failed = forks.run(["keys", "nothing"], os.environ)
    assert failed.returncode == 2 and "No such command" in failed.stderr
    assert forks.run(["--version"], os.environ).stdout.startswith("shardapi, version")


def test_other_surroundings_get_a_process_of_their_own(
    forks: Errands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands.Errands, "_send", lambda self, order: pytest.fail("in a fork"))
    assert forks.run(["--version"], {**os.environ, "LC_ALL": "C.UTF-8", "STRANGE": "1"}).returncode == 0


def test_a_command_that_takes_too_long_is_ended(
    forks: Errands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = {**os.environ, "SHARDAPI_DATA_DIR": str(tmp_path)}
    assert forks.run(["keys", "create", "bot", "--all-scopes"], env).returncode == 0
    monkeypatch.setattr(errands, "SECONDS", 1.0)
    with pytest.raises(subprocess.TimeoutExpired):
        forks.run(["tail"], env)
    monkeypatch.undo()
    assert forks.run(["--version"], env).returncode == 0

"""What the README tells a stranger to type works; the set-up lines themselves are run by .ci/run, in fresh clones."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from shardapi import config
from shardapi.cli import main
from shardapi.installed import chosen
from shardapi.testing import Server

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [block for kind, block in BLOCKS if kind == ""]
HERE = "http://127.0.0.1:25588"


def block_with(words: str) -> str:
    """The one block of commands that has these words."""
    (found,) = [block for block in COMMANDS if words in block]
    return found


def walk(shard: Server, script: str, seconds: float = 180) -> "subprocess.CompletedProcess[str]":
    """Type commands of the README into a shell, on the shard of the test instead of the default one."""
    folder = Path(sys.executable).parent
    script = (
        script.replace(HERE, shard.url)
        .replace(".venv/bin/", f"{folder}/")
        .replace("curl ", "curl -sS --fail ")
    )
    return subprocess.run(
        ["bash", "-euc", script],
        env={**os.environ, "SHARDAPI_DATA_DIR": str(shard.data_dir)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_the_set_up_lines_stand_alone() -> None:
    set_up = [block for _, block in BLOCKS if "-m venv .venv" in block]
    assert set_up == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/shardapi serve\n",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n",
    ]


@pytest.mark.debian("curl")
def test_the_first_steps_can_be_walked(shard: Server) -> None:
    status, nets = block_with("keys create my-bot"), block_with('{"name": "Strike"}')
    done = walk(shard, status + nets)
    assert done.returncode == 0, done.stderr
    answers = re.findall(r"\{.*?\}(?=\{\"ok\"|$)", done.stdout)
    made = [json.loads(answer) for answer in answers]
    assert [one.get("action") for one in made] == [None, "net.create", "assign", "operation.set"]
    assert all(one["ok"] for one in made)
    now = shard.get("/status").json()
    assert now["operationOpen"] and now["nets"][0]["name"] == "Strike"
    assert shard.get("/assignments").json()["assignments"] == {"123456789012345678": [1]}


@pytest.mark.debian("curl")
def test_the_stream_can_be_watched(shard: Server) -> None:
    folder = Path(sys.executable).parent
    script = f"KEY=$({folder}/shardapi keys create watcher --bundle bot)\n" + block_with("/stream")
    with subprocess.Popen(
        ["bash", "-euc", script.replace(HERE, shard.url).replace("curl ", "exec curl -sS ")],
        env={**os.environ, "SHARDAPI_DATA_DIR": str(shard.data_dir)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(":")
        shard.net("Watched")
        said = next(line for line in process.stdout if line.startswith("event: "))
        process.terminate()
    assert said == "event: config.changed\n"


def test_the_other_commands_run(shard: Server) -> None:
    shard.net("Told")
    commands = (
        ".venv/bin/shardapi panel",
        "operators token",
        "public-token show",
        "plugins list",
        "shardapi tail",
    )
    script = "".join(map(block_with, commands))
    done = walk(shard, script.replace("shardapi tail", "shardapi tail --no-follow"))
    assert done.returncode == 0, done.stderr
    assert "GET /api/v1/status" in done.stdout and "net.create" in done.stdout
    assert "<iframe src=" in done.stdout and "/panel/sign-in#" in done.stdout


def test_a_plugin_is_begun(shard: Server, tmp_path: Path) -> None:
    done = walk(shard, block_with("plugins new").replace("plugins-of-mine", str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "button_box.py").is_file()


def test_a_backup_is_made_and_checked(shard: Server, tmp_path: Path) -> None:
    done = walk(shard, block_with("backup --keep").replace(" backups", f" {tmp_path}/backups"))
    assert done.returncode == 0, done.stderr
    assert (
        len(re.findall(r"\.zip.* whole:", done.stdout)) == 2
        and len(list(tmp_path.glob("backups/*.zip"))) == 1
    )


def test_the_way_back_can_be_walked(shard: Server, tmp_path: Path) -> None:
    shard.command("backup", str(tmp_path / "b.zip"))
    (tmp_path / "shardapi.toml").touch()
    line = next(line for line in block_with("restore --force").splitlines() if "restore" in line)
    for said, here in (
        ("/opt/shardapi/bin", ".venv/bin"),
        ("/etc/shardapi", str(tmp_path)),
        ("/var/lib/shardapi", str(tmp_path / "data")),
        ("FILE", str(tmp_path / "b.zip")),
    ):
        assert said in line
        line = line.replace(said, here)
    done = walk(shard, f"{line}\n{line}")
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("data/replaced-*/shard.sqlite3"))) == 1


def test_the_shown_settings_can_be_used(tmp_path: Path) -> None:
    (shown,) = [block for kind, block in BLOCKS if kind == "toml"]
    file = tmp_path / "shardapi.toml"
    file.write_text(shown)
    names = [plugin.name for plugin in chosen(config.load(file, environ={}))]
    assert names == tomllib.loads(shown)["plugins"]["enabled"]


# -- run it for real


def for_real() -> list[list[str]]:
    """Each command of "run it for real", and of what follows, in words."""
    script = block_with("install-systemd") + block_with("panel link --config") + block_with("restore --force")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    lines = [line for line in script.splitlines() if not line.startswith("NAME=")]
    return [shlex.split(command) for line in lines for command in line.split(" && ")]


def test_it_is_five_lines_from_a_bare_machine() -> None:
    lines = block_with("install-systemd").splitlines()
    assert lines[0] == "NAME=shard.example.com" and len(lines) == 6


@pytest.mark.parametrize(
    "words", [words for words in for_real() if words[0] == "/opt/shardapi/bin/shardapi"], ids=" ".join
)
def test_a_command_for_real_has_the_options_it_is_given(words: list[str]) -> None:
    names = words[1 : 2 + (words[1] == "panel")]
    shown = CliRunner().invoke(main, [*names, "--help"])
    assert shown.exit_code == 0
    given = {word for word in words if word.startswith("--")}
    assert given <= set(re.findall(r"--[a-z-]+", shown.output))


def test_the_files_and_units_for_real_are_there() -> None:
    words = [word for command in for_real() for word in command]
    installed = [word.split("/share/shardapi/")[1] for word in words if "/share/shardapi/" in word]
    assert installed and all((ROOT / file).is_file() for file in installed)
    (enabled,) = [command[3:] for command in for_real() if command[:2] == ["systemctl", "enable"]]
    units = [name if "." in name else f"{name}.service" for name in enabled]
    assert [(ROOT / "systemd" / name).is_file() for name in units] == [True, True]
    service = (ROOT / "systemd" / "shardapi.service").read_text("utf-8")
    assert "/opt/shardapi/bin/shardapi serve" in service
    assert "SHARDAPI_CONFIG=%E/shardapi/shardapi.toml" in service and "/etc/shardapi/shardapi.toml" in words
    assert "SHARDAPI_DATA_DIR=%S/shardapi" in service and "/var/lib/shardapi" in words
    assert "%S/shardapi-backups" in (ROOT / "systemd" / "shardapi-backup.service").read_text("utf-8")


def test_the_name_stands_in_the_sample_where_it_is_replaced() -> None:
    assert "\nshard.example.com {\n" in (ROOT / "conf" / "Caddyfile").read_text("utf-8")


@pytest.mark.debian("apt-cache")
def test_debian_has_the_packages() -> None:
    (packages,) = [command[3:] for command in for_real() if command[:2] == ["apt-get", "install"]]
    for package in packages:
        found = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=True)
        assert "Candidate: (none)" not in found.stdout and "Candidate:" in found.stdout


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.debian("curl")
def test_a_webhook_can_be_made(shard: Server) -> None:
    script = "KEY=$(.venv/bin/shardapi keys create hooks --bundle bot)\n" + block_with("/api/v1/webhooks")
    done = walk(shard, script)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["secret"].startswith("whsec_")
    listed = walk(shard, ".venv/bin/shardapi webhooks list").stdout
    assert made["webhook"]["id"] in listed and "https://example.com/hook" in listed

"""The example configuration is the manual: it names every setting at its default; the other files agree with it."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from shardapi import config, server
from shardapi.config import Config, Rate
from shardapi.plugins import Plugins
from shardapi.testing import Server

ROOT = Path(__file__).resolve().parents[1]
MANUAL = ROOT / "conf" / "shardapi.toml"
SETTING = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)  # a remark has a space after its mark


@pytest.fixture(scope="module")
def uncommented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual with every setting in force."""
    file = tmp_path_factory.mktemp("conf") / "shardapi.toml"
    file.write_text(SETTING.sub("", MANUAL.read_text("utf-8")), "utf-8")
    return file


def plain(value: Any) -> Any:
    """Settings as dicts, lists and strings, to be compared."""

    def rate(limit: Any) -> Any:
        assert isinstance(limit, Rate)
        return [limit.count, limit.seconds]

    return msgspec.to_builtins(value, enc_hook=rate)


def names(value: msgspec.Struct, above: str = "") -> Iterator[str]:
    """The dotted name of every setting under a struct."""
    for field in value.__struct_fields__:
        inner = getattr(value, field)
        if isinstance(inner, msgspec.Struct):
            yield from names(inner, f"{above}{field}.")
        else:
            yield f"{above}{field}"


def written(tree: dict[str, Any], above: str = "") -> Iterator[str]:
    """The dotted name of every value in a TOML tree."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from written(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_every_setting_is_commented_out() -> None:
    assert list(written(tomllib.loads(MANUAL.read_text("utf-8")))) == []


def test_it_names_every_setting_and_no_other(uncommented: Path) -> None:
    plugins = Plugins(config.load(environ={}))
    expected = set(names(Config())) - {"plugins.tables"}
    for plugin in plugins.loaded:
        if kind := getattr(plugin.module, "Settings", None):
            expected.update(names(plugins.settings[kind], f"plugins.{plugin.name}."))
    assert set(written(tomllib.loads(uncommented.read_text("utf-8")))) == expected


def test_uncommented_it_is_the_defaults(uncommented: Path) -> None:
    shown, defaults = config.load(uncommented, environ={}), config.load(environ={})
    bundled = sorted(entry.name for entry in entry_points(group="shardapi") if _is_ours(entry.dist))
    assert list(shown.plugins.enabled or ()) == bundled
    plugins = Plugins(shown)
    for kind, settings in plugins.settings.items():
        assert plain(settings) == plain(kind()), kind
    unset = {"enabled": None, "tables": {}}
    assert {**plain(shown), "plugins": {**plain(shown.plugins), **unset}} == plain(defaults)


def _is_ours(dist: Any) -> bool:
    return dist is not None and dist.name == "shardapi"


def test_every_setting_has_a_sentence() -> None:
    lines = MANUAL.read_text("utf-8").splitlines()
    bare = [
        line
        for before, line in zip(lines, lines[1:], strict=False)
        if SETTING.match(line) and before[:2] != "# "
    ]
    assert bare == []


def remarks() -> Iterator[tuple[str, str, str]]:
    """The table, the name and the remark above each setting."""
    table, remark = "", ""
    for line in MANUAL.read_text("utf-8").splitlines():
        if line.startswith("["):
            table = line[1:-1]
        if SETTING.match(line):
            yield table, line[1:].partition(" = ")[0], remark
        remark = f"{remark} {line[2:]}" if line.startswith("# ") else ""


def test_a_remark_has_the_unit_and_the_highest_value() -> None:
    kinds: dict[str, Any] = {
        f"plugins.{plugin.name}": getattr(plugin.module, "Settings", None)
        for plugin in Plugins(config.load(environ={})).loaded
    }
    kinds |= {field.name: field.type for field in msgspec.structs.fields(Config)}
    for table, name, remark in remarks():
        unit = re.search("seconds|minutes|hours|days", name)
        assert unit is None or unit[0] in remark.lower(), name
        fields = msgspec.inspect.type_info(kinds[table]).fields if table else ()  # type: ignore[union-attr]
        highest = [getattr(field.type, "le", None) for field in fields if field.name == name]
        assert highest in ([], [None]) or str(highest[0]) in remark or highest == [1], name


@pytest.mark.parametrize("name", ["bind", "trusted_proxies", "default", "enabled"])
def test_the_manual_reads_the_same_from_the_environment(name: str, uncommented: Path) -> None:
    shown = tomllib.loads(uncommented.read_text("utf-8"))
    table = next(table for table, values in shown.items() if isinstance(values, dict) and name in values)
    value = shown[table][name]
    said = ",".join(value) if isinstance(value, list) else str(value)
    read = config.load(environ={f"SHARDAPI_{table}__{name}".upper(): said})
    assert plain(getattr(getattr(read, table), name)) == plain(
        getattr(getattr(config.load(uncommented, environ={}), table), name)
    )


# -- gunicorn started by hand


def gunicorn(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """gunicorn as an owner would start it, its settings from conf/."""
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "conf" / "gunicorn.conf.py"), *words],
        env={"SHARDAPI_DATA_DIR": str(folder), "SHARDAPI_SERVER__BIND": "127.0.0.1:0", "PYTHONSAFEPATH": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_gunicorn_started_by_hand_serves_the_shard(tmp_path: Path) -> None:
    with gunicorn(tmp_path / "data") as process:
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if "listens on" in line)
            answer = requests.get(said.split()[-1] + "/health", timeout=20)
        finally:
            process.terminate()
    assert answer.json()["app"] == "shardapi"
    assert process.returncode == 0


def test_gunicorn_started_by_hand_has_the_settings_of_serve(tmp_path: Path) -> None:
    with gunicorn(tmp_path / "data", "--print-config") as process:
        said, _ = process.communicate(timeout=60)
    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    found = {name.strip(): value.strip() for name, value in shown.items()}
    for name in ("worker_connections", "keepalive", "backlog", "http_parser", "header_map", "workers"):
        assert found[name] == str(getattr(server, name)), name
    assert found["worker_class"] == "shardapi.worker.Worker"
    assert found["forwarder_headers"] == found["forwarded_allow_ips"] == "[]"


def test_a_second_worker_is_refused(tmp_path: Path) -> None:
    with gunicorn(tmp_path / "data", "--workers", "2") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Error: a shard is served by one worker" in said


def test_a_second_worker_asked_for_by_signal_does_not_come(shard: Server) -> None:
    os.kill(shard.pid, signal.SIGTTIN)
    shard.wait(lambda: any("there is one worker" in line for line in shard.log), "the refusal")
    children = Path(f"/proc/{shard.pid}/task/{shard.pid}/children").read_text().split()
    assert len(children) == 1

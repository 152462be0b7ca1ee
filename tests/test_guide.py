"""The guide of plugin authors: every block of it runs, and whatever is public stands in it."""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from apps import API, client_of, problem, said
from flask.testing import FlaskClient
from guide import BLOCKS, FILE, FILES, SINGLE, TEXT, table, write
from panels import Visitor
from public import imports, is_public, own_names

import shardapi
from shardapi import ErrorCode, ShardApp, alerts, commands, create_app, errors, events, hookspecs, presets
from shardapi.cli import main
from shardapi.config import load
from shardapi.installed import chosen
from shardapi.inventory import running
from shardapi.testing import Server

PYTHON = [name for name in FILES if name.endswith(".py")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything the guide says to write, in a folder."""
    return write(tmp_path_factory.mktemp("guide"))


@pytest.fixture(scope="module")
def shard_settings(written: Path) -> dict[str, str]:
    """All plugins of the guide beside the bundled ones; the package among them is installed."""
    bundled = [one.name for one in chosen(load(environ={}))]
    return {
        "PYTHONPATH": str(written / "packages"),
        "SHARDAPI_PLUGINS__DIR": str(written / "plugins"),
        "SHARDAPI_PLUGINS__ENABLED": ",".join([*bundled, *SINGLE, "tally"]),
    }


@pytest.fixture(scope="module")
def guided(
    written: Path, shard_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ShardApp]:
    """An app with all plugins of the guide."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(written / "packages")
        app = create_app(load(environ=shard_settings, data_dir=str(tmp_path_factory.mktemp("app"))))
        yield app
        app.shard.close()
    for name in [name for name in sys.modules if name.startswith(("tally", "shardapi_file_"))]:
        del sys.modules[name]


@pytest.fixture
def client(guided: ShardApp) -> FlaskClient:
    """A client with every scope."""
    return client_of(guided)


# -- the blocks


def test_every_python_block_is_a_file_of_its_own() -> None:
    assert len(PYTHON) > 12 and len(SINGLE) > 9
    assert all(block.file for block in BLOCKS if block.kind in ("python", "html", "css", "js"))
    assert {block.kind for block in BLOCKS} == {"python", "sh", "toml", "html", "css", "js"}


def test_what_it_shows_uses_public_names_only(written: Path) -> None:
    hidden = [
        (name, part, of) for name in PYTHON for of, part in imports(written / name) if not is_public(of, part)
    ]
    assert hidden == []


def test_its_tests_pass(written: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"],
        cwd=written,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


@pytest.mark.debian("curl")
def test_its_commands_run(shard: Server, written: Path) -> None:
    shard.net("Strike")
    lines = [line for block in BLOCKS if block.kind == "sh" for line in block.text.splitlines()]
    assert "shardapi serve" in lines
    script = "\n".join(
        line for line in lines if line not in ("shardapi serve", "export SHARDAPI_PLUGINS__DIR=plugins")
    )
    done = subprocess.run(
        [
            "bash",
            "-euc",
            script.replace("http://127.0.0.1:25588", shard.url).replace("curl ", "curl -sS --fail "),
        ],
        cwd=written,
        env={
            **shard.env,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SHARDAPI_DATA_DIR": str(shard.data_dir),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "GET /api/v1/hello" in done.stdout and '"text":"Hello"' in done.stdout
    assert "Strike  0" in done.stdout and '"Strike": 0' in done.stdout


@pytest.mark.parametrize("words", sorted(set(re.findall(r"`shardapi ([a-z]+(?: [a-z]+)?)", TEXT))))
def test_the_commands_it_names_are_there(words: str) -> None:
    first, *rest = words.split()
    if f"plugins/{first}.py" in FILES:
        return  # one that it shows
    command = main.commands[first]
    assert not rest or rest[0] in command.commands  # type: ignore[attr-defined]


def test_its_settings_can_be_used(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written)
    monkeypatch.syspath_prepend(written / "packages")
    blocks = [block.text for block in BLOCKS if block.kind == "toml" and not block.file]
    assert len(blocks) == 2
    for number, text in enumerate(blocks):
        (written / f"{number}.toml").write_text(text)
        assert chosen(load(written / f"{number}.toml", environ={}))
    told = load(written / "0.toml", environ={"SHARDAPI_PLUGINS__LIGHTS_OUT__IDLE_SECONDS": "600"})
    assert told.plugins.tables["lights_out"] == {"idle_seconds": "600"}


def test_its_package_names_what_is_there(written: Path) -> None:
    said = tomllib.loads(FILES["pyproject.toml"])
    assert said["project"]["entry-points"] == {"shardapi": {"tally": "tally"}}
    for package in said["tool"]["setuptools"]["packages"]:
        assert (written / "packages" / package.replace(".", "/")).is_dir()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)]+)\)", TEXT))))
def test_every_link_leads_somewhere(target: str) -> None:
    path, _, place = target.partition("#")
    assert (FILE.parent / path).exists()
    headings = {line[3:].lower().replace(" ", "-") for line in TEXT.splitlines() if line.startswith("## ")}
    assert not place or place in headings


# -- what it shows does what it says


def test_dice_are_thrown(client: FlaskClient) -> None:
    answer = said(client.get(f"{API}/dice/6?count=5&without=1&without=2"))
    assert len(answer["thrown"]) == 5 and not {1, 2} & set(answer["thrown"]) and answer["by"] == "client"
    problem(client.get(f"{API}/dice/1"), "not_found")
    problem(client.get(f"{API}/dice/6?count=0"), "invalid_value")
    public = client.application.test_client().get(f"{API}/dice.txt")
    assert public.text == "No cheating.\n" and public.headers["X-Operators"] == "0"


def test_a_riddle_is_guessed(client: FlaskClient) -> None:
    assert said(client.post(f"{API}/riddle", json={"word": "Echo"}))["action"] == "riddle.guess"
    blank = client.post(f"{API}/riddle", json={"word": " "}).json
    wrong = client.post(f"{API}/riddle", json={"word": "wolf"})
    assert blank is not None and blank["errors"] == [{"path": "word", "message": "Expected a word"}]
    assert wrong.status_code == 409 and wrong.json is not None
    assert (wrong.json["code"], wrong.json["letters"]) == ("wrong_guess", 4) and wrong.json["hint"]


def test_the_siren_is_heard_twice_a_minute(client: FlaskClient) -> None:
    answers = [client.get(f"{API}/siren") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert '"siren";r=1' in answers[0].headers["RateLimit"]


@pytest.mark.parametrize("query", ["?dryRun=true", ""])
def test_a_muster_is_one_step(guided: ShardApp, client: FlaskClient, query: str) -> None:
    before = guided.shard.guild.version
    answer = said(client.post(f"{API}/muster{query}", json={"name": "Rescue", "userIds": ["1", "2"]}))
    assert (answer["assigned"], answer["netUid"] == "") == (2, bool(query))
    assert guided.shard.guild.version == before + (not query)
    half = client_of(guided, "write:nets")
    refused = problem(half.post(f"{API}/muster", json={"name": "R", "userIds": ["1"]}), "missing_scope")
    assert "write:assignments" in str(refused)


def test_the_board_shows_nets_and_escapes_them(client: FlaskClient) -> None:
    client.post(f"{API}/nets", json={"name": "<b>"})
    visitor = client.application.test_client()
    page = visitor.get("/board")
    assert "<li>&lt;b&gt;</li>" in page.text and page.mimetype == "text/html"
    (sheet,) = re.findall(r'href="(.*?)"', page.text)
    with visitor.get(sheet) as answer:
        assert "sans-serif" in answer.text


def test_the_panel_has_its_page_for_who_is_signed_in(guided: ShardApp, client: FlaskClient) -> None:
    client.post(f"{API}/nets", json={"name": "<i>"})
    visitor, place = Visitor(guided), "/panel/plugins/lamps/lamps"
    assert visitor.get(place).status_code == 302
    page = visitor.sign_in().get(place)
    assert (
        page.status_code == 200
        and "&lt;i&gt; <span" in page.text
        and page.text.lstrip().startswith("<!doctype")
    )
    assert f'<a href="{place}" aria-current="page">Lamps</a>' in page.text
    assert f'<a href="{place}">Lamps</a>' in visitor.get("/panel/sessions").text
    assert visitor.get("/panel/plugins/lamps/other").status_code == 404
    assert running(guided.shard, "lamps")["pages"] == [place]


def test_they_count_hear_and_follow_on_a_running_shard(shard: Server) -> None:
    for _ in range(3):
        assert shard.post("/bell").json()["action"] == "bell.ring"
    shard.wait(lambda: shard.get("/tally").json()["counts"].get("bell.rung") == 3, "the events to be counted")
    assert "\nmood_ratio 0.0" in shard.get("/metrics/prometheus").text
    listed = {one["name"]: one for one in shard.command("plugins", "list")}
    assert listed["tally"]["tables"] == ["tally_count"] and listed["bell"]["events"] == ["bell.rung"]
    assert shard.get("/ready").json()["problems"] == []


# -- nothing is missing


def test_every_hook_stands_in_it_as_it_is() -> None:
    hooks = [
        one for name, one in inspect.getmembers(hookspecs, inspect.isfunction) if name[:9] == "shardapi_"
    ]
    exact = {f"`{one.__name__}{str(inspect.signature(one)).replace(chr(39), '')}`" for one in hooks}
    assert len(exact) == 5 and exact == set(table("Hooks")) - {"hook, under `@hookimpl`", "---"}


def words(cells: Any) -> set[str]:
    """What stands in backticks, each by the name it begins with."""
    return {name for text in re.findall(r"`([^`]+)`", str(cells)) for name in re.findall(r"^[\w.]+", text)}


def test_every_public_name_stands_in_it() -> None:
    rows = table("Public names")
    assert set(shardapi.__all__) - words(list(rows)) == set()
    for module in shardapi.MODULES:
        mine = own_names(module)
        if module == "errors":
            mine = [name for name in mine if not isinstance(getattr(errors, name), ErrorCode)]
        assert set(mine) - words(rows[f"`{module}`"]) == set(), module
    for module, parts in shardapi.PARTS.items():
        assert set(parts) - words(rows[f"`shardapi.{module}`"]) == set(), module


def test_all_that_may_be_reached_through_a_shard_stands_in_it() -> None:
    rows = table("The shard")
    for part, members in shardapi.REACHED.items():
        (row,) = [key for key in rows if f"shard.{part}" in words(key)]
        assert set(members) - words(rows[row]) == set(), part
    told = {name.removeprefix("shard.") for row in rows for name in words(row)}
    assert told == set(shardapi.REACHED)


def test_every_event_of_the_core_stands_in_it() -> None:
    rows = {name: cells for types, cells in table("Events").items() for name in words(types)}
    for kind in (*events.CORE_EVENTS, events.GAP):
        members = {field.encode_name for field in msgspec.structs.fields(kind.data)}
        assert members == words(rows[kind.name]), kind.name


def test_every_command_stands_in_it_with_its_members() -> None:
    rows = table("Commands")
    kinds = {
        name: found
        for module in (commands, alerts, presets)
        for name, found in vars(module).items()
        if isinstance(found, type)
        and issubclass(found, commands.Command)
        and found.__module__ == module.__name__
    }
    for name in set(kinds) - {"Command", "NetCommand"}:
        members = set(kinds[name].__struct_fields__) - {"by", "ceiling", "premium"}
        assert members <= words(rows[f"`{name}`"]), name


def test_every_error_code_stands_in_it(guided: ShardApp) -> None:
    ours = [route for route in guided.shard.plugins.routes if route.plugin not in SINGLE]
    known = {kind.code: kind for kind in errors.CODES.values()}
    known |= {kind.code: kind for route in ours for kind in route.errors}
    rows = {code.strip("`"): cells for code, cells in table("Error codes").items() if code[0] == "`"}
    assert set(known) - set(rows) == set()
    for code, kind in known.items():
        assert rows[code] == [str(kind.status), kind.when], code

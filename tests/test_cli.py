"""The command line, in this process where no server is needed, and as its own process where one is."""

import errno
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
import requests
from click.testing import CliRunner, Result
from terminal import SHARDAPI, Terminal

from shardapi.auth import BUNDLES, SCOPES, well_formed
from shardapi.cli import COMMANDS, main
from shardapi.testing import Operator, Server

Invoke = Callable[..., Result]
NO_DAYS = ("0", "-1", "nan", "inf", "36501", "3000000")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where this test's data folder will be."""
    return tmp_path / "data"


@pytest.fixture
def invoke(data_dir: Path) -> Invoke:
    """Run a command in this process on this test's data folder."""

    def run(*words: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, [*words, "--data-dir", str(data_dir)], env=env)

    return run


def printed(result: Result) -> Any:
    """The JSON that a command printed."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(result: Result) -> str:
    """The one line with which a command was refused."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return only_line(result.stderr)


def only_line(said: str) -> str:
    """The error that is all that was said."""
    (line,) = said.strip().splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.mark.parametrize(
    "words",
    [
        "keys list",
        "keys revoke key_1",
        "operators list",
        "operators revoke all",
        "tail --no-follow",
        "operators token 1 --name Ann",
        "panel link",
        "public-token rotate",
        "webhooks list",
        "discord status",
    ],
)
def test_nothing_is_begun_in_a_folder_whose_name_is_mistyped(
    invoke: Invoke, data_dir: Path, words: str
) -> None:
    line = refusal(invoke(*words.split()))
    assert f"there is no shard in {data_dir}:" in line and "--data-dir" in line
    assert not data_dir.exists()


# -- keys


def test_a_key_carries_the_scopes_it_was_made_with(invoke: Invoke) -> None:
    made = printed(
        invoke("keys", "create", "bot", "--scope", "read:status", "--scope", "write:nets", "--json")
    )
    assert well_formed(made["secret"]) and made["secret"].startswith("scok_")
    assert made["id"].startswith("key_") and made["name"] == "bot" and made["state"] == "live"
    assert made["scopes"] == ["read:status", "write:nets"]
    assert made["expiresAt"] == made["revokedAt"] == made["lastUsedAt"] == ""


def test_all_scopes_are_the_references_and_are_listed(invoke: Invoke) -> None:
    result = invoke("keys", "create", "owner", "--all-scopes")
    assert all(scope in result.stderr for scope in SCOPES)
    assert printed(invoke("keys", "list", "--json"))[0]["scopes"] == sorted(SCOPES)


def test_all_scopes_hold_those_of_enabled_plugins(invoke: Invoke, tmp_path: Path) -> None:
    plugin = '''
from shardapi import NoBody, Answer, Routes, hookimpl
routes = Routes("weather", scopes={"read:weather": "the weather"})
@routes.get("/weather", scope="read:weather")
def weather() -> Answer:
    """The weather."""
    return Answer()
@hookimpl
def shardapi_blueprints(app):
    return [routes]
'''
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "weather.py").write_text(plugin)
    env = {"SHARDAPI_PLUGINS__DIR": str(folder)}
    made = printed(invoke("keys", "create", "owner", "--all-scopes", "--json", env=env))
    assert made["scopes"] == sorted([*SCOPES, "read:weather"])
    shown = {one["name"]: one for one in printed(invoke("plugins", "list", "--json", env=env))}
    assert shown["weather"]["routes"] == ["GET /api/v1/weather"]
    assert not shown["weather"]["bundled"]


@pytest.mark.parametrize("bundle", list(BUNDLES))
def test_a_bundle_is_a_usual_set_of_scopes(invoke: Invoke, bundle: str) -> None:
    made = printed(invoke("keys", "create", bundle, "--bundle", bundle, "--json"))
    assert made["scopes"] == sorted(BUNDLES[bundle])
    assert set(BUNDLES[bundle]) <= set(SCOPES)


def test_the_secret_alone_is_on_standard_output(invoke: Invoke) -> None:
    result = invoke("keys", "create", "bot", "--bundle", "bot")
    assert well_formed(result.stdout.removesuffix("\n"))
    assert "write:nets" in result.stderr and "never" in result.stderr


def test_a_key_may_end_by_itself(invoke: Invoke) -> None:
    made = printed(invoke("keys", "create", "bot", "--bundle", "bot", "--expires-days", "0.5", "--json"))
    assert made["createdAt"] < made["expiresAt"]
    invoke("keys", "create", "brief", "--bundle", "bot", "--expires-days", "0.00000002")
    states = {key["name"]: key["state"] for key in printed(invoke("keys", "list", "--json"))}
    assert states == {"bot": "live", "brief": "expired"}


def test_keys_are_listed_without_their_secrets(invoke: Invoke) -> None:
    secret = printed(invoke("keys", "create", "bot", "--bundle", "bot", "--json"))["secret"]
    listed = invoke("keys", "list", "--json")
    (key,) = printed(listed)
    assert "secret" not in key and secret not in listed.stdout
    line = invoke("keys", "list").stdout
    assert key["id"] in line and "live" in line and "never used" in line and secret not in line


def test_a_revoked_key_stays_listed(invoke: Invoke) -> None:
    made = printed(invoke("keys", "create", "bot", "--bundle", "bot", "--json"))
    assert made["id"] in invoke("keys", "revoke", made["id"]).stdout
    (key,) = printed(invoke("keys", "list", "--json"))
    assert key["state"] == "revoked" and key["revokedAt"]
    assert refusal(invoke("keys", "revoke", made["id"])).startswith(
        f"Error: there is no live key {made['id']}"
    )


def test_an_unknown_scope_is_refused_with_those_there_are(invoke: Invoke) -> None:
    line = refusal(invoke("keys", "create", "bot", "--scope", "read:all"))
    assert "there is no scope read:all" in line and "read:status" in line


@pytest.mark.parametrize(
    "words",
    [
        ("bot",),
        ("bot", "--all-scopes", "--bundle", "bot"),
        ("bot", "--bundle", "everything"),
        (" ", "--all-scopes"),
        ("n" * 65, "--all-scopes"),
        ("a\nb", "--all-scopes"),
        *(("bot", "--all-scopes", "--expires-days", days) for days in NO_DAYS),
    ],
)
def test_a_key_made_wrongly_is_not_made(invoke: Invoke, data_dir: Path, words: tuple[str, ...]) -> None:
    result = invoke("keys", "create", *words)
    assert result.exit_code == 2
    assert not data_dir.exists()


# -- operators


def test_an_operators_token_says_who_they_are(invoke: Invoke) -> None:
    printed(invoke("keys", "create", "bot", "--all-scopes", "--json"))
    words = ("operators", "token", "123456789012345678", "--name", "Ann", "--role", "7", "--role", "8")
    made = printed(invoke(*words, "--expires-days", "1", "--json"))
    assert set(made) == {"token", "userId", "displayName", "roles", "guildId", "expiresAt"}
    assert (made["userId"], made["displayName"], made["roles"]) == ("123456789012345678", "Ann", ["7", "8"])
    assert invoke(*words).stdout.count("\n") == 1


@pytest.mark.parametrize("id", ["a b", "", "x" * 65, "ä"])
def test_a_token_for_an_impossible_user_or_role_is_refused(invoke: Invoke, id: str) -> None:
    for words in ((id,), ("1", "--role", id)):
        assert invoke("operators", "token", *words, "--name", "Ann").exit_code == 2


@pytest.mark.parametrize("name", ["می\u200cخواهم", "👩\u200d👩\u200d👧", "Ann\u200f", "\xa0x", "x" * 64])
def test_a_name_may_have_any_character_but_controls(invoke: Invoke, name: str) -> None:
    made = printed(invoke("keys", "create", name, "--all-scopes", "--json"))
    assert made["name"] == name.strip()


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "a\x1b[1m", "a\x85b", "a\udcffb"])
def test_a_name_that_is_none_is_refused(invoke: Invoke, data_dir: Path, name: str) -> None:
    assert invoke("keys", "create", name, "--all-scopes").exit_code == 2
    assert not data_dir.exists()


def test_a_key_tells_where_a_shard_was_begun_for_it(invoke: Invoke, data_dir: Path) -> None:
    words = ("keys", "create", "bot", "--all-scopes")
    assert f"There was no shard in {data_dir}; one is begun." in invoke(*words).stderr
    assert "one is begun" not in invoke(*words).stderr


@pytest.mark.parametrize(
    "words",
    ["keys list", "tail", "operators list", "plugins list", "keys create bot --all-scopes", "panel link"],
)
def test_a_folder_that_may_not_be_looked_into_is_one_line(
    invoke: Invoke, data_dir: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    exists = Path.exists

    def forbidden(path: Path) -> bool:
        if data_dir in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", forbidden)
    line = refusal(invoke(*words.split()))
    assert f"data folder {data_dir}: Permission denied; run this as the user" in line


# -- what there is


def test_plugins_are_listed_with_what_they_open(invoke: Invoke, data_dir: Path) -> None:
    env = {"SHARDAPI_PLUGINS__ENABLED": "status,nets"}
    shown = {one["name"]: one for one in printed(invoke("plugins", "list", "--json", env=env))}
    assert {name for name, one in shown.items() if one["enabled"]} == {"status", "nets"}
    assert "GET /api/v1/status" in shown["status"]["routes"]
    assert shown["roster"] == {**shown["roster"], "enabled": False, "bundled": True, "routes": []}
    shown_as_text = invoke("plugins", "list").stdout
    assert re.search(
        r"^status +on +shardapi [\d.]+, bundled\n +routes +GET /api/v1/status$", shown_as_text, re.M
    )
    assert not data_dir.exists()


def test_the_openapi_document_is_of_the_enabled_plugins(invoke: Invoke, data_dir: Path) -> None:
    document = printed(invoke("openapi", env={"SHARDAPI_PLUGINS__ENABLED": "status"}))
    assert document["openapi"].startswith("3.1")
    assert list(document["paths"]) == ["/api/v1/status"]
    assert not data_dir.exists()


def test_good_settings_are_said_to_be_fine(invoke: Invoke, data_dir: Path) -> None:
    facts = printed(invoke("config", "check", "--json"))
    assert facts["ok"] and facts["dataDir"] == str(data_dir) and "status" in facts["plugins"]
    assert "The settings are fine" in invoke("config", "check").stdout
    assert not data_dir.exists()


REFUSED_SETTINGS = [
    ({"SHARDAPI_SERVER__BND": "x"}, "SHARDAPI_SERVER__BND: unknown setting server.bnd"),
    ({"SHARDAPI_PLUGINS__GATEWAY__X": "1"}, "plugins.gateway: unknown setting x"),
    ({"SHARDAPI_PLUGINS__STATUS__X": "1"}, "unknown setting plugins.status.x"),
    (
        {"SHARDAPI_PLUGINS__ENABLED": "nets,nix"},
        "plugin nix: there is no such plugin: plugins.enabled names it; installed: acars,",
    ),
    ({"SHARDAPI_SERVER__BIND": "here"}, 'server.bind: write HOST:PORT, such as 127.0.0.1:25588, not "here"'),
    ({"SHARDAPI_SERVER__WORKERS": "2"}, "Expected `int` <= 1 - at `server.workers`"),
    *(
        ({"SHARDAPI_SERVER__PUBLIC_URL": url}, "server.public_url: write a URL")
        for url in ("shard.example", "http://[::1", "https://:443", "https://shard.example:port")
    ),
    ({"SHARDAPI_SERVER__TRUSTED_PROXIES": "::g"}, 'server.trusted_proxies: "::g" is not an address'),
    ({"SHARDAPI_LIMITS__DEFAULT": "often"}, "write a limit as COUNT/minute"),
    ({"SHARDAPI_EVENTS__KEEP_HOURS": "0"}, "SHARDAPI_EVENTS__KEEP_HOURS"),
    ({"SHARDAPI_SIGNING_SECRET_FILE": "/nowhere"}, "SHARDAPI_SIGNING_SECRET_FILE: cannot read /nowhere"),
    ({"SHARDAPI_CONFIG": "/nowhere.toml"}, "/nowhere.toml: No such file"),
]


@pytest.mark.parametrize(("env", "why"), REFUSED_SETTINGS, ids=lambda value: " ".join(value)[:40])
def test_settings_that_cannot_be_used_are_one_line(invoke: Invoke, env: dict[str, str], why: str) -> None:
    assert why in refusal(invoke("config", "check", env=env))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[server]\nbnd = 1\n", "unknown setting server.bnd"),
        ("[server\n", "not valid TOML"),
        ("x = 1", "setting x"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(invoke: Invoke, tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    line = refusal(invoke("config", "check", "--config", str(file)))
    assert str(file) in line and why in line


# -- every command


def commands(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield (*above, name), command


ALL = dict(commands(main))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_a_help_and_takes_the_settings(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*words, "--help"], terminal_width=100)
    assert shown.exit_code == 0 and ALL[words].help
    assert re.search(r"--data-dir DIR +\S", shown.output)
    assert re.search(r"--config FILE +\S", shown.output) or words == ("demo",)  # which has a shard of its own
    undescribed = [one.name for one in ALL[words].params if isinstance(one, click.Option) and not one.help]
    assert undescribed == []


def test_every_command_that_an_owner_was_promised_is_there() -> None:
    promised = ("serve", "keys create", "keys list", "keys revoke", "operators token", "plugins list")
    assert {*promised, "openapi", "config check", "tail"} <= {" ".join(words) for words in ALL}


def test_settings_come_from_the_named_file(tmp_path: Path) -> None:
    file = tmp_path / "shardapi.toml"
    file.write_text(f'data_dir = "{tmp_path / "there"}"\n[guild]\nid = "42"\n')
    for words in (["keys", "create", "bot", "--all-scopes"], ["operators", "token", "1", "--name", "Ann"]):
        made = printed(CliRunner().invoke(main, [*words, "--json", "--config", str(file)]))
    assert made["guildId"] == "42"
    assert (tmp_path / "there" / "shard.sqlite3").exists()


def test_a_secret_that_can_be_guessed_is_told(invoke: Invoke, start_shard: Callable[..., Server]) -> None:
    env = {"SHARDAPI_SIGNING_SECRET": "hunter2"}
    done = invoke("config", "check", env=env)
    assert done.exit_code == 0 and "short enough to be guessed" in done.stderr
    assert "guessed" not in invoke("config", "check", env={"SHARDAPI_SIGNING_SECRET": "x" * 48}).stderr
    server = start_shard(env=env)
    server.wait(lambda: [line for line in server.log if "guessed" in line], "the log to tell it")
    assert "hunter2" not in done.output + "".join(server.log)


def test_a_store_that_is_none_is_one_line(invoke: Invoke, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "shard.sqlite3").write_text("not a database, but long enough to look at" * 20)
    assert "shard.sqlite3: file is not a database" in refusal(invoke("keys", "list"))


def test_a_store_of_a_newer_version_is_one_line(invoke: Invoke, data_dir: Path) -> None:
    printed(invoke("keys", "create", "bot", "--all-scopes", "--json"))
    with closing(sqlite3.connect(data_dir / "shard.sqlite3")) as db, db:
        db.execute(
            "INSERT INTO migration_core SELECT 9999, '9999_later', applied FROM migration_core LIMIT 1"
        )
    assert "newer" in refusal(invoke("keys", "list"))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["keys", "create", "bot", "--all-scopes", "--data-dir", str(tmp_path / "file" / "data")]
    result = CliRunner().invoke(main, words)
    assert refusal(result) == f"Error: data folder {tmp_path}/file/data: Not a directory"


# -- beside a running server


def test_a_key_opens_and_closes_a_running_server(shard: Server, size: str) -> None:
    made = shard.command("keys", "create", "bot", "--scope", "read:status")
    assert shard.get("/status", key=made["secret"]).status_code == 200
    assert shard.get("/roster", key=made["secret"]).status_code == 403
    shard.command("keys", "revoke", made["id"])
    most = {"ci": 10.0, "soak": 1.0}[size]  # the first beside other tests
    shard.wait(lambda: shard.get("/status", key=made["secret"]).status_code == 401, "the refusal", most)


def test_a_token_lets_an_operator_into_a_running_server(shard: Server) -> None:
    made = shard.command("operators", "token", "77", "--name", "Zoë", "--role", "5")
    operator = Operator(shard.url, made["token"], made["guildId"]).join()
    (joined,) = [message for message in operator.seen if message["type"] == "joined"]
    assert joined["user"] == {"id": "77", "displayName": "Zoë", "roles": ["5"]}
    operator.close()


def test_the_document_is_the_one_that_the_server_answers(shard: Server) -> None:
    answered = shard.get("/api/v1/openapi.json", key="").json()
    assert shard.command("openapi") == answered


def test_every_description_works_beside_a_running_server(shard: Server) -> None:
    assert {one["name"] for one in shard.command("plugins", "list")} >= {"status", "gateway"}
    assert shard.command("config", "check")["ok"]
    assert isinstance(shard.command("keys", "list"), list)


# -- serve


def start(*words: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to be refused."""
    return subprocess.run(
        [*SHARDAPI, "serve", *words],
        env={**os.environ, "SHARDAPI_SERVER__BIND": "127.0.0.1:0", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused_start(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line with which a start was refused."""
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    return only_line(done.stderr)


@pytest.mark.parametrize(("env", "why"), REFUSED_SETTINGS[:5], ids=lambda value: " ".join(value)[:40])
def test_a_start_with_refused_settings_is_one_line(data_dir: Path, env: dict[str, str], why: str) -> None:
    assert why in refused_start(start("--data-dir", str(data_dir), env=env))


def test_a_taken_port_is_one_line(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused_start(start("--data-dir", str(data_dir), "--bind", bind))
    assert line == f"Error: cannot listen on {bind}: Address already in use"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refused_start(start("--data-dir", str(tmp_path / "file" / "data")))
    assert line == f"Error: data folder {tmp_path}/file/data: Not a directory"


def test_a_second_server_on_one_folder_is_one_line(shard: Server) -> None:
    line = refused_start(start("--data-dir", str(shard.data_dir)))
    assert line == f"Error: another server serves {shard.data_dir}: one server per data folder"


def test_a_plugin_that_breaks_stops_the_start_with_its_name(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('no luck')")
    line = refused_start(start("--data-dir", str(data_dir), env={"SHARDAPI_PLUGINS__DIR": str(tmp_path)}))
    assert "plugin broken: cannot be loaded" in line and "no luck" in line


def test_modules_in_the_working_folder_are_not_taken_for_ours(data_dir: Path, tmp_path: Path) -> None:
    for name in ("flask", "msgspec", "gunicorn"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the working folder')")
    program = Path(sys.executable).with_name("shardapi")
    with subprocess.Popen(
        [program, "serve", "--bind", "127.0.0.1:0", "--data-dir", data_dir],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.terminate()
    assert "listens on" in said


def test_the_first_start_elsewhere_makes_no_key_and_says_how(start_shard: Callable[..., Server]) -> None:
    server = start_shard()
    server.wait(lambda: any("no key yet" in line for line in server.log), "it to say so")
    (line,) = [line for line in server.log if "no key yet" in line]
    assert server.command("keys", "list") == []
    made = subprocess.run(
        [*shlex.split(line.split(": ", 1)[1]), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert server.get("/status", key=json.loads(made.stdout)["secret"]).status_code == 200
    assert server.data_dir.stat().st_mode & 0o777 == 0o700
    assert (server.data_dir / "signing.secret").stat().st_mode & 0o777 == 0o600
    before = len(server.log)
    server.restart()
    assert not any("no key yet" in line for line in server.log[before:])


def test_the_first_start_on_a_terminal_shows_one_key_and_a_ready_curl(data_dir: Path) -> None:
    with Terminal("serve", "--bind", "127.0.0.1:0", "--data-dir", str(data_dir)) as terminal:
        url = terminal.until(r"listens on (\S+)\n")[1]
        curl = shlex.split(terminal.until(r"\n  (curl .+)\n")[1])
        secret = re.findall(r"scok_\w+", terminal.said)[0]
        assert curl == ["curl", "-H", f"Authorization: Bearer {secret}", f"{url}/api/v1/status"]
        header, value = curl[2].split(": ")
        assert requests.get(curl[3], headers={header: value}, timeout=20).status_code == 200
        assert terminal.end(signal.SIGTERM) == 0
    (key,) = printed(CliRunner().invoke(main, ["keys", "list", "--json", "--data-dir", str(data_dir)]))
    assert set(key["scopes"]) == set(SCOPES)
    with Terminal("serve", "--bind", "127.0.0.1:0", "--data-dir", str(data_dir)) as terminal:
        terminal.until(r"listens on (\S+)\n")
        assert terminal.end(signal.SIGTERM) == 0
        assert "scok_" not in terminal.said and "no key yet" not in terminal.said


def test_the_names_of_our_own_commands_are_known_without_loading_them() -> None:
    assert set(COMMANDS) == set(main.commands)
    loaded = "import sys, shardapi.cli.options; print(*(name for name in sys.modules if '.cli.' in name))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert "shardapi.cli.options" in done.stdout and "program" not in done.stdout

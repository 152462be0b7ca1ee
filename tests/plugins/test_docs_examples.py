"""The code that the docs show works: each call's examples in curl and Python, and all code of the guides."""

import base64
import contextlib
import hmac
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shardapi import ShardApp, clock
from shardapi.testing import Operator, Server
from shardapi_docs.book import Book
from shardapi_docs.guides import FOLDER, GUIDES, source
from shardapi_docs.operations import Operation
from shardapi_docs.snippets import STREAM, Example, snippets

ROOT = Path(__file__).parents[2]
NET, USER, HOOK = "net_jmqbkeg5s74cjkezqybwkhny", "123456789012345678", "wh_k3v7mq2xw5tn4bzr6jyd"
HERE = "http://127.0.0.1:25588"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 30.0
HOSTILE = [
    "it's",
    '$(touch x) `touch x` "x" $KEY',
    "'; touch x; '",
    "’; exit",
    "a\\",
    "<é\n>",
    "@file",
    "!x %2F",
    "#c",
]


@pytest.fixture(scope="module")
def shard_settings() -> dict[str, str]:
    return {
        "SHARDAPI_LIMITS__ACARS": "1000000/minute",
        "SHARDAPI_PLUGINS__WEBHOOKS__ALLOW_PRIVATE": '["127.0.0.0/8"]',
    }


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Operation]]:
    """Every call as the docs show it, what removes things at the end."""
    from shardapi import create_app
    from shardapi.config import load

    app = create_app(load(environ={}, data_dir=str(tmp_path_factory.mktemp("book"))))
    assert app.shard.base_url == HERE
    yield sorted(Book(app).operations, key=lambda one: (one.method == "DELETE", one.method != "GET"))
    app.shard.close()


def arrange(shard: Server) -> dict[str, str]:
    """Have all there that the examples name; returns what else to put for what only a shard knows."""
    assert shard.post("/archive", {"uid": NET, "name": "Strike Net"}).ok
    assert shard.post(f"/archive/{NET}/restore").ok
    assert shard.post("/presets", {"name": "Friday Op", "nets": [{"netUid": NET, "name": "Strike Net"}]}).ok
    hooks = shard.get("/webhooks").json()["webhooks"]
    if not hooks:
        hooks = [
            shard.post("/webhooks", {"url": "http://127.0.0.1:9/", "events": ["client.disconnected"]}).json()[
                "webhook"
            ]
        ]
    token = shard.get("/public-token").json()["token"]
    return {HERE: shard.url, HOOK: hooks[-1]["id"], "=TOKEN": f"={token}", "5f0c3a9e-118": a_moment_ago()}


def a_moment_ago() -> str:
    """A time that a replay can begin at."""
    return clock.iso(clock.now() - 1000)


def placed(text: str, instead: dict[str, str]) -> str:
    """An example about this shard."""
    for what, other in instead.items():
        text = text.replace(what, other)
    return text


def answer_of(text: str, call: Operation) -> Any:
    """What an example printed, which must be what the call answers."""
    if call.media_type != "application/json":
        assert text.strip(), call.id
        return text
    return json.loads(text)


@pytest.mark.debian("curl")
def test_the_examples_for_curl_run(
    shard: Server, calls: list[Operation], operator: Callable[..., Operator]
) -> None:
    operator(USER)
    instead = arrange(shard)
    for call in calls:
        if call.media_type == STREAM:
            continue
        instead = arrange(shard) if call.method != "GET" else instead
        script = placed(call.snippets["sh"], instead).replace("curl ", "curl -sS --fail-with-body ", 1)
        if call.id == "clients_disconnect":
            operator(USER)
        done = subprocess.run(
            ["bash", "-euc", script],
            env={"KEY": shard.key(), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, (call.id, script, done.stdout, done.stderr)
        answer_of(done.stdout, call)


def test_the_examples_in_python_run(
    shard: Server, calls: list[Operation], operator: Callable[..., Operator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", shard.key())
    operator(USER)
    instead = arrange(shard)
    for call in calls:
        if call.media_type == STREAM:
            continue
        instead = arrange(shard) if call.method != "GET" else instead
        code = compile(placed(call.snippets["python"], instead), call.id, "exec")
        if call.id == "clients_disconnect":
            operator(USER)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(code, {})
        if call.media_type == "application/json":
            shown = eval(said.getvalue())  # what print makes of JSON
            assert shown.get("ok", True) is True, (call.id, shown)


@pytest.mark.parametrize("language", ["python", pytest.param("sh", marks=pytest.mark.debian("curl"))])
def test_the_examples_follow_the_stream(shard: Server, calls: list[Operation], language: str) -> None:
    (call,) = [one for one in calls if one.media_type == STREAM]
    code = placed(call.snippets[language], {HERE: shard.url})
    command = [sys.executable, "-u", "-c", code] if language == "python" else ["bash", "-c", f"exec {code}"]
    with started(command, shard) as process:
        assert process.stdout is not None
        shard.wait(lambda: streams(shard) == 1, "the example to follow")
        shard.net("Told")
        assert any("net.create" in line for line in process.stdout)
    shard.wait(lambda: streams(shard) == 0)


def streams(shard: Server) -> int:
    """How many are open."""
    found = re.search(r"^shardapi_streams_open (\d+)", shard.get("/metrics/prometheus").text, re.MULTILINE)
    assert found is not None
    return int(found[1])


@contextlib.contextmanager
def started(command: list[str], shard: Server, **options: Any) -> "Iterator[subprocess.Popen[str]]":
    """A program that goes on until it is no longer wanted."""
    env = {"KEY": shard.key(), "SHARD": shard.url, "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    timer = threading.Timer(SECONDS, process.kill)  # so that reading from it comes to an end
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


@pytest.mark.parametrize("text", HOSTILE)
def test_an_example_says_what_it_means_whatever_that_is(text: str, tmp_path: Path) -> None:
    made = snippets(
        Example(
            "POST",
            "http://127.0.0.1:9/x",
            True,
            {"text": text, "yes": True, "none": None},
            "application/json",
        )
    )
    said = subprocess.run(
        ["bash", "-c", "curl() { printf '%s\\0' \"$@\"; }\n" + made["sh"]],
        env={"KEY": "scok_x", "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    words = said.stdout.split("\0")
    assert json.loads(words[words.index("-d") + 1])["text"] == text
    assert "Authorization: Bearer scok_x" in words and list(tmp_path.iterdir()) == []
    assert f"json={{'text': {text!r}" in ast_of(made["python"])
    (quoted,) = re.findall(r"-Body ('(?:[^'‘’‚‛]|['‘’‚‛]{2})*')\n$", made["powershell"])
    body = re.sub("(['‘’‚‛])\\1", r"\1", quoted[1:-1])
    assert json.loads(body)["text"] == text


def ast_of(code: str) -> str:
    """Python as the interpreter reads it."""
    import ast

    return ast.unparse(ast.parse(code))


# -- the guides


def blocks(name: str, language: str, url: str) -> list[str]:
    """A guide's code in one language."""
    return [code for kind, code in BLOCK.findall(source(name, url)) if kind == language]


def walk(shard: Server, script: str) -> str:
    """Type commands into a shell where the shard runs."""
    folder = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euc", script.replace("curl ", "curl -sS --fail-with-body ")],
        env={
            **shard.env,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "KEY": shard.key(),
            "SHARDAPI_DATA_DIR": str(shard.data_dir),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def test_every_block_is_of_a_kind_that_is_tried_here() -> None:
    kinds = {(guide.name, kind) for guide in GUIDES for kind, _ in BLOCK.findall(source(guide.name, HERE))}
    others = {(name, kind) for name, kind in kinds if name != "plugins"}
    assert {kind for _, kind in others} == {"sh", "python", "powershell", "http", "json", "js", "html"}
    assert (FOLDER / "plugins.md").read_bytes() == (
        ROOT / "plugins" / "README.md"
    ).read_bytes()  # has tests of its own


@pytest.mark.debian("curl")
def test_the_quick_start_is_walked_and_its_bot_greets(
    shard: Server, operator: Callable[..., Operator], tmp_path: Path
) -> None:
    create, export, first, steps, run = blocks("quick-start", "sh", shard.url)
    assert walk(shard, create).startswith("scok_") and export == "export KEY=scok_your_key_here\n"
    assert json.loads(walk(shard, first))["ok"]
    for net in shard.get("/status").json()["nets"]:
        shard.delete(f"/nets/{net['netUid']}")
    slot = json.loads(walk(shard, steps.split("curl ")[0] + "curl " + steps.split("curl ")[1]))["netId"]
    assert '"changed":true' in walk(
        shard, "curl " + "curl ".join(steps.split("curl ")[2:]).replace('"netId": 1', f'"netId": {slot}')
    )
    (bot,) = blocks("quick-start", "python", shard.url)
    assert run == f"python3 {bot.split()[1]}\n"
    (tmp_path / "bot.py").write_text(bot)
    with started([sys.executable, "bot.py"], shard, cwd=tmp_path) as process:
        assert process.stdout is not None
        shard.wait(lambda: streams(shard) == 1, "the bot to follow")
        operator("987654321")
        assert process.stdout.readline() == "987654321 is on Strike Net\n"
    assert shard.get("/assignments").json()["assignments"]["987654321"] == [slot]
    shard.wait(lambda: streams(shard) == 0)


def test_the_follower_goes_on_where_it_was(shard: Server, tmp_path: Path) -> None:
    (code,) = blocks("events", "python", shard.url)
    (tmp_path / "follow.py").write_text(code)
    command = [sys.executable, "follow.py"]
    shard.post("/operation", {"open": False})
    with started(command, shard, cwd=tmp_path) as process:
        assert process.stdout is not None
        shard.wait(lambda: streams(shard) == 1, "it to follow")
        shard.post("/operation", {"open": True})
        assert "operation.opened" in process.stdout.readline()
        shard.wait(lambda: (tmp_path / "last-event").exists(), "the place to be kept")
    shard.wait(lambda: streams(shard) == 0)
    shard.post("/operation", {"open": False})
    with started(command, shard, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert "operation.closed" in process.stdout.readline()
    shard.wait(lambda: streams(shard) == 0)


def test_the_write_options_do_what_is_said(shard: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", shard.key())
    monkeypatch.setenv("SHARD", shard.url)
    names: dict[str, Any] = {}
    for code in blocks("writes", "python", shard.url):
        exec(compile(code, "writes.md", "exec"), names)
    assert names["written"].status_code == 200 and names["written"].json()["changed"]
    stale = {**names["headers"], "If-Match": names["read"].headers["ETag"]}
    assert shard.post("/rules", {"rules": []}, headers=stale).status_code == 412
    assert shard.post("/rules", {"rules": []}).ok


def test_webhooks_are_verified_as_the_recipes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    (python,), (js,) = blocks("webhooks", "python", HERE), blocks("webhooks", "js", HERE)
    for code, recipe in ((python, "receive-webhooks.py"), (js, "receive-webhooks.js")):
        proven = (ROOT / "conf" / "recipes" / recipe).read_text("utf-8")
        for part in re.split(r"\n{2,3}", code)[1:]:
            assert part.strip() in proven or part.lstrip().startswith(("import", "const crypto")), part
    names: dict[str, Any] = {}
    exec(compile(python, "verify.py", "exec"), names)
    at, body = str(int(time.time())), b'{"id":"5-1"}'
    mac = base64.b64encode(hmac.digest(b"secret of sixteen", f"5-1.{at}.".encode() + body, "sha256")).decode()
    headers = {"webhook-id": "5-1", "webhook-timestamp": at, "webhook-signature": f"v1,AAAA v1,{mac}"}
    key = names["key_of"]("secret of sixteen")
    assert names["is_genuine"](key, headers, body)
    assert not names["is_genuine"](key, headers, body + b" ")


@pytest.mark.debian("curl")
def test_the_other_commands_of_the_guides_run(shard: Server) -> None:
    make, end = blocks("keys", "sh", shard.url)
    assert len(walk(shard, make).split()) == 2
    id_ = next(one["id"] for one in shard.command("keys", "list") if one["name"] == "planner")
    assert id_ in walk(shard, end.replace("key_4fQ9mZ2xT7bN1cVk", id_))
    (register,) = blocks("webhooks", "sh", shard.url)
    assert json.loads(walk(shard, register))["secret"].startswith("whsec_")
    (token,) = blocks("widget", "sh", shard.url)
    answer = json.loads(walk(shard, token))
    (frame,) = blocks("widget", "html", shard.url)
    assert re.sub(r"\s+", " ", frame.replace("TOKEN", answer["token"])).strip() in walk(
        shard, "shardapi public-token show"
    )
    for name in (guide.name for guide in GUIDES if guide.name != "plugins"):
        for block in blocks(name, "json", shard.url):
            json.loads(block)


@pytest.mark.debian("node")
def test_the_status_is_drawn_by_a_script_of_any_site(shard: Server) -> None:
    (code,) = blocks("widget", "js", shard.url)
    link = shard.get("/public-token").json()["statusUrl"]
    shard.post("/operation", {"open": True})
    said = subprocess.run(
        ["node", "-e", f"{code}\nlive(process.argv[1]).then(console.log)", link],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert said.stdout.startswith("The operation is ")


def test_the_guides_for_powershell_call_what_there_is(app: ShardApp) -> None:
    paths = {one.path for one in Book(app).operations}
    for guide in GUIDES:
        for block in blocks(guide.name, "powershell", HERE):
            assert all(path in paths for path in re.findall(r"25588(/\S+)", block)), block

"""Each call's examples in the docs run as they stand: in curl and in Python."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from manual import HERE, SECONDS, started, streams

from shardapi import clock
from shardapi.testing import Operator, Server
from shardapi_docs.book import Book
from shardapi_docs.operations import Operation
from shardapi_docs.snippets import STREAM, Example, snippets

NET, USER, HOOK = "net_jmqbkeg5s74cjkezqybwkhny", "123456789012345678", "wh_k3v7mq2xw5tn4bzr6jyd"
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

"""All code of the guides works as it stands there."""

import base64
import hmac
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from manual import BLOCK, HERE, SECONDS, blocks, started, streams, walk
from websockets.sync.client import connect

from shardapi import ShardApp
from shardapi.testing import Operator, Server
from shardapi_docs.book import Book
from shardapi_docs.guides import FOLDER, GUIDES, source

ROOT = Path(__file__).parents[2]


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
        shard.wait(lambda: (tmp_path / "last-event").read_text(), "the place to be kept")
    shard.wait(lambda: streams(shard) == 0)
    shard.post("/operation", {"open": False})
    with started(command, shard, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert "operation.closed" in process.stdout.readline()
    shard.wait(lambda: streams(shard) == 0)


def test_a_client_of_the_guide_hears_what_happens(
    shard: Server, operator: Callable[..., Operator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mint,), (code,) = blocks("operators", "sh", shard.url), blocks("operators", "python", shard.url)
    monkeypatch.setenv("TOKEN", walk(shard, mint.replace("123456789012345678", "876543210")).strip())
    (tmp_path / "client.py").write_text(code)
    net = shard.net("Recon")
    with started([sys.executable, "client.py"], shard, "TOKEN", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on []\n"
        for user in ("1", "876543210"):
            shard.post("/assignments", {"userId": user, "netUid": net["netUid"]})
        shard.post("/operation", {"open": True})
        talker = operator("1", name="Bo")
        talker.send(type="ptt.start", netUid=net["netUid"])
        said = list(iter(process.stdout.readline, "Bo talks\n"))
        assert said[-1] == "on ['Recon']\n"


def test_what_a_client_is_told_looks_as_in_the_guide(shard: Server) -> None:
    hello, join, joined = map(json.loads, blocks("operators", "json", shard.url))
    shown = shard.command("operators", "token", "123456789012345678", "--name", "Ann", "--role", "456")
    shard.post("/assignments", {"userId": "123456789012345678", "netUid": shard.net("Strike")["netUid"]})
    address = shard.url.replace("http", "ws", 1) + "/ws"
    with connect(address, additional_headers={"Authorization": f"Bearer {shown['token']}"}, proxy=None) as ws:
        said = json.loads(ws.recv())
        assert said == {**hello, "guildId": said["guildId"]}
        ws.send(json.dumps({**join, "guildId": said["guildId"]}))
        said = json.loads(ws.recv())
    assert said["user"] == joined["user"] and said.keys() == joined.keys()
    assert said["config"].keys() == joined["config"].keys()
    assert said["config"]["nets"][0].keys() == joined["config"]["nets"][0].keys()


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

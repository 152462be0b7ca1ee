"""The recipe that receives webhooks, in both languages: what a shard sends is verified, kept once, and worked on."""

import base64
import hmac
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from test_recipes import RECIPES, refused

from shardapi.testing import Server

INTERPRETERS = {"py": (sys.executable, "-I"), "js": ("node",)}
MOST_SECONDS = 120.0
SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()
in_both_languages = pytest.mark.parametrize(
    "language", ["py", pytest.param("js", marks=pytest.mark.debian("node"))]
)


@pytest.fixture(scope="module")
def shard_settings() -> dict[str, str]:
    return {
        "SHARDAPI_PLUGINS__WEBHOOKS__ALLOW_PRIVATE": '["127.0.0.0/8"]',
        "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
    }


class Recipe:
    """The recipe, running; its file outlives it."""

    def __init__(self, language: str, folder: Path, secret: str = SECRET, port: int = 0) -> None:
        self.file = folder / "events.jsonl"
        self.process = subprocess.Popen(
            [
                *INTERPRETERS[language],
                str(RECIPES / f"receive-webhooks.{language}"),
                str(port),
                str(self.file),
            ],
            env={"SECRET": secret, "PATH": "/usr/bin:/bin:/usr/local/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._timer = threading.Timer(
            MOST_SECONDS, self.process.kill
        )  # so that reading from it comes to an end
        self._timer.start()
        assert self.process.stdout is not None
        found = re.fullmatch(r"Listens on (http://127\.0\.0\.1:(\d+))\n", self.process.stdout.readline())
        assert found is not None, self.process.communicate()
        self.url, self.port = found[1], int(found[2])

    def lines(self, count: int) -> list[str]:
        """The next lines of its work."""
        assert self.process.stdout is not None
        return [self.process.stdout.readline() for _ in range(count)]

    @property
    def kept(self) -> list[str]:
        """The ids in its file."""
        return [json.loads(line)["id"] for line in self.file.read_text("utf-8").splitlines()]

    def end(self) -> str:
        """Kill it, as a power cut would; returns what it said besides."""
        self.process.kill()
        self._timer.cancel()
        said, complaint = self.process.communicate()
        assert complaint == ""
        return said


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Recipe]]:
    """Starts the recipe."""
    started: list[Recipe] = []

    def begin(language: str, **options: Any) -> Recipe:
        started.append(Recipe(language, tmp_path, **options))
        return started[-1]

    yield begin
    for one in started:
        if one.process.returncode is None:
            one.end()


def delivery(
    number: int, secret: bytes = b"twenty-four bytes of key", late: int = 0, name: str = "Zoë „x“"
) -> dict[str, Any]:
    """A delivery as the shard makes it: what `requests.post` takes."""
    id_, at = f"5f0c3a9e-{number}", int(time.time()) - late
    event = {"id": id_, "type": "user.joined", "guildId": "g", "at": "…", "data": {"displayName": name}}
    body = json.dumps(event, ensure_ascii=False).encode()
    mac = base64.b64encode(hmac.digest(secret, f"{id_}.{at}.".encode() + body, "sha256")).decode()
    return {
        "data": body,
        "headers": {"webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": f"v1,{mac}"},
    }


def status(recipe: Recipe, sent: dict[str, Any]) -> int:
    """What a delivery is answered."""
    return requests.post(recipe.url, timeout=10, **sent).status_code


@in_both_languages
def test_what_a_shard_sends_is_kept_in_its_order_through_an_outage_and_a_rotation(
    shard: Server, start: Callable[..., Recipe], language: str
) -> None:
    recipe = start(language)
    hook = shard.post("/webhooks", {"url": recipe.url, "secret": SECRET, "events": ["operation.*"]}).json()
    path = f"/webhooks/{hook['webhook']['id']}"
    told = []
    for is_open in (True, False):
        shard.post("/operation", {"open": is_open})
        told.append(f"operation.{'opened' if is_open else 'closed'}")
    assert [line.split()[1] for line in recipe.lines(2)] == told
    assert shard.post(f"{path}/test").json()["delivered"] is True
    assert "webhook.test" in recipe.lines(1)[0]
    assert recipe.end() == ""
    shard.post("/operation", {"open": True})
    shard.wait(lambda: shard.get(f"{path}/deliveries").json()["webhook"]["state"] == "held")
    assert shard.post(f"{path}/rotate").status_code == 200  # the old secret signs too for a day
    again = start(language, port=recipe.port)
    assert shard.post(f"{path}/enable").status_code == 200  # does not wait
    assert "operation.opened" in again.lines(1)[0]
    # It may have been worked on before the shard has read its answer.
    shard.wait(lambda: shard.get(f"{path}/deliveries").json()["webhook"]["state"] == "delivering")
    sent = [one["id"] for one in shard.get(f"{path}/deliveries").json()["deliveries"] if one["status"]]
    assert [id_ for id_ in again.kept if "-test" not in id_] == [id_ for id_ in reversed(sent) if id_]
    assert len(again.kept) == len(sent) == 4
    shard.post("/operation", {"open": False})
    assert "operation.closed" in again.lines(1)[0]
    shard.delete(path)


@in_both_languages
def test_what_comes_twice_is_kept_and_worked_on_once(start: Callable[..., Recipe], language: str) -> None:
    recipe = start(language)
    assert [status(recipe, delivery(number)) for number in (1, 2, 2, 1, 3)] == [204] * 5
    assert len(recipe.lines(3)) == 3
    assert recipe.end() == ""
    with recipe.file.open("ab") as file:
        file.write(b'{"id": "5f0c3a9e-4", "ty')  # the power went
    again = start(language)
    assert [status(again, delivery(number)) for number in (1, 4, 5)] == [204] * 3
    assert len(again.lines(2)) == 2
    assert again.end() == ""
    assert again.kept == [f"5f0c3a9e-{number}" for number in (1, 2, 3, 4, 5)]


@in_both_languages
def test_work_that_was_not_done_is_done_after_a_restart(start: Callable[..., Recipe], language: str) -> None:
    recipe = start(language)
    assert [status(recipe, delivery(number)) for number in (1, 2, 3)] == [204] * 3
    recipe.lines(3)
    recipe.end()
    first = len(recipe.file.read_bytes().splitlines(keepends=True)[0])
    Path(f"{recipe.file}.done").write_text(str(first))
    assert len(start(language).lines(2)) == 2


@in_both_languages
def test_work_that_hangs_keeps_no_answer_waiting(start: Callable[..., Recipe], language: str) -> None:
    recipe = start(language)  # nobody reads what it prints: the pipe is full after 64 KiB
    with requests.Session() as session:
        for number in range(60):
            sent = delivery(number, name="x" * 2000)
            assert session.post(recipe.url, timeout=10, **sent).status_code == 204
    assert len(recipe.kept) == 60


def changed(sent: dict[str, Any], **headers: str | None) -> dict[str, Any]:
    """A delivery with other headers."""
    merged = {**sent["headers"], **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {**sent, "headers": {name: value for name, value in merged.items() if value is not None}}


FORGERIES: list[Callable[[], dict[str, Any]]] = [
    lambda: delivery(1, secret=b"another"),
    lambda: delivery(1, late=310),
    lambda: delivery(1, late=-310),
    lambda: {**delivery(1), "data": delivery(1)["data"].replace(b"Z", b"z")},
    lambda: changed(delivery(1), webhook_id="5f0c3a9e-2"),
    lambda: changed(delivery(1), webhook_timestamp=str(int(time.time()) + 1)),
    lambda: changed(delivery(1), webhook_timestamp="soon"),
    lambda: changed(delivery(1), webhook_timestamp="-1"),
    lambda: changed(delivery(1), webhook_signature="v1,"),
    lambda: changed(delivery(1), webhook_signature=""),
    lambda: changed(delivery(1), webhook_signature="v1,é"),
    lambda: changed(delivery(1), webhook_signature="v2," + delivery(1)["headers"]["webhook-signature"][3:]),
    lambda: changed(delivery(1), webhook_id=None),
    lambda: changed(delivery(1), webhook_timestamp=None),
    lambda: changed(delivery(1), webhook_signature=None),
    lambda: {},
]


@in_both_languages
def test_what_the_shard_has_not_sent_just_now_is_refused(start: Callable[..., Recipe], language: str) -> None:
    recipe = start(language)
    for place, forge in enumerate(FORGERIES):
        sent = forge()
        if "headers" in sent:
            sent["headers"] = {name: value.encode() for name, value in sent["headers"].items()}
        assert status(recipe, sent) == 401, place
    assert recipe.kept == []
    several = delivery(2)
    several["headers"]["webhook-signature"] = "v1,AAAA " + several["headers"]["webhook-signature"]
    assert status(recipe, several) == 204


@in_both_languages
def test_what_is_no_delivery_is_refused(start: Callable[..., Recipe], language: str) -> None:
    recipe = start(language)
    assert requests.get(recipe.url, timeout=10).status_code in (405, 501)
    assert status(recipe, {"data": b"x" * (1024 * 1024 + 1)}) == 413
    assert status(recipe, delivery(1)) == 204


@in_both_languages
@pytest.mark.parametrize("secret", ["", "whsec_no base64!"])
def test_without_a_secret_it_says_so(tmp_path: Path, language: str, secret: str) -> None:
    recipe = subprocess.Popen(
        [*INTERPRETERS[language], str(RECIPES / f"receive-webhooks.{language}"), "0"],
        env={"SECRET": secret, "PATH": "/usr/bin:/bin:/usr/local/bin"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "SECRET" in refused(recipe)

"""Three plugins as strangers would write them: by public names, installed, and beside ours on a running shard."""

import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from public import imports, is_public
from samples import NAMES, OURS, SOURCE, Broker, settings
from websockets.exceptions import WebSocketException

import shardapi
from shardapi import clock
from shardapi.testing import Operator, Server

pytestmark = pytest.mark.debian("mosquitto")


SCOPES = {"read:attendance", "read:maintenance", "read:mqtt", "write:maintenance"}


@pytest.fixture(scope="module")
def shard_settings(library: Path, broker: Broker) -> dict[str, str]:
    """A shard with all three, which reach the broker."""
    return settings(library, broker)


# -- as strangers' plugins


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_uses_public_names_only(name: str) -> None:
    sources = sorted((SOURCE / name).rglob("*.py"))
    assert len(sources) > 3
    hidden = [
        f"{file.name} imports {part} of {module}"
        for file in sources
        for module, part in imports(file)
        if not is_public(module, part)
    ]
    for file in sources:
        for part, member in re.findall(r"\bshard\.(\w+)(?:\.(\w+))?", file.read_text("utf-8")):
            known = shardapi.REACHED.get(part)
            if known is None or (member and known and member not in known):
                hidden.append(f"{file.name} reaches shard.{part}.{member}")
    assert hidden == []


def test_the_samples_pass_their_own_tests(library: Path) -> None:
    running = {name: own_tests(library, name) for name in NAMES}
    said = {name: one.communicate(timeout=300)[0] for name, one in running.items()}
    for name, one in running.items():
        assert one.returncode == 0, said[name]
        assert "passed" in said[name] and "skipped" not in said[name]


def own_tests(library: Path, name: str) -> "subprocess.Popen[str]":
    """The tests of one sample, under way."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"],
        env={**os.environ, "PYTHONPATH": str(library)},
        cwd=library.parent / name,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_they_are_listed_like_ours(shard: Server) -> None:
    listed = {one["name"]: one for one in shard.command("plugins", "list")}
    for name in NAMES:
        one = listed[name]
        assert one["enabled"] and not one["bundled"] and one["routes"] and one["version"] == "1.0.0"
        assert one["distribution"].startswith(f"shardapi-{name}-")
    assert listed["attendance"]["tables"] == ["attendance_visit"]
    assert listed["maintenance"]["events"] == ["maintenance.changed"]
    assert listed["maintenance"]["commands"] == ["shardapi maintenance"]
    assert listed["maintenance"]["guards"] == ["Window.check"]
    assert listed["mqtt"]["tasks"] == ["Bridge.run"]


def test_their_settings_are_checked_like_ours(shard: Server, library: Path) -> None:
    assert set(NAMES) <= set(shard.command("config", "check")["plugins"])
    call = [sys.executable, "-m", "shardapi", "config", "check"]
    wrong = {**shard.env, "SHARDAPI_PLUGINS__MQTT__PORT": "none"}
    done = subprocess.run(call, env=wrong, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "plugin mqtt: its settings cannot be used" in done.stderr


def test_they_are_in_the_document_with_their_scopes(shard: Server) -> None:
    document = shard.get("/openapi.json").json()
    paths = document["paths"]
    assert {"/api/v1/attendance", "/api/v1/attendance.csv", "/api/v1/maintenance", "/api/v1/mqtt"} <= set(
        paths
    )
    used = {
        scope
        for path in paths.values()
        for call in path.values()
        for rule in call.get("security", ())
        for scope in rule.get("ownerKey", ())
    }
    assert SCOPES <= used
    assert "maintenance" in str(paths["/api/v1/nets"]["post"]["responses"]["503"])


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_key_can_have_their_scopes(shard: Server, scope: str) -> None:
    path = "/attendance" if "attendance" in scope else "/mqtt" if "mqtt" in scope else "/maintenance"
    key, other = shard.key(scope), shard.key("read:status")
    calls = [shard.delete] if scope.startswith("write:") else [shard.get]
    for call in calls:
        assert call(path, key=key).status_code == 200
        refused = call(path, key=other)
        assert refused.status_code == 403 and scope in refused.json()["hint"] + refused.json()["error"]


def test_their_metrics_are_scraped_with_ours(shard: Server) -> None:
    shard.wait(lambda: shard.get("/mqtt").json()["connected"], "the broker to be reached")
    text = shard.get("/metrics/prometheus").text
    for metric in (
        "attendance_events_total",
        "maintenance_on 0.0",
        "mqtt_connected 1.0",
        "mqtt_published_total",
    ):
        assert f"\n{metric}" in text
    assert shard.get("/ready").json()["problems"] == []


# -- maintenance


@pytest.fixture
def maintenance(shard: Server) -> Iterator[Callable[..., Any]]:
    """The command; maintenance ends with the test."""
    yield lambda *words: shard.command("maintenance", *words)
    shard.command("maintenance", "end")
    shard.wait(lambda: not shard.get("/maintenance").json()["on"], "maintenance to end")


def test_maintenance_from_the_command_line_is_known_to_the_server(
    shard: Server, maintenance: Callable[..., Any]
) -> None:
    before = shard.get("/status").json()
    assert maintenance("start", "10", "--why", "New nets")["on"]
    shard.wait(lambda: shard.get("/maintenance").json()["on"], "the server to know")
    for query in ("", "?dryRun=true"):
        refused = shard.post(f"/nets{query}", {"name": "Late"})
        assert (refused.status_code, refused.json()["code"]) == (503, "maintenance")
        assert int(refused.headers["Retry-After"]) <= 600
    assert shard.get("/status").json() == before
    assert "\nmaintenance_on 1.0" in shard.get("/metrics/prometheus").text
    assert not maintenance("end")["on"]
    shard.wait(lambda: shard.post("/nets?dryRun=true", {"name": "Now"}).ok, "changes to be allowed")


# -- attendance


def log_of(shard: Server) -> list[tuple[str, str, str]]:
    """The joins and leaves of the event log: type, user, time."""
    with sqlite3.connect(f"file:{shard.data_dir}/shard.sqlite3?mode=ro", uri=True) as store:
        found = store.execute(
            "SELECT type, json_extract(data, '$.userId'), at FROM event WHERE type LIKE 'user.%' ORDER BY number"
        ).fetchall()
    store.close()
    return [(type_, user, clock.iso(at)) for type_, user, at in found]


def visits_of(shard: Server) -> list[tuple[str, str, str]]:
    """The visits: user, from, until."""
    with sqlite3.connect(f"file:{shard.data_dir}/shard.sqlite3?mode=ro", uri=True) as store:
        found = store.execute("SELECT user, joined_at, left_at FROM attendance_visit").fetchall()
    store.close()
    return [(user, clock.iso(joined), clock.iso(left)) for user, joined, left in found]


def test_every_visit_is_booked_exactly_once_across_crashes(
    start_shard: Callable[..., Server], shard_settings: dict[str, str]
) -> None:
    shard = start_shard(env={"SHARDAPI_PLUGINS__ENABLED": f"{OURS},attendance"})
    said = [shard.command("operators", "token", str(user), "--name", f"U{user}") for user in range(3)]
    stop, chance = threading.Event(), random.Random(5)

    def come_and_go(token: str) -> None:
        while not stop.is_set():
            try:
                operator = Operator(shard.url, token, said[0]["guildId"]).join()
                operator.close()
            except (OSError, WebSocketException):
                stop.wait(0.05)

    people = [threading.Thread(target=come_and_go, args=(one["token"],)) for one in said]
    for person in people:
        person.start()
    try:
        for _ in range(3):
            seen = len(visits_of(shard))
            shard.wait(lambda seen=seen: len(visits_of(shard)) > seen + 5, "visits")
            stop.wait(chance.random() / 5)
            shard.kill()
            shard.start()
    finally:
        stop.set()
        for person in people:
            person.join()

    def booked() -> bool:
        events, visits = log_of(shard), visits_of(shard)
        begun = Counter((user, at) for type_, user, at in events if type_ == "user.joined")
        ended = Counter((user, at) for type_, user, at in events if type_ == "user.left")
        return (
            begun == Counter((user, joined) for user, joined, _ in visits)
            and ended == Counter((user, left) for user, _, left in visits)
            and sum(begun.values()) > 15
        )

    shard.wait(booked, "every event to be booked once")
    people_told = shard.get("/attendance").json()["people"]
    assert sum(one["visits"] for one in people_told) == len(visits_of(shard))
    assert len(shard.get("/attendance.csv").text.splitlines()) == 4

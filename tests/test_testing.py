"""The fixtures that plugins and bots are tested with, where no other test of ours shows what they do."""

import subprocess
import sys
from pathlib import Path

from shardapi.testing import Server

PLUGIN = '''
from shardapi import Answer, Routes, hookimpl

routes = Routes("egg", __name__)


@routes.get("/egg", scope="read:status")
def egg() -> Answer:
    """Drop it."""
    raise ZeroDivisionError("splash")


@hookimpl
def shardapi_blueprints(app):
    return [routes]
'''
TESTS = """
def test_of_a_module(shard):
    assert shard.get("/egg").status_code == 200


def test_of_its_own(start_shard):
    assert start_shard().get("/egg").status_code == 200


def test_that_passes(shard):
    assert shard.get("/egg").status_code == 500
"""
CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def shard_settings():
    return {settings}
"""


def test_a_test_that_fails_shows_what_its_shards_have_logged(tmp_path: Path) -> None:
    (tmp_path / "egg.py").write_text(PLUGIN)
    (tmp_path / "test_egg.py").write_text(TESTS)
    settings = {"SHARDAPI_PLUGINS__DIR": str(tmp_path), "SHARDAPI_PLUGINS__ENABLED": "status,gateway,egg"}
    (tmp_path / "conftest.py").write_text(CONFTEST.format(settings=settings))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_egg.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    assert done.stdout.count("- Log of http://127.0.0.1:") == 2
    assert done.stdout.count("ZeroDivisionError: splash (request") == 2


def test_the_log_of_a_shard_is_read_as_its_stream_has_it(shard: Server) -> None:
    shard.net("Strike")
    shard.post("/operation", {"open": True})
    assert [one["type"] for one in shard.events()] == ["config.changed", "operation.opened"]
    (opened,) = shard.events("operation.*", "ptt.*")
    assert opened["data"]["open"] and opened["id"] and opened["guildId"]


def test_a_page_of_the_panel_is_seen_as_who_is_signed_in_sees_it(shard: Server) -> None:
    for _ in range(2):
        answer = shard.page("/panel/sessions")
        assert answer.status_code == 200 and not answer.history


def test_commands_name_where_the_server_listens_whatever_the_settings_say(shard: Server) -> None:
    assert shard.command("panel", "link")["url"].startswith(f"{shard.url}/panel/")
    assert shard.command("public-token", "show")["statusUrl"].startswith(f"{shard.url}/api/v1/")

"""Every setting in force with where it comes from; secrets are not shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shardapi import ShardApp, create_app
from shardapi.config import load
from shardapi.origins import MASK, InForce, Setting, in_force

TOML = """\
signing_secret = "0123456789012345678901234567890123456789"
[guild]
name = "Friday <b>"
[limits]
default = "90/2 minute"
[plugins.discord]
url = "https://discord.com/api/webhooks/123456/hunter2hunter2hunter2"
[plugins.stream]
per_key = 7
"""
Told = Callable[..., InForce]


@pytest.fixture
def told(tmp_path: Path) -> Any:
    """What a shard with this file and these variables tells, asked again with others."""
    file, apps = tmp_path / "shardapi.toml", list[ShardApp]()

    def tell(text: str = TOML, later: str | None = None, then: Any = None, **variables: str) -> InForce:
        file.write_text(text)
        environ = {"SHARDAPI_CONFIG": str(file), "SHARDAPI_DATA_DIR": str(tmp_path / "data"), **variables}
        apps.append(create_app(load(environ=environ)))
        file.write_text(text if later is None else later)
        return in_force(apps[-1].shard, {**environ, **(then or {})})

    yield tell
    for app in apps:
        app.shard.close()


def by_name(said: InForce) -> dict[str, Setting]:
    return {one.name: one for one in said.settings}


def test_a_setting_tells_its_value_and_where_it_was_written(told: Told, tmp_path: Path) -> None:
    said = told(
        SHARDAPI_SERVER__PUBLIC_URL="https://shard.example.com", SHARDAPI_PLUGINS__EMBED__TOKEN_DAYS="3"
    )
    found, file = by_name(said), str(tmp_path / "shardapi.toml")
    assert said.problem == "" and all(one.pending is None for one in said.settings)
    expected = {
        "guild.name": ('"Friday <b>"', file),
        "limits.default": ('"90/2 minute"', file),
        "limits.acars": ('"1/minute"', ""),
        "server.public_url": ('"https://shard.example.com"', "SHARDAPI_SERVER__PUBLIC_URL"),
        "plugins.embed.token_days": ("3", "SHARDAPI_PLUGINS__EMBED__TOKEN_DAYS"),
        "plugins.embed.frame_ancestors": ('["*"]', ""),
        "plugins.stream.per_key": ("7", file),
        "plugins.enabled": ("", ""),
        "central.premium": ("true", ""),
    }
    assert {name: (found[name].value, found[name].source) for name in expected} == expected


def test_no_secret_is_shown(told: Told) -> None:
    said = told(SHARDAPI_SERVER__PUBLIC_URL="https://ann:hunter2@shard.example.com")
    found = by_name(said)
    secrets = [one.name for one in said.settings if one.secret]
    assert secrets == ["signing_secret", "plugins.discord.url"]
    assert {found[name].value for name in secrets} == {MASK}
    assert found["server.public_url"].value == f'"https://{MASK}@shard.example.com"'
    assert "hunter2" not in repr(said) and "0123456789" not in repr(said)


def test_what_was_written_since_the_start_waits_for_a_restart(told: Told) -> None:
    later = TOML.replace("Friday <b>", "Saturday").replace("hunter2hunter2hunter2", "hunter3hunter3hunter3")
    found = by_name(told(later=later.replace("per_key = 7", "")))
    waiting = {name: one.pending for name, one in found.items() if one.pending is not None}
    assert waiting == {
        "guild.name": '"Saturday"',
        "plugins.discord.url": MASK,
        "plugins.stream.per_key": "50",
    }
    assert found["guild.name"].value == '"Friday <b>"'


@pytest.mark.parametrize(
    ("later", "complaint"),
    [
        ("[guild", "not valid TOML"),
        ("[guild]\nnmae = 'x'", "unknown setting guild.nmae"),
        ("[plugins.stream]\nper_key = 'many'", "per_key"),
    ],
)
def test_what_could_not_be_used_is_told(told: Told, later: str, complaint: str) -> None:
    said = told(later=later)
    assert complaint in said.problem and "\n" not in said.problem
    assert by_name(said)["guild.name"].value == '"Friday <b>"'

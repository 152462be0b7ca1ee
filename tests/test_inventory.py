"""What plugins there are, told by a shard of itself."""

from collections.abc import Callable

from shardapi import ShardApp
from shardapi.inventory import inventory


def test_a_shard_tells_what_its_plugins_have_opened(app: ShardApp) -> None:
    found = {one["name"]: one for one in inventory(app.shard)}
    embed = found["embed"]
    assert (
        embed["enabled"] and embed["bundled"] and embed["tables"] == ["public_token"] and embed["kept"] == []
    )
    assert "GET /api/v1/embed/widget" in embed["routes"] and "public" not in embed["scopes"]
    assert "webhook.disabled" in found["webhooks"]["events"]
    assert {one for one, told in found.items() if told["enabled"]} == set(app.shard.plugins.opened) - {
        "shardapi"
    }


def test_what_was_switched_off_opens_nothing_and_shows_what_it_keeps(
    app: ShardApp, make_app: Callable[..., ShardApp]
) -> None:
    assert app.shard.plugins.opened["embed"].tables
    found = {one["name"]: one for one in inventory(make_app(PLUGINS__ENABLED="status").shard)}
    assert not found["embed"]["enabled"] and found["embed"]["kept"] == ["public_token"]
    assert not found["embed"]["routes"] and found["status"]["routes"] == ["GET /api/v1/status"]

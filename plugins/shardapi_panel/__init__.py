"""/panel: the owner's pages; all they do is done through the Owner API, in process, as an actor of their own."""

from collections.abc import Callable
from urllib.parse import urlsplit

from shardapi import Routes, ShardApp, hookimpl
from shardapi.limits import Limit

from . import (
    acars_page,
    archive_page,
    audit_page,
    board_page,
    commands,
    features_page,
    health_page,
    home,
    keys_page,
    plugins_page,
    presets_page,
    public_token_page,
    relay,
    rules_page,
    sessions_page,
    settings_page,
    signin,
    strangers,
    tokens_page,
    webhooks_page,
)
from .api import LIMIT
from .blueprint import panel
from .door import Door
from .guard import SESSIONS
from .keys_page import ONCE
from .once import Once
from .sessions import DAY_MS, Sessions
from .settings import Settings as Settings
from .signin import DOOR

PAGES = (
    *(acars_page, archive_page, board_page, commands, features_page, home, keys_page, presets_page, relay),
    *(rules_page, sessions_page, signin, strangers, tokens_page),
    *(audit_page, health_page, plugins_page, public_token_page, settings_page, webhooks_page),
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The pages, and what they keep for this shard."""
    shard = app.shard
    settings = shard.settings(Settings)
    app.extensions[SESSIONS] = sessions = Sessions(shard)
    app.extensions[DOOR] = Door(shard)
    app.extensions[ONCE] = Once()
    app.extensions[LIMIT] = Limit("panel", settings.limit)
    newest, *older = (key.hex() for key in shard.tokens.keys("panel"))
    where = urlsplit(shard.base_url)
    app.config.update(
        SECRET_KEY=newest,
        SECRET_KEY_FALLBACKS=older,
        SESSION_COOKIE_NAME="shardapi_panel",
        SESSION_COOKIE_PATH=panel.url_prefix,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=where.scheme != "http" or where.hostname not in LOOPBACK,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=sessions.longest_ms // 1000 + DAY_MS // 1000,
        WTF_CSRF_TIME_LIMIT=None,
    )
    return [panel]


@hookimpl
def shardapi_tasks(app: ShardApp) -> list[Callable[[], None]]:
    """End sessions whose time is over."""
    return [app.extensions[SESSIONS].watch]

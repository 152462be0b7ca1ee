"""[plugins.discord] of the settings: the channel, and what it is told."""

import re
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import msgspec

from shardapi.events import matches

HOME = "https://discord.com"
SITES = ("discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com")
PATH = re.compile(r"/api/(?:v\d+/)?webhooks/(\d{5,24})/([A-Za-z0-9_-]{16,128})/?")
THREAD = re.compile(r"(?:thread_id=(\d{5,24}))?")
DEFAULT_EVENTS = ("user.joined", "user.left", "operation.*", "acars.sent", "config.changed")
HOW = "copy it in Discord from the channel's settings, Integrations, Webhooks"


class Channel(NamedTuple):
    """A webhook of a Discord channel; whoever has its token can write there."""

    webhook: str
    token: str
    thread: str

    def __repr__(self) -> str:
        return f"Channel({self.webhook})"

    @property
    def shown(self) -> str:
        """Its URL without the token."""
        return masked(self.webhook)

    @property
    def secret(self) -> str:
        """What has to be kept secretly to write to it."""
        return f"{self.token}?thread_id={self.thread}" if self.thread else self.token


def masked(webhook: str) -> str:
    """The URL of a webhook without its token."""
    return f"{HOME}/api/webhooks/{webhook}/…"


def read(url: str, base: str = HOME) -> Channel:
    """Read a channel's URL. Raises ValueError, which does not repeat it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"url is no URL; {HOW}") from None
    known = parts.scheme == "https" and parts.hostname in SITES and port in (None, 443)
    if parts.username is not None or not (known or f"{parts.scheme}://{parts.netloc}" == base):
        raise ValueError(f"url does not begin with {HOME}/api/webhooks/; {HOW}")
    path, thread = PATH.fullmatch(parts.path), THREAD.fullmatch(parts.query)
    if path is None or thread is None or parts.fragment:
        raise ValueError(f"url is not the URL of a Discord webhook, {HOME}/api/webhooks/ID/TOKEN; {HOW}")
    return Channel(path[1], path[2], thread[1] or "")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`url` is that of a channel's webhook, `events` are patterns, `base` is where Discord is."""

    url: Annotated[str, msgspec.Meta(extra={"secret": True})] = ""
    events: tuple[str, ...] = DEFAULT_EVENTS
    base: str = HOME

    def __post_init__(self) -> None:
        base = urlsplit(self.base)
        if base.scheme not in ("http", "https") or not base.hostname or base.username or self.base[-1] == "/":
            raise ValueError(f"base: write a URL such as {HOME}")
        for pattern in self.events:
            if pattern.startswith("ptt."):
                raise ValueError(f"events: who talks ({pattern}) is never told to Discord")
        if self.url:
            read(self.url, self.base)

    def __repr__(self) -> str:
        return (
            f"Settings(url={masked(self.channel.webhook) if self.channel else ''!r}, events={self.events!r})"
        )

    @property
    def channel(self) -> Channel | None:
        """The channel that is told, if there is one."""
        return read(self.url, self.base) if self.url else None

    def wants(self, type_: str) -> bool:
        """Whether the channel is told of events of a type."""
        return not type_.startswith("ptt.") and matches(type_, self.events)

"""What a website is given: the links with the token in them, the live numbers, the page."""

import flask

from shardapi import Answer, Shard, Write, Written, clock
from shardapi.routes import API_PREFIX

from .live import Live
from .page import Page
from .settings import Settings
from .tokens import PublicTokens

EXTENSION = "embed"
STATUS, WIDGET = "/embed/status", "/embed/widget"


class LinksAnswer(Answer, kw_only=True):
    """The public token and its links; `expiresAt` is "" for one that is good until it is rotated."""

    token: str
    status_url: str
    widget_url: str
    expires_at: str

    @property
    def embed_code(self) -> str:
        """What a site's page shows the widget with."""
        return (
            f'<iframe src="{self.widget_url}" title="Live comms" width="100%" height="480" loading="lazy"'
            ' referrerpolicy="no-referrer" style="border: 0; border-radius: 12px"></iframe>'
        )


class LinksRotated(Written, kw_only=True):
    """The new public token and its links; a dry run shows none."""

    token: str
    status_url: str
    widget_url: str
    expires_at: str


class Site:
    """All of this for one shard."""

    def __init__(self, shard: Shard) -> None:
        settings = shard.settings(Settings)
        self.shard = shard
        self.tokens = PublicTokens(shard, settings.token_days)
        self.live = Live(shard)
        self.page = Page(settings.frame_ancestors)

    @staticmethod
    def of(shard: Shard) -> "Site":
        """The one that the running app has made for this shard."""
        found: Site = flask.current_app.extensions[EXTENSION]
        assert found.shard is shard
        return found

    def links(self, generation: int = 0) -> LinksAnswer:
        """The token of today in its links."""
        minted = self.tokens.mint(generation)
        base = self.shard.base_url + API_PREFIX
        return LinksAnswer(
            token=minted.token,
            status_url=f"{base}{STATUS}?token={minted.token}",
            widget_url=f"{base}{WIDGET}?token={minted.token}",
            expires_at=clock.iso(minted.ends * 1000),
        )

    def rotate(self, write: Write) -> LinksRotated:
        """End every token there is; the links of the new one."""

        def answer(generation: int) -> LinksRotated:
            links = self.links(generation)
            return LinksRotated(
                action="public-token.rotate",
                changed=True,
                token=write.minted(links.token),
                status_url=write.minted(links.status_url),
                widget_url=write.minted(links.widget_url),
                expires_at=links.expires_at,
            )

        rotated = write.store(self.tokens.step, answer)
        self.tokens.reload()
        return rotated

"""The docs of one shard, made at the first request, off the loop, and kept compressed."""

import hashlib
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
import msgspec
from gevent.lock import BoundedSemaphore

from shardapi import ShardApp

if TYPE_CHECKING:
    from .pages import Pages

EXTENSION = "docs"
GZIP = 31  # what zlib calls it
HTML, JSON = "text/html; charset=utf-8", "application/json"


class Made(NamedTuple):
    """One page or file, compressed."""

    body: bytes
    tag: str
    kind: str

    @property
    def plain(self) -> bytes:
        """It, not compressed."""
        return zlib.decompress(self.body, GZIP)


class Site:
    """The pages of one app; one is made at a time, in gevent's thread pool."""

    def __init__(self, app: ShardApp) -> None:
        self.app = app
        self._made: dict[str, Made] = {}
        self._pages: Pages | None = None
        self._busy = BoundedSemaphore()

    def page(self, name: str) -> Made | None:
        """A page; None if there is none of that name."""
        return self._kept(f"/{name}", lambda pages: _page(pages, name))

    def index(self) -> Made:
        """What the page's script searches."""
        return self._sure("index", lambda pages: (_index(pages), JSON))

    def calls(self) -> Made:
        """What the page's script makes forms from, by operation."""
        return self._sure("calls", lambda pages: (_calls(pages), JSON))

    def missing(self) -> Made:
        """The page for an address that has none."""
        return self._sure("missing", lambda pages: (pages.missing(), HTML))

    def search(self, query: str) -> Made:
        """The page with what was found; not kept."""
        with self._busy:
            made: Made = self._off_the_loop(lambda: _compressed(self._open().found(query), HTML))
            return made

    # -- making them

    def _sure(self, name: str, make: "Callable[[Pages], tuple[bytes, str]]") -> Made:
        made = self._kept(name, make)
        assert made is not None
        return made

    def _kept(self, name: str, make: "Callable[[Pages], tuple[bytes, str] | None]") -> Made | None:
        if name in self._made and self._current():
            return self._made[name]
        with self._busy:
            if not self._current():
                self._made, self._pages = {}, None
            if name not in self._made:
                made = self._off_the_loop(lambda: self._make(make))
                if made is None:
                    return None
                self._made[name] = made
            return self._made[name]

    def _current(self) -> bool:
        """Whether what was made is about this shard as it is: a server learns its URL when it begins to listen."""
        return self._pages is not None and self._pages.book.base_url == self.app.shard.base_url

    def _make(self, make: "Callable[[Pages], tuple[bytes, str] | None]") -> Made | None:
        made = make(self._open())
        return None if made is None else _compressed(*made)

    def _open(self) -> "Pages":
        if self._pages is None:
            from .book import Book
            from .pages import Pages  # imports a Markdown parser, for which no shard should wait at its start

            self._pages = Pages(Book(self.app))
        return self._pages

    def _off_the_loop(self, work: Callable[[], Any]) -> Any:
        def attempt() -> tuple[Any, Exception | None]:
            try:
                return work(), None
            except Exception as error:  # the pool would print it besides
                return None, error

        made, error = gevent.get_hub().threadpool.apply(attempt)
        if error is not None:
            raise error
        return made


def _page(pages: "Pages", name: str) -> tuple[bytes, str] | None:
    if name == "all":
        return pages.everything(), HTML
    return (pages.chapter(name), HTML) if name in pages.chapters else None


def _index(pages: "Pages") -> bytes:
    return msgspec.json.encode(pages.places)


def _calls(pages: "Pages") -> bytes:
    return msgspec.json.encode({one.id: one.call for one in pages.book.operations})


def _compressed(body: bytes, kind: str) -> Made:
    return Made(zlib.compress(body, 9, GZIP), hashlib.sha256(body).hexdigest()[:20], kind)

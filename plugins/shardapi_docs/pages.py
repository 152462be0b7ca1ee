"""The pages as HTML: what the book tells, and the guides."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
from gevent.monkey import get_original
from markupsafe import Markup, escape

from . import guides
from .book import Book
from .finding import places, search
from .guides import GUIDES, Guide, code_block
from .snippets import LANGUAGES

ROOT = "/docs"
HERE = Path(__file__).parent
TICKS = re.compile(r"`([^`]+)`")
EVERYTHING = "all"
PAUSE_SECONDS = 0.002  # in which the loop, which else gets its turn every 5 ms, does what has come
pause = get_original("time", "sleep")  # this runs in a thread of the pool


class Chapter(NamedTuple):
    """One page that can be linked: its name in the URL, its title, its template, and what that shows."""

    name: str
    title: str
    template: str
    about: Any = None


class Pages:
    """Renders the pages of one book."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.guides = [one for one in GUIDES if not one.about or one.about in book.plugins]
        self.chapters = {one.name: one for one in self._chapters()}
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            book=book, code=code_block, languages=LANGUAGES, nav_guides=self.guides, root=ROOT
        )
        self._templates.filters.update(prose=prose, breakable=breakable)
        self.places = places(book, self.chapters)

    def _chapters(self) -> Iterator[Chapter]:
        yield Chapter("", self.book.title, "home.html")
        for guide in self.guides:
            yield Chapter(guide.name, guide.title, "guide.html", guide)
        yield Chapter("reference", "All calls", "reference.html")
        for group in self.book.groups:
            yield Chapter(f"reference/{group.name}", group.title, "group.html", group)
        yield Chapter("event-types", "Event types", "events.html")
        yield Chapter("errors", "Errors", "errors.html")
        yield Chapter("scopes", "Scopes", "scopes.html")

    # -- whole pages

    def chapter(self, name: str) -> bytes:
        """One page."""
        chapter = self.chapters[name]
        return self._page(chapter.title, name, self._body(chapter), self._contents(chapter))

    def everything(self) -> bytes:
        """All chapters on one page, its links leading inside it."""
        bodies = []
        for one in self.chapters.values():
            body = self._body(one, whole=True)
            bodies.append(Markup('<div class="chapter" id="{}">{}</div>').format(one.name or "docs", body))
            pause(PAUSE_SECONDS)
        return self._page("Everything", EVERYTHING, Markup("\n").join(bodies), [])

    def found(self, query: str) -> bytes:
        """The page that a search without a script leads to."""
        body = self._templates.get_template("search.html").render(
            query=query, found=search(query, self.places), to=self._links("search", False)
        )
        return self._page("Search", "search", Markup(body), [], query)

    def missing(self) -> bytes:
        """The page for an address that has none."""
        body = self._templates.get_template("missing.html").render(to=self._links("", False))
        return self._page("Not here", "missing", Markup(body), [])

    def _page(self, title: str, name: str, body: Markup, contents: list[Any], query: str = "") -> bytes:
        made = self._templates.get_template("layout.html").render(
            title=title,
            name=name,
            body=body,
            contents=contents,
            query=query,
            to=self._links(name, False),
            has_calls=name.startswith("reference/") or name == EVERYTHING,
            twofold=name.startswith("reference/") or name in (EVERYTHING, "event-types"),
        )
        return made.encode()

    # -- what stands in them

    def _body(self, chapter: Chapter, whole: bool = False) -> Markup:
        prefix = f"{chapter.name}." if whole else ""
        to = self._links(chapter.name, whole)
        guide = Markup("")
        if isinstance(chapter.about, Guide):
            text = guides.source(chapter.name, self.book.base_url)
            guide = guides.render(text, lambda target: self._target(target, to, chapter.name), prefix)
        made = self._templates.get_template(chapter.template).render(
            chapter=chapter, about=chapter.about, guide=guide, to=to, prefix=prefix
        )
        return Markup(made)

    def _contents(self, chapter: Chapter) -> list[tuple[str, str]]:
        """The places of a page, by anchor."""
        if isinstance(chapter.about, Guide):
            found = guides.headings(guides.source(chapter.name, self.book.base_url))
            return [(one.anchor, one.text) for one in found if one.level == 2]
        return []

    def _links(self, here: str, whole: bool) -> Any:
        """A function that says where a chapter and anchor are, from this page or on the page with everything."""

        def to(name: str = "", anchor: str = "") -> str:
            if whole:
                return f"#{quote(f'{name}.{anchor}' if anchor else name or 'docs')}"
            place = f"#{quote(anchor, safe=':')}" if anchor else ""
            return place if place and name == here else f"{ROOT}{'/' + name if name else ''}{place}"

        return to

    def _target(self, target: str, to: Any, here: str) -> str:
        """Where a link of a guide leads; nowhere if there is no such page in this shard."""
        if target.startswith(("https://", "http://")):
            return target
        name, _, anchor = target.partition("#")
        name = name or here
        return str(to(name, anchor)) if name in self.chapters else ""


def prose(text: str) -> Markup:
    """A sentence with `code` in it as HTML; all else is text."""
    parts = TICKS.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def breakable(path: str) -> Markup:
    """A path that may be broken before each slash."""
    return Markup("<wbr>/").join(path.split("/"))

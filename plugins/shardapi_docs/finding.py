"""Finding places of the docs by words: an index for the page's script, and the same search without one."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from .book import Book
from .guides import GUIDES, headings, source

WORD = re.compile(r"\w+")
MOST = 40
BELOW = 300  # characters of a section that are looked at


class Place(NamedTuple):
    """A place: what it is called, what it is, where, a sentence, and further words it is found by."""

    title: str
    kind: str
    url: str
    text: str
    words: str


def places(book: Book, pages: Iterable[str]) -> list[Place]:
    """Every place there is, the most looked-for first."""
    known = set(pages)
    found = [
        Place(
            f"{one.method} {one.path.removeprefix('/api/v1')}",
            "call",
            f"reference/{one.group}#{one.id}",
            one.summary,
            " ".join([one.scope, one.group, *(field.name for field in (*one.parameters, *one.body))]),
        )
        for one in book.operations
    ]
    found += [Place(one.name, "event", f"event-types#{one.name}", one.summary, "") for one in book.events]
    found += [Place(one.code, "error", f"errors#{one.code}", one.when, one.title) for one in book.codes]
    found += [Place(one.name, "scope", f"scopes#{one.name}", one.text, "") for one in book.scopes]
    for guide in GUIDES:
        if guide.name in known:
            for one in headings(source(guide.name, book.base_url)):
                url = guide.name if one.level == 1 else f"{guide.name}#{one.anchor}"
                text = one.below[:BELOW]
                found.append(Place(one.text, "guide", url, "" if one.level == 1 else guide.title, text))
    return found


def search(query: str, there: Iterable[Place]) -> list[Place]:
    """The places that have all the words, or longer ones beginning so; those named so first."""
    wanted = WORD.findall(query.lower())
    if not wanted:
        return []
    ranked = [(rank, place) for place in there if (rank := _rank(wanted, place))]
    return [place for _, place in sorted(ranked, key=lambda one: -one[0])][:MOST]


def _rank(wanted: list[str], place: Place) -> int:
    """How well a place fits; 0 if a word is missing. As docs.js has it."""
    title = WORD.findall(place.title.lower())
    rest = WORD.findall(f"{place.text} {place.words}".lower())
    rank = 0
    for word in wanted:
        if word in title:
            rank += 8
        elif any(one.startswith(word) for one in title):
            rank += 5
        elif any(word in one for one in title):
            rank += 3
        elif any(one.startswith(word) for one in rest):
            rank += 1
        else:
            return 0
    return rank

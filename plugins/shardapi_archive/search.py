"""Finding entries: words by their beginnings, tags exactly, the newest first; all of it runs inside `Store.read`.

An entry's place is that of its first writing and stays, so that a reader who goes from page to page sees each entry
once, whatever is added or changed meanwhile.
"""

from typing import Any, NamedTuple

from shardapi.catalogue import COLUMNS, Entry, entry_of
from shardapi.store import database, one, rows

from .words import expression, words

MOST_COUNTED = 1_000
MOST_BYTES = 1024 * 1024  # of a page's texts
NEWEST = 2**63 - 1

TAGGED = "EXISTS (SELECT 1 FROM archive_tag AS other WHERE guild = ? AND tag = ? AND other.id = {0})"
OWN = "EXISTS (SELECT 1 FROM catalogue INDEXED BY catalogue_newest WHERE guild = ? AND id = {0})"


class Found(NamedTuple):
    """A page of entries, how many there are in all (counted to MOST_COUNTED), and where the next page begins, 0 if
    there is none."""

    entries: list[Entry]
    total: int
    exact: bool
    next: int


class Search(NamedTuple):
    """Which entries: where their places are found, on which conditions, with which parameters."""

    source: str
    place: str
    conditions: list[str]
    parameters: list[Any]

    @property
    def places(self) -> str:
        return f"SELECT {self.place} FROM {self.source} WHERE {' AND '.join(self.conditions)}"


def search(guild_id: str, query: str, tags: list[str]) -> Search:
    """The search for a query as somebody typed it; one without a word asks for no word, and so finds everything."""
    beginnings = words(query)
    # Several lists are walked at once in the index alone, so it gets the words of the tags too.
    match = expression(beginnings, words(" ".join(tags)) if beginnings or len(tags) > 1 else [])
    if match:
        place, own = "archive_search.rowid", [] if tags else [guild_id]
        conditions = ["archive_search MATCH ?", *(OWN.format(place) for _ in own)]
        conditions += [TAGGED.format(place) for _ in tags]
        return Search("archive_search", place, conditions, [match, *own, *_each(guild_id, tags)])
    if tags:
        conditions = ["guild = ?", "tag = ?", *(TAGGED.format("archive_tag.id") for _ in tags[1:])]
        return Search("archive_tag", "archive_tag.id", conditions, _each(guild_id, tags))
    return Search("catalogue INDEXED BY catalogue_newest", "id", ["guild = ?"], [guild_id])


def _each(guild_id: str, tags: list[str]) -> list[str]:
    return [value for tag in tags for value in (guild_id, tag)]


def find(wanted: Search, limit: int, before: int) -> Found:
    """A page of at most so many entries that stand before a place; 0 for the first page."""
    with database.atomic("DEFERRED"):  # the count and the page at one moment
        places = _places(wanted, limit + 1, before)
        if before or len(places) > limit:
            total = _count(wanted)
        else:
            total = len(places)
        entries = _entries(places[:limit])
    more = len(places) > len(entries)
    after = places[len(entries) - 1] if more else 0
    return Found(entries, min(total, MOST_COUNTED), total <= MOST_COUNTED, after)


def _places(wanted: Search, most: int, before: int) -> list[int]:
    sql = f"{wanted.places} AND {wanted.place} < ? ORDER BY {wanted.place} DESC LIMIT ?"
    return [place for (place,) in rows(sql, (*wanted.parameters, before or NEWEST, most))]


def _count(wanted: Search) -> int:
    sql = f"SELECT count(*) FROM ({wanted.places} LIMIT {MOST_COUNTED + 1})"
    return int(one(sql, tuple(wanted.parameters))[0])


def _entries(places: list[int]) -> list[Entry]:
    """The entries in these places, as many as fit into a page and at least one."""
    found: list[Entry] = []
    size = 0
    for place in places:
        row = one(f"SELECT {COLUMNS} FROM catalogue WHERE id = ?", (place,))
        size += sum(len(text) for text in row[:7])
        if found and size > MOST_BYTES:
            break
        found.append(entry_of(row))
    return found

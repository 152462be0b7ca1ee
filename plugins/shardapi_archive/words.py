"""The words of a text, as the search index has them: without case and accents, whatever stands between them."""

from functools import cache
from typing import Any

import peewee

TOKENIZE = "unicode61 remove_diacritics 2"


@cache
def _taken_apart() -> Any:
    """An index of its own, in memory and always empty: nothing but SQLite knows what SQLite takes for a word."""
    db = peewee.sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)  # type: ignore[attr-defined]
    db.execute(f"CREATE VIRTUAL TABLE text USING fts5(said, content='', tokenize='{TOKENIZE}')")
    db.execute("CREATE VIRTUAL TABLE word USING fts5vocab(text, 'row')")
    return db


def words(text: str) -> list[str]:
    """Each word of a text once; none if it has only signs."""
    db = _taken_apart()
    db.execute("BEGIN")
    try:
        db.execute("INSERT INTO text (rowid, said) VALUES (1, ?)", (text,))
        return [word for (word,) in db.execute("SELECT term FROM word")]
    finally:
        db.execute("ROLLBACK")


def expression(beginnings: list[str], whole: list[str]) -> str:
    """What the index is asked for entries with words that begin so, and whole words; all of them."""
    return " ".join([f'"{word}" *' for word in beginnings] + [f'"{word}"' for word in whole])

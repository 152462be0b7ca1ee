"""Text in a message as it was written: nothing in it is markup, a mention or a link."""

import re

MOST_TEXT = 300
# What Discord reads as markup, mentions, emoji and timestamps; the colon and the full stop make links.
MARKUP = re.compile(r"[\\*_~|`>@#\[\]()<:.]")
JOINS = "\u200d"  # holds emoji together


def escaped(text: str) -> str:
    """Text that shows as itself, on one line; what is very long is cut off."""
    if len(text) > MOST_TEXT:
        text = text[: MOST_TEXT - 1] + "…"
    plain = "".join(one if one.isprintable() or one == JOINS else " " for one in text)
    return MARKUP.sub(r"\\\g<0>", plain.strip() or "?")


def bold(text: str) -> str:
    """The same, in bold."""
    return f"**{escaped(text)}**"


def length(text: str) -> int:
    """How long Discord takes a text to be, at most."""
    return len(text.encode("utf-16-le")) // 2

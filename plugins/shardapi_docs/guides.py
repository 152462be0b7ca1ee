"""The guides: Markdown in the folder beside this, as HTML with anchors and links that lead where there is something."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from .book import anchor
from .highlight import highlight

FOLDER = Path(__file__).with_name("guides")
HERE = re.compile(r"https://shard[.]example[.]com")  # what a guide calls the shard that it is read at
LONGEST_NAME = re.compile(r"^(?:#|//|<!--) ([\w./-]+\.\w+)(?: -->)?\n")


class Guide(NamedTuple):
    """One guide: its name in the URL, its title, and the plugin it is about; "" is for every shard."""

    name: str
    title: str
    about: str = ""


# In the order in which they are read.
GUIDES = (
    Guide("quick-start", "Quick start"),
    Guide("keys", "Keys and scopes"),
    Guide("writes", "Write options"),
    Guide("events", "Events", "stream"),
    Guide("webhooks", "Webhooks", "webhooks"),
    Guide("widget", "The public widget", "embed"),
    Guide("operators", "Operators' clients", "gateway"),
    Guide("plugins", "Write a plugin"),
)


class Heading(NamedTuple):
    """A heading of a guide: its level, text and anchor, and the text below it."""

    level: int
    text: str
    anchor: str
    below: str


Linked = Callable[[str], str]  # where a link of a guide leads, "" for nowhere


def source(name: str, base_url: str) -> str:
    """A guide's Markdown, about this shard."""
    return HERE.sub(lambda _: base_url, (FOLDER / f"{name}.md").read_text("utf-8"))


def render(text: str, linked: Linked, prefix: str = "") -> Markup:
    """Markdown as HTML; `prefix` stands before each anchor."""
    return Markup(_parser(linked, prefix).render(text))  # escapes all; HTML in it is text


def headings(text: str) -> list[Heading]:
    """What stands in a guide, for contents and search."""
    found: list[Heading] = []
    tokens = _parser(lambda target: target, "").parse(text)
    for place, token in enumerate(tokens):
        inside = _plain(token)
        if token.type == "heading_open":
            title = _plain(tokens[place + 1])
            found.append(Heading(int(token.tag[1]), title, anchor(title), ""))
        elif inside and found and tokens[place - 1].type != "heading_open":
            found[-1] = found[-1]._replace(below=f"{found[-1].below} {inside}".strip())
    return found


def _plain(token: Token) -> str:
    return "".join(one.content for one in token.children or () if one.type in ("text", "code_inline"))


def _parser(linked: Linked, prefix: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.options["linked"], parser.options["prefix"] = linked, prefix
    for name in (
        "fence",
        "heading_open",
        "link_open",
        "link_close",
        "table_open",
        "table_close",
        "th_open",
        "th_close",
    ):
        parser.add_render_rule(name, globals()[f"_{name}"])
    return parser


# -- what is drawn otherwise than markdown-it does; it passes the tokens, a place, the options and what it likes


def _fence(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    return str(code_block(tokens[place].content, tokens[place].info.strip()))


def _heading_open(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    return f'<{token.tag} id="{escape(options["prefix"] + anchor(_plain(tokens[place + 1])))}">'


def _link_open(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    target = options["linked"](str(token.attrs["href"]))
    token.meta["leads"] = bool(target)
    return f'<a href="{escape(target)}">' if target else "<span>"


def _link_close(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    depth = 0
    for token in reversed(tokens[:place]):
        depth += {"link_close": 1, "link_open": -1}.get(token.type, 0)
        if depth < 0:
            return "</a>" if token.meta["leads"] else "</span>"
    return ""


def _table_open(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    return '<div class="wide" tabindex="0" role="group" aria-label="Table"><table>'


def _table_close(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    return "</table></div>"


def _th_open(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    return '<th scope="col">' if tokens[place + 1].content else "<td>"


def _th_close(self: RendererHTML, tokens: Any, place: int, options: Any, env: Any) -> str:
    return "</th>" if tokens[place - 1].content else "</td>"


def code_block(code: str, language: str) -> Markup:
    """Code in a figure; a first line that names a file becomes its caption."""
    named = LONGEST_NAME.match(code)
    caption = Markup("<figcaption>{}</figcaption>").format(named[1]) if named else Markup("")
    shown = code[named.end() :] if named else code
    return Markup(
        '<figure class="code" data-language="{}">{}<pre tabindex="0"><code>{}</code></pre></figure>'
    ).format(language, caption, highlight(shown.rstrip("\n"), language))

"""Texts that run a script or make an element wherever they are taken for markup, each short enough for a name."""

from collections.abc import Iterator
from itertools import islice, product

MOST = 64  # characters of a name

CALLS = ("p(1)", "p`1`", "top.p(1)", "self['p'](1)", "alert(1)")
ELEMENTS = (
    "<script>{c}</script>",
    "<ScRiPt>{c}</sCrIpT>",
    "<script src=//x.example></script>",
    "<img src=x onerror={c}>",
    "<img/src=x/onerror={c}>",
    "<img src=x onerror={c}//",
    "<svg onload={c}>",
    "<svg/onload={c}>",
    "<svg><script>{c}</script>",
    "<svg><animate onbegin={c} attributeName=x>",
    "<body onload={c}>",
    "<details open ontoggle={c}>",
    "<input autofocus onfocus={c}>",
    "<select autofocus onfocus={c}>",
    "<a href=javascript:{c}>x</a>",
    "<a href='java\u0000script:{c}'>x</a>".replace("\u0000", "&Tab;"),
    "<iframe src=javascript:{c}>",
    "<iframe srcdoc='<script>parent.{c}</script>'>",
    "<object data=javascript:{c}>",
    "<embed src=javascript:{c}>",
    "<form action=javascript:{c}><input type=submit>",
    "<button formaction=javascript:{c}>x",
    "<base href=//x.example>",
    "<meta http-equiv=refresh content=0;url=javascript:{c}>",
    "<link rel=stylesheet href=//x.example>",
    "<style>*{{display:none}}</style>",
    "<style onload={c}>",
    "<video><source onerror={c}>",
    "<audio src=x onerror={c}>",
    "<marquee onstart={c}>",
    "<math><mi xlink:href=javascript:{c}>x",
    "<p style=animation:x onanimationstart={c}>",
    "<b onmouseover={c}>x",
    "<template><script>{c}</script></template>",
    "<noscript><p title=</noscript><img src=x onerror={c}>>",
    "<xmp><p title=</xmp><img src=x onerror={c}>>",
)
ATTRIBUTES = (
    " onfocus={c} autofocus ",
    " onmouseover={c} x=",
    " onerror={c} src=x ",
    " style=display:none ",
    " href=javascript:{c} ",
    " onclick={c}//",
)
QUOTES = ('"', "'", "`", '\\"', "&quot;", "&#34;")
CLOSERS = (
    *('">', "'>", "</title>", "</textarea>", "</script>", "</style>", "-->", "]]>"),
    *("</td></tr>", "</option>", "</button>"),
)
PLAIN = (
    "{{{{7*7}}}}",
    "${{{c}}}",
    "{{% raw %}}{c}",
    "{{{{ config }}}}",
    "#{{{c}}}",
    "javascript:{c}",
    "data:text/html,<script>{c}</script>",
    "';{c}//",
    '";{c}//',
    "\\';{c}//",
    "</script><!--<script>{c}",
    "&lt;img src=x onerror={c}&gt;",
    "&#x3c;img src=x onerror={c}&#x3e;",
    "%3Cimg%20src=x%20onerror={c}%3E",
    "\\u003cimg src=x onerror={c}\\u003e",
    "\\x3cimg src=x onerror={c}\\x3e",
    "＜img src=x onerror={c}＞",
    "ʺ><img src=x onerror={c}>",
    "__proto__",
    "constructor",
    "../../{c}",
    "a/b%2Fc?x=1#{c}",
    "null",
    "0",
    "-0",
    "قناة <b>{c}</b>",
    "🚀<b onclick={c}>🚀",
    "%s%n{{0}}{c}",
    "$&$1$`{c}",
    "W{c}" + "W" * 50,
)


def texts(count: int) -> list[str]:
    """So many different ones, of every kind from the first hundred on."""
    kinds = [_plain(), _elements(), _attributes(), _closed()]
    found: dict[str, None] = {}
    while len(found) < count and kinds:
        for kind in list(kinds):
            more = [text for text in islice(kind, 12) if _fits(text)]
            found.update(dict.fromkeys(more))
            if not more and next(kind, None) is None:
                kinds.remove(kind)
    assert len(found) >= count, len(found)
    return list(found)[:count]


def _plain() -> Iterator[str]:
    for call, text in product(CALLS, PLAIN):
        yield text.format(c=call)


def _elements() -> Iterator[str]:
    for call, text in product(CALLS, ELEMENTS):
        yield text.format(c=call)


def _attributes() -> Iterator[str]:
    for call, text, quote, end in product(CALLS, ATTRIBUTES, QUOTES, ("", "<")):
        yield f"x{quote}{text.format(c=call)}{end}".rstrip()


def _closed() -> Iterator[str]:
    for call, closer, text in product(CALLS, CLOSERS, ELEMENTS):
        yield f"{closer}{text.format(c=call)}"


def _fits(text: str) -> bool:
    return 1 <= len(text) <= MOST and text.isprintable() and text == text.strip()

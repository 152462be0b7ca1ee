"""Pages of HTML as a test reads them: their anchors, their links, their text."""

import re
from html.parser import HTMLParser

UNREAD = ("script", "style", "template", "head")
VOID = ("link", "meta", "input", "br", "wbr", "img", "hr", "rect", "circle", "path")


class Document(HTMLParser):
    """One page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self._words: list[str] = []
        self._sections: dict[str, list[str]] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += found.items()
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        self.loads += [found[name] for name in ("src", "href") if name in found and tag != "a"]
        if tag not in VOID:
            self._open.append((tag, found.get("id", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            opened, _ = self._open.pop()
            assert opened == tag, (opened, tag)

    def handle_data(self, data: str) -> None:
        if any(tag in UNREAD for tag, _ in self._open):
            return
        self._words.append(data)
        for _, name in self._open:
            if name:
                self._sections.setdefault(name, []).append(data)

    @property
    def text(self) -> str:
        """What there is to read."""
        return re.sub(r"\s+", " ", "".join(self._words))

    def section(self, name: str) -> str:
        """What there is to read below an anchor."""
        return re.sub(r"\s+", " ", "".join(self._sections[name]))

"""The widget as HTML: one page with its style and script inside, and a policy that lets it do nothing else."""

import base64
import hashlib
from collections.abc import Collection
from pathlib import Path

import jinja2
from markupsafe import Markup

from shardapi import ApiError

from .live import LiveAnswer, NetLive

HERE = Path(__file__).parent
THEMES = ("auto", "dark", "light")
ENDED = 410
BLANK = NetLive(id=0, name="", occupancy=0, tx=False, uid="", net_uid="")


class Page:
    """Renders the widget and its refusals; `headers` go with both."""

    def __init__(self, frame_ancestors: Collection[str]) -> None:
        # Templates are compiled when a page is first asked for: here they would take 30 ms of each start.
        loader = jinja2.FileSystemLoader(HERE / "templates")
        self._templates = jinja2.Environment(
            loader=loader,
            autoescape=True,
            auto_reload=False,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style, script = (_inline(f"widget.{kind}") for kind in ("css", "js"))
        self._templates.globals.update(style=style, script=script)
        policy = {
            "default-src": "'none'",
            "script-src": _hash(script),
            "style-src": _hash(style),
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "require-trusted-types-for": "'script'",
        }
        # Said in a policy, * would be the web alone: no page on a disk, or in an app.
        if "*" not in frame_ancestors:
            policy["frame-ancestors"] = " ".join(frame_ancestors) or "'none'"
        self.headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def widget(self, live: LiveAnswer, theme: str) -> bytes:
        """The page with these numbers in it."""
        template = self._templates.get_template("widget.html")
        return template.render(live=live, theme=theme, widest=_widest(live), blank=BLANK).encode()

    def refusal(self, error: ApiError, theme: str) -> bytes:
        """The page that says why there is none."""
        ended = error.kind.status == ENDED
        return (
            self._templates.get_template("refusal.html")
            .render(error=error, ended=ended, theme=theme)
            .encode()
        )


def _widest(live: LiveAnswer) -> int:
    return max((net.occupancy for net in live.nets), default=0) or 1


def _inline(name: str) -> Markup:
    return Markup((HERE / "static" / name).read_text("utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""The public link: the widget as a site would show it, what to paste there, and an end to every link."""

from typing import Any
from urllib.parse import urlsplit

import flask

from .api import api
from .blueprint import panel
from .guard import policy

THEMES = {"auto": "as the reader's system", "dark": "dark", "light": "light"}


@panel.get("/public-token", endpoint="public_token")
def show() -> Any:
    """The link, and the widget in a frame of this page alone."""
    links = api().get("/public-token")
    theme = flask.request.args.get("theme", "auto")
    theme = theme if theme in THEMES else "auto"
    more = "" if theme == "auto" else f"&theme={theme}"
    widget = urlsplit(links["widgetUrl"])
    page = flask.render_template(
        "panel/public_token.html",
        links=links,
        theme=theme,
        themes=THEMES,
        frame=f"{widget.path}?{widget.query}{more}",
        code=embed_code(links["widgetUrl"] + more),
    )
    return flask.Response(page, headers={"Content-Security-Policy": policy(frame_src="'self'")})


@panel.post("/public-token/rotate", endpoint="rotate_public_token")
def rotate() -> Any:
    """End every link there is."""
    api().post("/public-token/rotate")
    flask.flash("Every old link has ended. Put the new one where the old one was.")
    return flask.redirect(flask.url_for("panel.public_token"), 303)


def embed_code(url: str) -> str:
    """What a site's page shows the widget with."""
    return (
        f'<iframe src="{url}" title="Live comms" width="100%" height="480" loading="lazy"\n'
        '  referrerpolicy="no-referrer" style="border: 0; border-radius: 12px"></iframe>'
    )

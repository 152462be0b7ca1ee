"""Whether a change comes from one of our own pages: by what the browser says of its origin, and by a token."""

from urllib.parse import urlsplit

import flask

from .api import this_shard

FIELD, HEADER = "csrf_token", "X-CSRF-Token"


def token() -> str:
    """The token of this browser, for forms and scripts."""
    from flask_wtf.csrf import generate_csrf

    made: str = generate_csrf()
    return made


def shown() -> bool:
    """Whether the request carries the token of this browser."""
    from flask_wtf.csrf import validate_csrf
    from wtforms.validators import ValidationError

    request = flask.request
    try:
        validate_csrf(request.headers.get(HEADER) or request.form.get(FIELD))
    except ValidationError:
        return False
    return True


def foreign() -> bool:
    """Whether the browser says that another site's page asks."""
    headers = flask.request.headers
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() not in _ours()
    except ValueError:  # brackets that do not pair
        return True


def ours() -> bool:
    """Whether the browser says that it is a page of ours that asks."""
    headers = flask.request.headers
    return not foreign() and ("Sec-Fetch-Site" in headers or "Origin" in headers)


def _ours() -> tuple[str, str]:
    return flask.request.host.lower(), urlsplit(this_shard().base_url).netloc.lower()

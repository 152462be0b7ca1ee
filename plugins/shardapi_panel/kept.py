"""What was typed into a form, kept while one signs in again: nothing that was typed is lost."""

import json
from typing import NamedTuple

import flask

from .csrf import FIELD

Fields = list[tuple[str, str]]
HOME = "/panel"


class Kept(NamedTuple):
    """Where to go on to, and with which fields; without any, only where to."""

    target: str = HOME
    fields: Fields = []

    @property
    def packed(self) -> str:
        """The fields as the sign-in form carries them."""
        return json.dumps(self.fields) if self.fields else ""


def of_request() -> Kept:
    """What this request would have done."""
    request = flask.request
    if request.method == "GET":
        return Kept(local(request.full_path.rstrip("?")))
    typed = [(name, value) for name, value in request.form.items(multi=True) if name != FIELD]
    return Kept(local(request.path), typed)


def of_form() -> Kept:
    """What the sign-in form carried."""
    target = local(flask.request.values.get("next", HOME))
    try:
        found = json.loads(flask.request.form.get("kept") or "[]")
        return Kept(target, [(str(name), str(value)) for name, value in found])
    except (ValueError, TypeError):
        return Kept(target)


def local(target: str) -> str:
    """A path of the panel, never another site's."""
    inside = target == HOME or target.startswith((f"{HOME}/", f"{HOME}?"))
    return target if inside and "\\" not in target and target.isprintable() else HOME

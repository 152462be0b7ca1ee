"""The reference that counts as 1: Flask and `jsonify`, no duty at all."""

from __future__ import annotations

import flask
from sample import PATH, STATUS

app = flask.Flask(__name__)


@app.get(PATH)
def status() -> flask.Response:
    """The sample, serialised anew for each request."""
    return flask.jsonify(STATUS)

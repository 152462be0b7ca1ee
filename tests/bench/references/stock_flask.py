"""The stock assembly: Flask, flask-limiter, prometheus_flask_exporter's hooks, a key check and an audit."""

from __future__ import annotations

import time
from collections import deque

import flask
import gevent
from flask_limiter import Limiter
from prometheus_flask_exporter import PrometheusMetrics
from sample import PATH, SCOPE, STATUS, find_key

app = flask.Flask(__name__)
audit: deque[tuple[float, str, str, str, int, str | None]] = deque()


@app.before_request
def check_key() -> tuple[flask.Response, int] | None:
    """401 without a key, 403 without the scope."""
    key = find_key(flask.request.headers.get("Authorization"))
    if key is None:
        return flask.jsonify(error="no such key"), 401
    if SCOPE not in key.scopes:
        return flask.jsonify(error="missing scope"), 403
    flask.g.key = key
    return None


limiter = Limiter(
    key_func=lambda: str(flask.g.key.id),
    app=app,
    default_limits=["100000000/minute"],
    storage_uri="memory://",
    headers_enabled=True,
)
metrics = PrometheusMetrics(app)


@app.after_request
def record(response: flask.Response) -> flask.Response:
    """One audit record into the queue."""
    request = flask.request
    key = flask.g.get("key")
    audit.append(
        (
            time.time(),
            key.id if key else "",
            request.method,
            request.path,
            response.status_code,
            request.remote_addr,
        )
    )
    return response


def drain() -> None:
    """Empty the queue each second; where to is not part of what is compared."""
    while True:
        gevent.sleep(1)
        audit.clear()


@app.get(PATH)
def status() -> flask.Response:
    """The sample, serialised anew for each request."""
    return flask.jsonify(STATUS)


gevent.spawn(drain)

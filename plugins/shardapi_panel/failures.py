"""What went wrong, as a page for people and as a problem document for scripts."""

from typing import Any

import flask
import msgspec
from werkzeug.exceptions import HTTPException

from shardapi import ApiError
from shardapi.errors import INTERNAL, NOT_FOUND, ORIGIN_REFUSED, Problem
from shardapi.inside import outer_call

from .api import Refusal, this_shard
from .guard import for_scripts


def not_ours() -> ApiError:
    """The refusal of a change that no page of ours asks for."""
    return ORIGIN_REFUSED(
        "This change does not come from a page of this panel.", hint="Open the panel and do it there."
    )


def document(error: ApiError) -> dict[str, Any]:
    """An error as a problem document."""
    kind = error.kind
    found = Problem(
        ok=False,
        error=error.detail,
        code=kind.code,
        status=kind.status,
        title=kind.title,
        detail=error.detail,
        request_id=outer_call(flask.request.environ).request_id,
        hint=error.hint,
        errors=error.errors,
    )
    return {**msgspec.to_builtins(found), **error.facts}


def problem(error: ApiError) -> flask.Response:
    """An error for a script."""
    return _json(error.kind.status, document(error), dict(error.headers))


def answer(error: ApiError) -> Any:
    """An error for whoever asks."""
    return _answer(error.kind.status, document(error), dict(error.headers))


def refused(error: Refusal) -> Any:
    """A refusal of the API for whoever asks."""
    return _answer(error.status, error.problem)


def aborted(error: HTTPException) -> Any:
    """What a view aborted with."""
    if error.code == 404:
        return answer(NOT_FOUND("There is nothing at this address."))
    return error


def failed(error: BaseException) -> Any:
    """What a view raised: logged and counted, and told only by the request's id."""
    shard, request = this_shard(), flask.request
    shard.problems.failed(flask.g.get("panel_plugin", "panel"), "view", request.path[:100], error)
    request_id = outer_call(request.environ).request_id
    return answer(INTERNAL("Something went wrong here.", hint=f"The log tells more (request {request_id})."))


def _answer(status: int, problem: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    if for_scripts():
        return _json(status, problem, headers)
    page = flask.render_template("panel/error.html", problem=problem)
    return flask.Response(page, status, headers, mimetype="text/html")


def _json(status: int, problem: dict[str, Any], headers: dict[str, str] | None = None) -> flask.Response:
    return flask.Response(
        msgspec.json.encode(problem), status, headers, content_type="application/problem+json"
    )

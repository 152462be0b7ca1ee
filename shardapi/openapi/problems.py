"""The errors of an operation, each with an example of its problem document."""

from collections.abc import Iterable
from typing import Any

from .. import errors as e
from ..auth import PUBLIC, Key, refused
from ..errors import ApiError, ErrorCode, Problem
from ..routes import Route, problem_codes
from . import headers
from .shapes import Schema, Shapes

PAGE = "text/html"  # a page refuses with a page, where that is asked for
REQUEST_ID = "5f0c3a9e12b84d67"
NO_SCOPES = Key("", "owner", "", "", frozenset(), 0, 0, 0, 0)


def component_examples(routes: Iterable[Route]) -> dict[str, Any]:
    """The examples that operations refer to, by the name that `_name` gives them."""
    return {
        _name(code, route): {
            "summary": code.title,
            **({"description": code.when} if code.when else {}),
            "value": _document(_error(code, route)),
        }
        for route in routes
        for code in problem_codes(route)
    }


def component_responses(routes: Iterable[Route], shapes: Shapes) -> dict[str, Any]:
    """The refusals that operations refer to: many have the same."""
    return {
        _response_name(codes, route): _response(status, codes, route, shapes)
        for route in routes
        for status, codes in _by_status(route).items()
    }


def problem_responses(route: Route) -> dict[str, Any]:
    """What an operation answers when it refuses, by status."""
    return {
        str(status): {"$ref": f"#/components/responses/{_response_name(codes, route)}"}
        for status, codes in sorted(_by_status(route).items())
    }


def _by_status(route: Route) -> dict[int, list[ErrorCode]]:
    found: dict[int, list[ErrorCode]] = {}
    for code in problem_codes(route):
        found.setdefault(code.status, []).append(code)
    return found


def _response_name(codes: list[ErrorCode], route: Route) -> str:
    """What a response is called: by its codes, and by what else makes it another one."""
    others = ["public"] * (route.scope == PUBLIC) + ["page"] * (route.media_type == PAGE)
    return ".".join([*(_name(code, route) for code in codes), *others])


def _response(status: int, codes: list[ErrorCode], route: Route, shapes: Shapes) -> Schema:
    content: Schema = {
        "application/problem+json": {
            "schema": shapes.of(Problem),
            "examples": {
                code.code: {"$ref": f"#/components/examples/{_name(code, route)}"} for code in codes
            },
        }
    }
    if route.media_type == PAGE:
        content[PAGE] = {"schema": {"type": "string"}}
    return {
        "description": "; ".join(f"{code.code}: {code.title}" for code in codes),
        "headers": headers.of_problem(route, status),
        "content": content,
    }


def _name(code: ErrorCode, route: Route) -> str:
    """What an example is called: a missing scope has one for each scope."""
    return f"{code.code}.{route.scope.replace(':', '.')}" if code is e.MISSING_SCOPE else code.code


def _error(code: ErrorCode, route: Route) -> ApiError:
    """An error as it is raised; where it says more than its title, by the very code that raises it."""
    if code is e.UNAUTHORIZED:
        return refused()
    if code is e.MISSING_SCOPE:
        try:
            NO_SCOPES.need(route.scope)
        except ApiError as error:
            return error
    return code(f"{code.title}.")


def _document(error: ApiError) -> dict[str, Any]:
    kind = error.kind
    shown = {
        "ok": False,
        "error": error.detail,
        "code": kind.code,
        "status": kind.status,
        "title": kind.title,
        "detail": error.detail,
        "requestId": REQUEST_ID,
    }
    return {**shown, "hint": error.hint} if error.hint else shown

"""The panel's blueprint, on which its pages are views; every one is guarded."""

from typing import Any

import flask
from werkzeug.exceptions import HTTPException

from shardapi import ApiError, clock
from shardapi.routes import Pages

from . import csrf, failures
from .api import Refusal, this_shard
from .guard import finish, guard
from .navigation import groups

panel = Pages(
    "panel",
    guard,
    __name__.rpartition(".")[0],
    template_folder="templates",
    static_folder="static",
    cli_group="panel",
)
panel.cli.help = "Let the owner into the panel: links, the password, who is signed in."
panel.after_request(finish)
panel.register_error_handler(ApiError, failures.answer)
panel.register_error_handler(Refusal, failures.refused)
panel.register_error_handler(HTTPException, failures.aborted)
panel.register_error_handler(Exception, failures.failed)


@panel.context_processor
def surroundings() -> dict[str, Any]:
    """What every template may use."""
    return {
        "csrf_token": csrf.token,
        "event_types": " ".join(this_shard().events.types),
        "guild": this_shard().guild,
        "me": flask.g.panel_session,
        "navigation": lambda: groups(this_shard(), flask.request.path),
    }


@panel.app_template_filter("iso")
def iso(ms: int) -> str:
    """A time as text for machines."""
    return clock.iso(ms)


@panel.app_template_filter("moment")
def moment(ms: int) -> str:
    """A time as text for people without a script, which says it in their own zone."""
    return f"{clock.iso(ms)[:16].replace('T', ' ')} UTC"

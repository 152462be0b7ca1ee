"""Who is signed in, and an end to it."""

from typing import Any

import flask

from .api import inside, this_session
from .blueprint import panel
from .guard import sessions as known

PATH = "/panel/sessions"


@panel.get("/sessions", endpoint="sessions")
def show() -> Any:
    """Every session that lives, the one used last first."""
    return flask.render_template("panel/sessions.html", sessions=known().all())


@panel.post("/sessions/end", endpoint="end_session")
def end() -> Any:
    """End one session, or all but this one."""
    wanted = flask.request.form.get("session", "")
    if wanted == "others":
        count = known().end_all(but=this_session().id)
        inside().note(f"{PATH}/others/end")
        flask.flash(f"{count} other session{'' if count == 1 else 's'} ended.")
    elif known().end(wanted):
        inside().note(f"{PATH}/{wanted[:40]}/end")
        flask.flash("The session is ended.")
    else:
        flask.flash("That session had ended already.")
    return flask.redirect(flask.url_for("panel.sessions"), 303)

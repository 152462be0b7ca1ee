"""Pages that other plugins add: a title and a template on their blueprint, shown within the panel's layout."""

from typing import Any

import flask
import gevent

from shardapi.inside import outer_call

from .api import inside, this_shard
from .blueprint import panel
from .failures import failed


@panel.get("/plugins/<plugin>/<name>")
def of_plugin(plugin: str, name: str) -> Any:
    """A page of another plugin."""
    opened = this_shard().plugins.opened.get(plugin)
    found = next((page for page in opened.pages if page.name == name), None) if opened else None
    if found is None:
        flask.abort(404)
    flask.g.panel_plugin = plugin  # what fails from here on is laid to it
    inside()  # whoever asks is the call's key from here on
    try:
        shown = found.run(outer_call(flask.request.environ))
        return flask.render_template(found.template, title=found.title, **shown)
    except (SystemExit, gevent.Timeout) as error:  # which Flask gives to no handler
        return failed(error)

"""An application whose start takes longer than a worker may stand still, as an upgrade of the store may."""

from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.monkey import get_original

gevent.get_hub().threadpool.apply(get_original("time", "sleep"), (3.5,))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Say yes."""
    start_response("200 OK", [("Content-Length", "3")])
    return [b"yes"]

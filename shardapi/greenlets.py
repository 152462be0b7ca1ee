"""Greenlets that can be asked to end, and cannot end by themselves as if they had been."""

import gevent


class Ended(gevent.GreenletExit):  # type: ignore[misc]
    """Raised in a greenlet that was told to end."""


class Greenlet(gevent.Greenlet):  # type: ignore[misc]
    """gevent's; what tells it to end raises Ended in it, so that a GreenletExit is the doing of what runs in it."""

    def throw(self, *error: object) -> None:
        """Raise an error in it."""
        super().throw(*((Ended,) if error[:1] == (gevent.GreenletExit,) else error))

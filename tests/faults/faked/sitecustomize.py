"""Loaded by every Python under libfaketime, whose time.sleep fails where the monotonic clock is left alone."""

import select
import time


def _sleep(seconds: float) -> None:
    select.select((), (), (), seconds)


time.sleep = _sleep

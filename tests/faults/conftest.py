"""What tests of faults share."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """In turn before other processes, here and in the server that is started from here, where that is allowed."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

"""Serve like `shardapi serve`, but never longer than the process that started this one lives."""

import ctypes
import os
import signal
import sys

from ..cli.launch import launch
from ..config import ConfigError, load

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        launch(load(), os.environ)
    except ConfigError as error:
        sys.exit(f"Error: {error}")

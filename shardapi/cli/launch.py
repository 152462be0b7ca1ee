"""From the command `serve` to the running server: what can be checked cheaply is, then gunicorn takes over."""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from .. import folder
from ..config import Config, ConfigError, host_and_port

# As long as a server that is just ending may still hold them.
LOCK_PATIENCE_SECONDS = 5.0
PORT_PATIENCE_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.05


def launch(config: Config, environ: Mapping[str, str]) -> NoReturn:
    """Become the server, with these settings in its environment. Raises ConfigError if it could not serve."""
    folder.prepare(config.folder)
    _wait_for(lambda: _folder_error(config.folder), LOCK_PATIENCE_SECONDS)
    if environ.get("LISTEN_PID") != str(os.getpid()):  # else systemd has opened the port for us
        _wait_for(lambda: _port_error(config.server.bind), PORT_PATIENCE_SECONDS)
    # A fresh interpreter, because the worker patches before anything is imported; and none of the modules that may lie
    # in the working folder.
    safe = {**environ, "PYTHONSAFEPATH": "1"}
    os.execve(sys.executable, [sys.executable, "-m", "shardapi.server"], safe)


def _wait_for(error: Callable[[], str], patience: float) -> None:
    deadline = time.monotonic() + patience
    while found := error():
        if time.monotonic() > deadline:
            raise ConfigError(found)
        time.sleep(LOOK_AGAIN_SECONDS)


def _folder_error(path: Path) -> str:
    try:
        handle = folder.lock(path)
    except OSError as error:
        return f"data folder {path}: {error.strerror}"
    if handle is None:
        return f"another server serves {path}: one server per data folder"
    os.close(handle)
    return ""


def _port_error(bind: str) -> str:
    host, port = host_and_port(bind)
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()  # two may bind, one may listen
    except OSError as error:
        return f"cannot listen on {bind}: {error.strerror}"
    return ""

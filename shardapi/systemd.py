"""What systemd is told: that the shard serves, that it reloads, that it lives."""

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

FRACTION = 4  # the watchdog is fed so many times as often as it must be


class Notifier:
    """The socket that systemd gave; without one nothing is told."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        # Taken out of the environment, because gunicorn would say that it is ready before anybody is served.
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environ.pop("WATCHDOG_USEC", "")
        self._patience = int(usec) / 1e6 if usec.isdecimal() else 0.0
        self._every = self._patience / FRACTION
        self._fed = float("-inf")

    def tell(self, *lines: str) -> None:
        """Send some assignments, such as READY=1."""
        if not self._address:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(1.0)
            sock.connect(self._address)
            sock.sendall("\n".join(lines).encode())

    def outlast(self, seconds: float) -> None:
        """Have the watchdog wait for longer than this, where its unit has it wait for less."""
        if self._every and self._patience < (wanted := 2 * seconds):
            self._patience = wanted
            self.tell(f"WATCHDOG_USEC={wanted * 1e6:.0f}")

    def feed(self) -> None:
        """Tell the watchdog that all is well, when it is time to."""
        now = time.monotonic()
        if self._every and now - self._fed >= self._every:
            self._fed = now
            self.tell("WATCHDOG=1")

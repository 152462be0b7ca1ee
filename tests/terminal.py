"""A command on a terminal of its own, for tests of what people see."""

import os
import pty
import re
import signal
import subprocess
import sys

SHARDAPI = [sys.executable, "-m", "shardapi"]


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words: str, env: dict[str, str] | None = None) -> None:
        self.screen, ours = pty.openpty()
        self.process = subprocess.Popen(
            [*SHARDAPI, *words],
            stdin=ours,
            stdout=ours,
            stderr=ours,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        os.close(ours)
        self.said = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.screen)

    def until(self, pattern: str) -> "re.Match[str]":
        """What comes to stand on the screen."""
        while not (found := re.search(pattern, self.said)):
            if not self.read():
                raise AssertionError(f"ended without {pattern}:\n{self.said}")
        return found

    def read(self) -> bool:
        """More of what it says; whether there was any."""
        try:
            more = os.read(self.screen, 65536)
        except OSError:  # nobody holds the other end any more
            return False
        self.said += more.decode().replace("\r\n", "\n")
        return bool(more)

    def end(self, sent: int) -> int:
        """End it, and read all that it still says."""
        self.process.send_signal(sent)
        while self.read():
            pass
        return self.process.wait(30)

"""A running demo, for tests that look at it from outside."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from shardapi.testing import STOP_SECONDS, Failed


class Demo:
    """A running demo, with its address and key as it printed them."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shardapi", "demo", "--bind", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(home)},
            start_new_session=True,
        )
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        found = re.search(r'curl -H "Authorization: Bearer (\S+)" (http://[^/]+)', self.said)
        if found is None:
            raise Failed(self.process.communicate()[1])
        self.key, self.url = found.groups()

    def get(self, path: str, **options: Any) -> requests.Response:
        """One call with the key that was printed."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return requests.get(f"{self.url}/api/v1{path}", headers=headers, timeout=10, **options)

    def wait(self, condition: Callable[[], Any], seconds: float = 30.0) -> float:
        """Ask until it is so; returns the seconds since the start."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(f"not within {seconds} s: {condition}")
            time.sleep(0.02)
        return time.monotonic() - self.began

    @property
    def family(self) -> list[int]:
        """The processes it has begun, their children too."""
        return descendants(self.process.pid)

    def end(self) -> str:
        """Terminate it; returns what it had to complain of."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.communicate(timeout=STOP_SECONDS)[1]
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL: it has no chance to tidy up."""
        self.process.kill()
        self.process.communicate()


def descendants(pid: int) -> list[int]:
    """All children of a process and theirs."""
    try:
        children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [one for child in children for one in (child, *descendants(child))]

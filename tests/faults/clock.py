"""A wall clock of one's own for a server, by way of libfaketime."""

import glob
import os
import time
from pathlib import Path

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Clock:
    """The wall clock that a server is told; its monotonic clock is the machine's."""

    def __init__(self, file: Path) -> None:
        self.file, self.offset = file, 0.0
        self.set(0)

    @property
    def env(self) -> dict[str, str]:
        """What makes a process believe it."""
        path = os.pathsep.join([str(Path(__file__).with_name("faked")), os.environ.get("PYTHONPATH", "")])
        return {
            "PYTHONPATH": path.rstrip(os.pathsep),
            "LD_PRELOAD": glob.glob(LIBRARY)[0],
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: float) -> None:
        """Put it so far from the machine's."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+f}\n")
        new.replace(self.file)
        self.offset = seconds

    def now(self) -> int:
        """What it shows, in milliseconds."""
        return int((time.time() + self.offset) * 1000)

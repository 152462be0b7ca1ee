"""File systems to be filled and write-protected, and system calls to be made to fail."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Disk:
    """A small file system in memory, mounted while the block runs."""

    def __init__(self, path: Path, size: str) -> None:
        self.path, self.size = path, size
        self._ballast = path / "ballast"

    def __enter__(self) -> "Disk":
        self.path.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={self.size}", "shardapi-test", str(self.path))
        return self

    def __exit__(self, *error: object) -> None:
        run("umount", "--lazy", str(self.path))

    def fill(self) -> None:
        """Take every free byte."""
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def free(self) -> None:
        """Give them back."""
        self._ballast.unlink()

    def protect(self) -> None:
        """Make it read-only; nobody may have a file open for writing any more."""
        for _ in range(100):
            with suppress(subprocess.CalledProcessError):
                return run("mount", "-o", "remount,ro", str(self.path))
            time.sleep(0.05)  # until the killed server has let go
        raise AssertionError(f"{self.path} cannot be made read-only")

    def release(self) -> None:
        """Make it writable again."""
        run("mount", "-o", "remount,rw", str(self.path))


def run(*command: str) -> None:
    """Run a command that must not fail."""
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def failing(pid: int, calls: str, error: str, when: str = "1+") -> Iterator[None]:
    """Make system calls of a process fail while the block runs, or for as long as it lives."""
    inject = f"inject={calls}:error={error}:when={when}"
    command = ["strace", "-f", "-o", os.devnull, "-e", f"trace={calls}", "-e", inject, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        while line := tracer.stderr.readline():
            if re.search(r"Process \d+ attached", line):
                break
        yield
    finally:
        with suppress(ProcessLookupError):
            tracer.terminate()
        tracer.stderr.close()
        tracer.wait(10)

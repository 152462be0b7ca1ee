"""A Debian machine in a folder, with a systemd of its own that boots in a second; for root."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = "systemd,dbus,python3,python3-venv"
NOT_COPIED = ("build", "dist", "*.egg-info", "__pycache__", ".*", "shard-data")


def run(*command: str, seconds: float = 600) -> str:
    """Run a command that must not fail; what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


class Machine:
    """One such machine, with a network of its own; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._log = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def make(self, wheels: Path) -> None:
        """Install Debian, from where this machine has its own, and the wheels into /opt/shardapi."""
        sources = run(
            "apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Identifier: Packages"
        )
        mirror, suite = sources.splitlines()[0].split()
        run(
            *("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(self.root), mirror),
            seconds=1200,
        )
        shutil.copytree(wheels, self.root / "opt" / "wheels")
        run("chroot", str(self.root), "python3", "-m", "venv", "/opt/shardapi")
        pip = ("/opt/shardapi/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/opt/wheels")
        run("chroot", str(self.root), *pip, "shardapi")

    def __enter__(self) -> Self:
        """Boot."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"),
                    *("--console=pipe", f"--directory={self.root}", "--boot"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        pid = self._process.pid
        until = time.monotonic() + 60
        while not self.leader or "running" not in self.inside("systemctl", "is-system-running", check=False):
            assert self._process.poll() is None and time.monotonic() < until, self._log.read_text()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            self.leader = int(children[0]) if children else 0
            time.sleep(0.2)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Turn it off."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def entering(self, *spaces: str) -> list[str]:
        """The beginning of a command that is run in these of its namespaces."""
        return ["nsenter", f"--target={self.leader}", *(f"--{space}" for space in spaces)]

    def inside(self, *command: str, check: bool = True, seconds: float = 120) -> str:
        """Run a command in it; what it printed, errors too."""
        spaces = ("mount", "uts", "ipc", "net", "pid", "root", "wd")
        done = subprocess.run(
            [*self.entering(*spaces), "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout.strip()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)


def build(folder: Path) -> Path:
    """Wheels of the checkout and of all that it needs, from where this machine has its packages."""
    copy = folder / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    wheels = folder / "wheels"
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels), str(copy), seconds=1200)
    return wheels

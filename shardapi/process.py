"""The process that serves a data folder, as the kernel knows it: where it listens, and which unit it is of."""

import os
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from .folder import LOCK

PROC = Path("/proc")
LISTENING = "0A"  # a state in /proc/net/tcp
INODE = re.compile(r"socket:\[(\d+)\]")


def systemctl(of_a_user: bool) -> str:
    """The command for the units of the machine, or of a user."""
    return "systemctl --user" if of_a_user else "systemctl"


class Process:
    """A server that runs; what this user may not see is empty."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @classmethod
    def serving(cls, folder: Path) -> "Process | None":
        """The one that has the lock of a data folder, None if it cannot be told."""
        try:
            inode = (folder / LOCK).stat().st_ino
            locks = (PROC / "locks").read_text().splitlines()
        except OSError:
            return None
        pids = {
            int(words[4])
            for words in map(str.split, locks)
            if "FLOCK" in words and words[5].endswith(f":{inode}")
        }
        held = (pid for pid in pids if any(_same(path, folder / LOCK) for path in _files(pid)))
        return next((cls(pid) for pid in held), None)

    @property
    def unit(self) -> str:
        """The unit of systemd that it belongs to, "" if it is of none."""
        name = self.group().rpartition("/")[2]
        return name if name.endswith(".service") and not name.startswith("user@") else ""

    def group(self) -> str:
        """Its control group, as the kernel has it."""
        try:
            return (PROC / str(self.pid) / "cgroup").read_text().strip()
        except OSError:
            return ""

    @property
    def to_stop(self) -> str:
        """The command that stops it and the socket that would start it again, "" if it is of no unit of ours."""
        if not self.unit.startswith("shardapi"):
            return ""
        return f"{systemctl(self.of_a_user)} stop {self.unit.removesuffix('.service')}.socket {self.unit}"

    @property
    def of_a_user(self) -> bool:
        """Whether that unit is of a user's own systemd."""
        return "/user@" in self.group()

    def places(self) -> list[str]:
        """Where it listens: HOST:PORT, or the path of a unix socket."""
        inodes = {match[1] for path in _files(self.pid) if (match := INODE.fullmatch(_link(path)))}
        return [place for inode, place in (*self._ports(), *self._paths()) if inode in inodes]

    def _ports(self) -> Iterator[tuple[str, str]]:
        for name in ("tcp", "tcp6"):
            for words in self._table(name):
                if len(words) > 9 and words[3] == LISTENING:
                    host, port = words[1].split(":")
                    yield words[9], f"{_address(host)}:{int(port, 16)}"

    def _paths(self) -> Iterator[tuple[str, str]]:
        for words in self._table("unix"):
            if len(words) > 7 and words[5] == "01" and words[3] == "00010000":  # one that accepts connections
                yield words[6], words[7]

    def _table(self, name: str) -> Iterator[list[str]]:
        try:
            text = (PROC / str(self.pid) / "net" / name).read_text()
        except OSError:
            return
        for line in text.splitlines()[1:]:
            yield line.split()


def _files(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return []


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _address(text: str) -> str:
    """An address as the kernel writes it: words of 32 bits, each in the machine's order."""
    packed = b"".join(int(text[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(text), 8))
    return str(IPv4Address(packed)) if len(packed) == 4 else f"[{IPv6Address(packed)}]"

"""Two machines in network namespaces of their own, a cable between them, and packets that get lost on it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .disk import run

CLONE_NEWNET = 0x40000000
HERE, THERE = "192.0.2.1", "192.0.2.2"

_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Network:
    """Two namespaces without a name, which end with the block; the running thread is in one of them or at home.

    What a thread starts, and each socket that it makes, stays in the namespace where it was.
    """

    def __enter__(self) -> "Network":
        self._home = _namespace()
        self._server, self._operators = self._made(), self._made()
        with self.at_the_server():
            peer = ("peer", "name", "there", "netns", f"/proc/{os.getpid()}/fd/{self._operators}")
            run("ip", "link", "add", "here", "type", "veth", *peer)
            run("ip", "address", "add", f"{HERE}/24", "dev", "here")
            run("ip", "link", "set", "here", "up")
        with self.at_the_operators():
            run("ip", "address", "add", f"{THERE}/24", "dev", "there")
            run("ip", "link", "set", "there", "up")
        return self

    def __exit__(self, *error: object) -> None:
        for handle in (self._server, self._operators, self._home):
            os.close(handle)

    def _made(self) -> int:
        try:
            _called(_libc.unshare(CLONE_NEWNET))
            run("ip", "link", "set", "lo", "up")
            return _namespace()
        finally:
            _called(_libc.setns(self._home, CLONE_NEWNET))

    @contextmanager
    def at_the_server(self) -> Iterator[None]:
        """Be where the server is."""
        with self._within(self._server):
            yield

    @contextmanager
    def at_the_operators(self) -> Iterator[None]:
        """Be where the operators are."""
        with self._within(self._operators):
            yield

    @contextmanager
    def _within(self, handle: int) -> Iterator[None]:
        before = _namespace()
        _called(_libc.setns(handle, CLONE_NEWNET))
        try:
            yield
        finally:
            _called(_libc.setns(before, CLONE_NEWNET))
            os.close(before)

    def lose(self) -> None:
        """From now on no packet arrives, in either direction, and nobody is told."""
        rules = "add chain inet lost {0} {{ type filter hook {0} priority 0; policy drop; }}"
        with self.at_the_operators():
            run("nft", "add table inet lost;", rules.format("input"), ";", rules.format("output"))

    def find(self) -> None:
        """Packets arrive again."""
        with self.at_the_operators():
            run("nft", "delete", "table", "inet", "lost")


def _namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

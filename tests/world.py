"""A network namespace in which every address of the world is this machine: whoever connects anywhere is noticed.

Names are resolved by dnsmasq. What the block starts, and each socket made in it, belongs to this world.
"""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

CLONE_FS, CLONE_NEWNS, CLONE_NEWNET = 0x00000200, 0x00020000, 0x40000000
WAIT_SECONDS = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


class Hit(NamedTuple):
    """A connection: the address and port that were connected to."""

    address: str
    port: int


class World:
    """`hits` are the connections that came, `got` the requests on them, `answer` is the status and headers of all."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.hits, self.got = folder, list[Hit](), list[dict[str, str]]()
        self.answer: tuple[int, dict[str, str]] = (204, {})
        self.port = 0
        self._hosts = folder / "hosts"
        self._stack = ExitStack()

    def __enter__(self) -> "World":
        with self._stack as stack:
            stack.callback(os.chdir, os.getcwd())
            for kind, name in ((CLONE_NEWNET, "net"), (CLONE_NEWNS, "mnt")):
                home = os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, home)
                _called(_libc.unshare(kind))
                stack.callback(_return, home, kind)
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo")
            _run("ip", "-6", "route", "add", "local", "::/0", "dev", "lo")
            self._begin_names()
            self.port = self._listen(0)
            self._listen(80)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    # -- names

    def _begin_names(self) -> None:
        resolver = self.folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        _run("mount", "--make-rprivate", "/")
        _run("mount", "--bind", str(resolver), "/etc/resolv.conf")
        self._hosts.write_text("127.0.0.1 there\n")
        self._names = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
            + [f"--addn-hosts={self._hosts}", "--listen-address=127.0.0.1", "--bind-interfaces"]
            + ["--user=root", "--pid-file=", "--log-facility=-"],
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(self._end_names)
        _until(lambda: resolved("there") == {"127.0.0.1"}, "the name server")

    def _end_names(self) -> None:
        self._names.terminate()
        self._names.wait(WAIT_SECONDS)

    def name(self, names: dict[str, Iterable[str]]) -> None:
        """Let these names have these addresses, and no others any."""
        lines = [f"{address} {name}\n" for name, addresses in names.items() for address in addresses]
        mark = f"at-{time.monotonic_ns()}"
        self._hosts.write_text("".join([*lines, f"127.0.0.1 {mark}\n"]))
        self._names.send_signal(signal.SIGHUP)
        _until(lambda: resolved(mark), "the name server to read its file")

    # -- connections

    def _listen(self, port: int) -> int:
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                address, port, *_ = self.request.getsockname()
                world.hits.append(Hit(_plain(address), port))
                super().setup()

            def do_POST(self) -> None:  # noqa: N802
                self.rfile.read(int(self.headers["Content-Length"]))
                world.got.append({name.lower(): value for name, value in self.headers.items()})
                status, headers = world.answer
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_CONNECT = do_POST  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """It has hung up."""

        server = Server(("::", port), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        return int(server.server_port)

    def clear(self) -> None:
        """Forget what came."""
        self.hits.clear()
        self.got.clear()

    def addresses(self) -> set[str]:
        """The addresses that were connected to."""
        return {hit.address for hit in self.hits}


def resolved(name: str) -> set[str]:
    """The addresses of a name."""
    with suppress(OSError):
        return {str(one[4][0]) for one in socket.getaddrinfo(name, 80)}
    return set()


def _plain(address: str) -> str:
    found = IPv6Address(address.partition("%")[0])
    return str(found.ipv4_mapped or found)


def _until(condition: Callable[[], Any], what: str) -> None:
    ends = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < ends, f"waited in vain for {what}"
        time.sleep(0.01)


def _run(*call: str) -> None:
    subprocess.run(call, check=True, capture_output=True, text=True, timeout=30)


def _return(home: int, kind: int) -> None:
    # Threads that were started here have the folder in common, which keeps one from going.
    _called(_libc.unshare(CLONE_FS))
    _called(_libc.setns(home, kind))


def _called(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

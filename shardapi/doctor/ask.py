"""Questions to a server: to the shard itself, and to it through whatever stands before it."""

import http.client
import secrets
import socket
import time
import zlib
from typing import NamedTuple
from urllib.parse import urlsplit

from .. import probe
from ..config import host_and_port
from ..probe import Seen
from ..tokens import BadToken, Tokens
from .case import Case

PATIENCE_SECONDS = 6.0
LARGEST = 1_000_000
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Reply(NamedTuple):
    """An answer; `mine` is our own address and port, `seen` what the shard says if it was the one to answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    mine: tuple[str, str] = ("", "")
    seen: Seen | None = None


class UnixConnection(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Open it. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(self._path)


class Door:
    """A way to the shard: a URL or the path of a unix socket, and the Host to name there if it is another."""

    def __init__(self, url: str, host: str = "") -> None:
        self.url, self.host = url.rstrip("/"), host
        self._parts = urlsplit("" if url.startswith("/") else self.url)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is not open yet."""
        if not self._parts.scheme:
            return UnixConnection(self.url)
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS)
        return http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)

    def _send(
        self, link: http.client.HTTPConnection, path: str, fields: dict[str, str]
    ) -> http.client.HTTPResponse:
        named = {"Host": self.host} if self.host else {}
        link.request("GET", f"{self._parts.path}{path}", headers={**named, **fields})
        return link.getresponse()

    def get(self, path: str, **fields: str) -> Reply:
        """GET; names of fields are written with underscores. Raises OSError, http.client.HTTPException."""
        link = self.connect()
        try:
            answer = self._send(link, path, {name.replace("_", "-"): value for name, value in fields.items()})
            mine = link.sock.getsockname() if link.sock else ""
            address, port = mine[:2] if isinstance(mine, tuple) else ("", "")
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, headers, answer.read(LARGEST), (address, str(port)))
        finally:
            link.close()

    def probe(self, tokens: Tokens, path: str = "/health", **fields: str) -> Reply:
        """Ask how a request arrives; without `seen` it was answered by somebody else. Raises as `get` does."""
        nonce = secrets.token_hex(8)
        reply = self.get(path, X_Shardapi_Probe=probe.question(tokens, nonce), **fields)
        try:
            return reply._replace(seen=probe.read(tokens, reply.body, nonce))
        except BadToken:
            return reply

    def held_back(self, tokens: Tokens, path: str) -> tuple[bool, str]:
        """Whether a stream's first line comes no earlier than its last, and how it is encoded. Raises as `get` does."""
        link = self.connect()
        asked = {
            probe.HEADER: probe.question(tokens, "stream"),
            "Accept": probe.STREAM,
            "Accept-Encoding": "gzip",
        }
        try:
            answer = self._send(link, path, asked)
            encoding = answer.getheader("Content-Encoding", "")
            unpack = zlib.decompressobj(wbits=31).decompress if encoding == "gzip" else bytes
            text, first = b"", 0
            while data := answer.read1(4096):
                text += unpack(data)
                if not first and b"\n" in text:
                    first = time.monotonic_ns()
            lines = text.decode("ascii", "replace").split("\n")
            if answer.status != 200 or len(lines) < 2 or not lines[1].startswith(": "):
                raise http.client.HTTPException(f"answered {answer.status} in place of a stream")
            return first >= int(lines[1][2:]), encoding
        finally:
            link.close()


def local(case: Case) -> tuple[str, Door]:
    """Where the server listens, as the kernel knows it or else as the settings say, and the way there."""
    places = case.process.places() if case.has_folder and case.process else []
    place = (places or [case.settings.server.bind])[0]
    named = urlsplit(case.settings.server.public_url).netloc
    if place.startswith("/"):
        return place, Door(place, named)
    host, port = host_and_port(place)
    host = ANYWHERE.get(host, host)
    return place, Door(f"http://{f'[{host}]' if ':' in host else host}:{port}", named)


def onward(case: Case) -> str:
    """Where a proxy on this machine reaches the server."""
    return local(case)[1].url.removeprefix("http://")


def why(problem: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(problem, socket.gaierror):
        return "the name does not resolve"
    if isinstance(problem, TimeoutError):
        return f"no answer within {PATIENCE_SECONDS:.0f} s"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror.lower()
    return " ".join(str(problem).split()) or type(problem).__name__

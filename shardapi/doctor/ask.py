"""Questions to a server: to the shard itself, and to it through whatever stands before it."""

import http.client
import secrets
import socket
import ssl
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


class Door:
    """A way to the shard: a URL, and the Host to name there if it is another."""

    def __init__(self, url: str, host: str = "", context: ssl.SSLContext | None = None) -> None:
        self.url, self.host, self._context = url.rstrip("/"), host, context
        self._parts = urlsplit(self.url)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is not open yet."""
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS, context=self._context)
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
            address, port = link.sock.getsockname()[:2] if link.sock else ("", "")
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


def local(case: Case) -> Door:
    """The way to the shard itself, where it listens."""
    host, port = host_and_port(case.settings.server.bind)
    host = ANYWHERE.get(host, host)
    return Door(
        f"http://{f'[{host}]' if ':' in host else host}:{port}",
        urlsplit(case.settings.server.public_url).netloc,
    )


def why(problem: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(problem, socket.gaierror):
        return "the name does not resolve"
    if isinstance(problem, TimeoutError):
        return f"no answer within {PATIENCE_SECONDS:.0f} s"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror.lower()
    return " ".join(str(problem).split()) or type(problem).__name__

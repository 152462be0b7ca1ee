"""One entry of the log for each request: whose it was, what for, and how it went; of a path only its rule."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from . import clock
from .logs import Log, escaped

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

    from .routes import Call

LINE = "shardapi.line"  # where an environ has the entry of an answer that outlives its request

_encode = msgspec.json.Encoder().encode
_iso, _now = clock.iso, clock.now


class Entry(msgspec.Struct, rename="camel"):
    """One request, as a line of JSON."""

    time: str
    level: str
    logger: str
    request_id: str
    key_id: str
    method: str
    route: str
    status: int
    ms: float
    address: str
    code: str


class Outcome(Entry, omit_defaults=True):
    """A stream or a WebSocket, when it has ended."""

    why: str = ""


class Line:
    """The entry of a connection that outlives its request, until it ends."""

    __slots__ = ("requests", "entry", "began")

    def __init__(self, requests: "RequestLog", entry: Outcome, began: float) -> None:
        self.requests, self.entry, self.began = requests, entry, began

    def end(self, why: str = "") -> None:
        """Write it, with how long it was."""
        entry, self.began = self.entry, self.began
        entry.time, entry.ms, entry.why = _iso(_now()), _ms(self.began), why
        self.requests.write(entry)


class RequestLog:
    """Writes the entries of one shard's requests."""

    def __init__(self, log: Log) -> None:
        self._put, self._text = log.sink.put, not log.json
        self._prefix = log.prefix("info")

    def note(self, call: "Call", status: int, code: str, began: float) -> None:
        """Write the entry of a request that is answered."""
        self.write(self._entry(Entry, call, status, code, began))

    def hold(self, call: "Call", status: int, began: float) -> None:
        """Keep the entry for whoever takes the connection."""
        call.environ[LINE] = Line(self, self._entry(Outcome, call, status, "", began), began)

    def watch(self, call: "Call", began: float, start_response: "StartResponse") -> Callable[..., Any]:
        """A start_response for an answer of Flask's own: it is written, and shows the request's id."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            if not any(name.lower() == "x-request-id" for name, _ in headers):
                headers = [*headers, ("X-Request-Id", call.request_id)]
            self.note(call, int(status[:3]), "", began)
            return start_response(status, headers, *error)

        return start

    def write(self, entry: Entry) -> None:
        """Write an entry."""
        line = _line(entry).encode() if self._text else _encode(entry)
        self._put(self._prefix + line + b"\n")

    def _entry(self, kind: type[Any], call: "Call", status: int, code: str, began: float) -> Any:
        address, key = call.address, call.key
        return kind(
            _iso(_now()),
            "info",
            "shardapi.request",
            call.request_id,
            key.id if key is not None else "",
            call.environ["REQUEST_METHOD"],
            call.route.rule if call.route is not None else call.rule,
            status,
            _ms(began),
            address if address.isascii() and address.isprintable() else escaped(ascii(address)),
            code,
        )


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)


def _line(entry: Entry) -> str:
    why = f" ({entry.why})" if isinstance(entry, Outcome) and entry.why else ""
    who = entry.key_id or "-"
    return (
        f"{entry.time} INFO     {entry.method} {entry.route or '-'} {entry.status}{entry.code and ' ' + entry.code}"
        f" {entry.ms:g} ms{why} {who} {entry.address or '-'} {entry.request_id}"
    )

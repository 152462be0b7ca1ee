"""What a plugin says of its deliveries."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from ..eventlog import Logged
from ..events import Event
from .models import Row
from .vault import Secret


class Parcel(NamedTuple):
    """One delivery: header fields, each ended by CRLF, the body, and how many of the offered events it tells.

    Where there is no body these events are passed over.
    """

    fields: bytes
    body: bytes
    told: int = 1


Pack = Callable[[Sequence[Logged]], Parcel]


class Kind(Protocol):
    """The deliveries of one plugin. `name` is in the tables and the metrics, `word` in the log; `most` is how many
    events one delivery may tell, which counts only for endpoints that are ordered; `tells_limits` is whether
    X-RateLimit-Remaining and X-RateLimit-Reset-After of an answer are heeded, as Discord means them."""

    name: str
    word: str
    most: int
    tells_limits: bool

    def url(self, row: Row, secrets: Sequence[Secret]) -> str:
        """Where to deliver."""

    def wants(self, row: Row, type_: str) -> bool:
        """Whether an endpoint is to have events of a type."""

    def packer(self, row: Row, secrets: Sequence[Secret]) -> Pack:
        """What makes a parcel of the first of some events, which are never none."""

    def is_gone(self, status: int) -> bool:
        """Whether an answer means that nothing shall be sent there any more."""

    def told(self, what: str, row: Row, **facts: Any) -> Event | None:
        """The event of a transition: disabled(failures), gap(oldest), held(failures), released, parked(number)."""

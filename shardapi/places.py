"""Who holds a connection: how many there may be, how many of one address, and who has to make room."""

import resource
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address

from .limits import subnet

SPARE = 256  # connections beyond the places, each for the moment in which it is told so
RESERVE = 512  # descriptors kept for the store and for what goes out
SHARE = 2  # one address may hold one part in so many


class Full(Exception):
    """Raised when every place is held by a request that is being answered."""


class Crowded(Exception):
    """Raised when one address holds as many places as it may."""


class Places:
    """The places of one worker. What has left its request, a stream or a WebSocket, holds a descriptor, but no place.

    Where all are taken, a new connection gets the place of the one that has said nothing for the longest:
    of any number who never finish a request, they are the ones that go.
    """

    def __init__(
        self, most: int, trusted: list[IPv4Network | IPv6Network], make_room: Callable[[int], bool]
    ) -> None:
        self.most, self.share = most, max(1, most // SHARE)
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.last_descriptor = soft - min(RESERVE, soft // 4)
        self._trusted, self._make_room = trusted, make_room
        self._held = 0
        self._of: Counter[str] = Counter()

    def take(self, address: str, descriptor: int) -> str:
        """Take a place; returns for whom, to be given back. Raises Full, Crowded."""
        who = subnet(address)
        if self._of[who] >= self.share and not self._is_proxy(address):
            raise Crowded(f"{who} holds {self.share} connections")
        # Every number below a new descriptor's is in use: it tells how many there are too many.
        over = max(self._held + 1 - self.most, descriptor - self.last_descriptor)
        if over > 0 and not self._make_room(over):
            raise Full(f"{self._held} connections are busy, the next has the descriptor {descriptor}")
        self._held += 1
        self._of[who] += 1
        return who

    def give_back(self, who: str) -> None:
        """Leave a place."""
        self._held -= 1
        self._of[who] -= 1
        if not self._of[who]:
            del self._of[who]

    def _is_proxy(self, address: str) -> bool:
        if not address:
            return True  # a unix socket
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._trusted)

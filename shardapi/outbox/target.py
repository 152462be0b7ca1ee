"""Where deliveries may go: a URL is resolved, each of its addresses judged, and the judged one connected to."""

import re
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import gevent.event
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from ..errors import INVALID_VALUE, ApiError, FieldError

_getaddrinfo = get_original("socket", "getaddrinfo")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], list[str]]

PORTS = {"http": 80, "https": 443}
MOST_URL = 2048
RESOLVERS = 64  # look-ups at once: a name server that is dead holds each for many seconds
NAME = re.compile(r"[A-Za-z0-9._-]+")
IN_TARGET = "%/:=&?~+!$,;'@()*[]"  # what a path and query may hold as they are

# Not the public internet, though `is_global` says so of them or of the address they stand for.
NOT_PUBLIC = [
    ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "2001::/23", "2002::/16", "3fff::/20")
]
UNICAST = ip_network("2000::/3")  # all of IPv6 that is given out
TRANSLATED = [ip_network(text) for text in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")]
# Where clouds keep their machines' credentials; nobody means these.
METADATA = [
    ip_network(text)
    for text in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.253", "100.100.100.200"),
        *("192.0.0.192", "168.63.129.16", "169.254.42.42", "169.254.0.23"),
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fe80::a9fe:a9fe"),
    )
]
ALLOW = "The owner can allow a private network with allow_private in the settings."


class Unreachable(Exception):
    """Raised when a target cannot be connected to."""


class Refused(Unreachable):
    """Raised when a target is one that nothing may be sent to; the message says why, `hint` what helps."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


class Unresolved(Unreachable):
    """Raised when a name has no address now."""


class Target(NamedTuple):
    """What a URL says: whom to connect to, and what to ask there."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str) -> Target:
    """Read a URL. Raises invalid_value."""
    try:
        return _parse(url)
    except ValueError as error:
        raise invalid(str(error)) from None


def _parse(url: str) -> Target:
    if len(url) > MOST_URL:
        raise ValueError(f"The URL is over {MOST_URL} characters.")
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("The URL has a space, a backslash or a control character in it.")
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError("A URL to deliver to begins with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The URL holds a user name or password; put a secret into its path instead.")
    if not parts.hostname:
        raise ValueError("The URL names no host.")
    host = parts.hostname.partition("%")[0] if ":" in parts.hostname else _ascii(parts.hostname)
    path = quote(parts.path or "/", safe=IN_TARGET) + (
        f"?{quote(parts.query, safe=IN_TARGET)}" if parts.query else ""
    )
    port = PORTS[parts.scheme] if parts.port is None else parts.port
    if port == 0:
        raise ValueError("The URL's port is 0.")
    return Target(parts.scheme, host, port, path)


def _ascii(host: str) -> str:
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not NAME.fullmatch(name):
        raise ValueError(f"{host[:64]} is no host name.")
    return name


def invalid(why: str, hint: str = "") -> ApiError:
    """The refusal of a URL."""
    return INVALID_VALUE(why, hint=hint, errors=(FieldError("url", why),))


class Gate:
    """Judges addresses by the owner's settings: public ones, and private ones within `allowed`."""

    def __init__(self, allowed: Sequence[str] = (), resolve: Resolve | None = None) -> None:
        self.allowed = [ip_network(one, strict=False) for one in allowed]
        self._pool: ThreadPool | None = None
        self._resolve = resolve or self._look_up
        self._asked: dict[tuple[str, int], gevent.event.AsyncResult] = {}
        self._verdict = lru_cache(maxsize=1024)(self._judge)

    def check(self, target: Target, seconds: float) -> None:
        """Refuse a URL that must not be delivered to; a name that does not resolve may yet. Raises invalid_value."""
        try:
            with gevent.Timeout(seconds, False):
                self.addresses(target)
        except Refused as refused:
            raise invalid(f"{target.host}: {refused}.", hint=refused.hint) from None
        except Unresolved:
            pass

    def addresses(self, target: Target) -> list[Address]:
        """Every address of a target, each one judged. Raises Refused, Unresolved."""
        found = [ip_address(one.partition("%")[0]) for one in self._resolve(target.host, target.port)]
        for address in found:
            self.judge(address)
        if not found:
            raise Unresolved(f"{target.host} has no address")
        return found

    def judge(self, address: Address) -> None:
        """Raises Refused unless one may connect to this address."""
        if verdict := self._verdict(address):
            raise Refused(*verdict)

    def _judge(self, address: Address) -> tuple[str, ...]:
        """Why nothing may be sent there, and what helps; nothing where it may."""
        plain = (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
        if any(one in network for one in (plain, _embedded(plain)) for network in METADATA):
            return (f"{address} is where a cloud keeps credentials",)
        if any(plain in network for network in self.allowed):
            return ()
        given_out = plain.version == 4 or plain in UNICAST
        if not (given_out and plain.is_global) or any(plain in network for network in NOT_PUBLIC):
            return f"{address} is not an address of the public internet", ALLOW
        return ()

    def _look_up(self, host: str, port: int) -> list[str]:
        """Resolve in threads of its own, one for a name, so that a dead name server holds up nobody else."""
        if _is_literal(host):
            return [host]
        asked = self._asked.get((host, port))
        if asked is None:
            asked = self._asked[host, port] = gevent.event.AsyncResult()
            gevent.spawn(self._ask, host, port, asked)
        found: list[str] = asked.get()
        return found

    def _ask(self, host: str, port: int, asked: gevent.event.AsyncResult) -> None:
        if self._pool is None:
            self._pool = ThreadPool(RESOLVERS)
        found: list[str] = []
        try:
            found = self._pool.apply(_addresses, (host, port))
        finally:
            del self._asked[host, port]
            asked.set(found)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _embedded(address: Address) -> Address:
    """The IPv4 address that a translator would make of this one, else the same."""
    if isinstance(address, IPv4Address):
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if any(address in one for one in TRANSLATED) else address


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = _getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(one[4][0]) for one in found))

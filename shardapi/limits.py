"""Limits: so many in a window, one counter for each key or address; they announce themselves on every answer."""

import math
import time
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from .config import Rate
from .errors import RATE_LIMITED, ApiError

if TYPE_CHECKING:
    from .routes import Call

SWEEP_AT = 10_000


class Window:
    """What is left in one counter's window."""

    __slots__ = ("left", "ends")

    def __init__(self, left: int, ends: float) -> None:
        self.left, self.ends = left, ends


class Limit:
    """One limit: a fixed window for each name, opened by its first use."""

    def __init__(self, name: str, rate: Rate) -> None:
        self.name, self.rate = name, rate
        self.policy = f'"{name}";q={rate.count};w={rate.seconds}'
        self._windows: dict[str, Window] = {}

    def window(self, who: str) -> Window:
        """The counter of one key or address as it stands now."""
        now = time.monotonic()
        window = self._windows.get(who)
        if window is None or window.ends <= now:
            if len(self._windows) > SWEEP_AT:
                self._windows = {name: one for name, one in self._windows.items() if one.ends > now}
            window = self._windows[who] = Window(self.rate.count, now + self.rate.seconds)
        return window

    def spend(self, who: str) -> Window:
        """Take one. Raises rate_limited when nothing is left."""
        window = self.window(who)
        if window.left <= 0:
            raise self.refusal(window)
        window.left -= 1
        return window

    def charge(self, call: "Call") -> Window:
        """Take one for who calls, a key or else an address, and say on the answer what is left.

        Raises rate_limited when nothing is.
        """
        window = self.spend(call.key.id if call.key is not None else subnet(call.address))
        own = self.headers(window)
        call.headers = beside(call.headers, own) if call.headers else own
        return window

    def give_back(self, who: str, window: Window) -> None:
        """Undo a spend; a window of which nothing is spent begins anew with the next."""
        window.left += 1
        if window.left == self.rate.count and self._windows.get(who) is window:
            del self._windows[who]

    def refusal(self, window: Window) -> ApiError:
        """The 429 for a spent window, with when to come back."""
        wait = seconds_left(window)
        return RATE_LIMITED(
            f"The limit of {self.rate.count} in {self.rate.seconds} s is used up.",
            hint=f"Wait {wait} s.",
            headers=(("Retry-After", str(wait)), *self.headers(window)),
        )

    def headers(self, window: Window) -> tuple[tuple[str, str], ...]:
        """What an answer says of this limit: the IETF draft's two fields and the X-RateLimit three."""
        wait = seconds_left(window)
        return (
            ("RateLimit-Policy", self.policy),
            ("RateLimit", f'"{self.name}";r={window.left};t={wait}'),
            ("X-RateLimit-Limit", str(self.rate.count)),
            ("X-RateLimit-Remaining", str(window.left)),
            ("X-RateLimit-Reset", str(math.ceil(time.time() + window.ends - time.monotonic()))),
        )


def beside(
    headers: tuple[tuple[str, str], ...], more: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """The headers of one limit with another's: the draft's two fields are lists, X-RateLimit stays the first's."""
    added = dict(more)
    return tuple(
        (name, f"{value}, {added[name]}" if name.startswith("RateLimit") else value)
        for name, value in headers
    )


def seconds_left(window: Window) -> int:
    """Whole seconds until the window ends, at least 1."""
    return max(1, int(window.ends - time.monotonic()) + 1)


def subnet(address: str) -> str:
    """Whom an address stands for in a limit: itself, or its /64 for IPv6."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return address

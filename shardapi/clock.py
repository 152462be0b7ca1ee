"""Wall time in milliseconds since 1970 (UTC), and how it is written on the wire."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def now() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=64)
def iso(ms: int) -> str:
    """ISO-8601 UTC with milliseconds and Z; "" for 0, which stands for a time that is not set."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z" if ms else ""


@lru_cache(maxsize=64)
def ms(text: str) -> int:
    """The milliseconds of a time as `iso` writes it, 0 for ""; UTC where it names no zone. Raises ValueError."""
    if not text:
        return 0
    found = datetime.fromisoformat(text)
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)

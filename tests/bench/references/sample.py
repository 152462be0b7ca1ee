"""What every reference serves and guards it with: one answer, one key, from the environment."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

PATH = "/api/v1/status"
SCOPE = "read:status"
STATUS: dict[str, Any] = json.loads(Path(os.environ["BENCH_STATUS"]).read_bytes())


class Key(NamedTuple):
    """A bearer key as a server keeps it: never its secret."""

    id: str
    scopes: frozenset[str]


_KEYS = {
    hashlib.sha256(os.environ["BENCH_KEY"].encode()).digest(): Key("key_bench", frozenset({SCOPE})),
}


def find_key(authorization: str | None) -> Key | None:
    """The key that an `Authorization` header names."""
    if not authorization or not authorization.startswith("Bearer "):
        return None
    return _KEYS.get(hashlib.sha256(authorization[7:].encode()).digest())

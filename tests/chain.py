"""The catalogue's journal as somebody else would check it: SQLite, JSON and SHA-256 alone."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from faults import store


def operations(folder: Path, guild_id: str) -> list[dict[str, Any]]:
    """The operations that the journal in a data folder still holds; each must be canonical and in the chain."""
    found: list[dict[str, Any]] = []
    before = b""
    for version, text, digest in store.rows(
        folder,
        "SELECT version, operation, hash FROM catalogue_change WHERE guild = ? ORDER BY version",
        guild_id,
    ):
        operation = json.loads(text)
        canonical = json.dumps(operation, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert text == canonical.encode()
        assert operation["version"] == version
        if version == 1 or before:
            assert digest == sha256((before or bytes(32)) + text).digest(), f"the chain breaks at {version}"
            assert not found or version == found[-1]["version"] + 1
        before = digest
        found.append(operation)
    return found


def checkpoint(folder: Path, guild_id: str) -> tuple[int, str, int]:
    """The checkpoint's version and hash, and how many operations come after it, which the journal must bear out."""
    ((version, digest, newest),) = store.rows(
        folder,
        "SELECT checkpoint_version, checkpoint_hash, version FROM catalogue_head WHERE guild = ?",
        guild_id,
    )
    kept = {
        number: one
        for number, one in store.rows(
            folder, "SELECT version, hash FROM catalogue_change WHERE guild = ?", guild_id
        )
    }
    assert max(kept, default=0) == newest
    assert not version or kept[version] == digest
    return version, digest.hex(), newest - version

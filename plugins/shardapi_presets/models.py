"""The presets' tables; everything here runs inside `Store.read` or a write."""

from shardapi.store import database, many, one, rows


def revision(guild_id: str) -> int:
    """The number of the list of presets; it grows with every change to one of them."""
    row = one("SELECT revision FROM preset_list WHERE guild = ?", (guild_id,))
    return int(row[0]) if row is not None else 0


def listed(guild_id: str) -> tuple[int, list[str]]:
    """The revision and every preset's document, by name."""
    with database.atomic("DEFERRED"):
        found = rows("SELECT document FROM preset WHERE guild = ? ORDER BY name", (guild_id,))
        return revision(guild_id), [document for (document,) in found]


def count(guild_id: str) -> int:
    """How many presets there are."""
    return int(one("SELECT count(*) FROM preset WHERE guild = ?", (guild_id,))[0])


def find(guild_id: str, name: str) -> str | None:
    """A preset's document."""
    row = one("SELECT document FROM preset WHERE guild = ? AND name = ?", (guild_id, name))
    return None if row is None else str(row[0])


def closest(guild_id: str, name: str) -> str:
    """The name of a preset that differs from this one in case only, or ""."""
    names = rows("SELECT name FROM preset WHERE guild = ?", (guild_id,))
    return next((known for (known,) in names if known.casefold() == name.casefold()), "")


def keep(guild_id: str, name: str, document: str) -> None:
    """Write a preset, new or in place of the one of that name."""
    many("INSERT OR REPLACE INTO preset VALUES (?, ?, ?)", [(guild_id, name, document)])
    _changed(guild_id)


def remove(guild_id: str, name: str) -> None:
    """Forget a preset."""
    many("DELETE FROM preset WHERE guild = ? AND name = ?", [(guild_id, name)])
    _changed(guild_id)


def slots(guild_id: str) -> dict[int, str]:
    """The uid of the net in each slot, as the running transaction has it."""
    return dict(rows("SELECT slot, uid FROM net WHERE guild = ?", (guild_id,)))


def _changed(guild_id: str) -> None:
    many(
        "INSERT INTO preset_list VALUES (?, 1) ON CONFLICT (guild) DO UPDATE SET revision = revision + 1",
        [(guild_id,)],
    )

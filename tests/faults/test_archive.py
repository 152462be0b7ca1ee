"""SIGKILL under writers of the archive: every entry that was promised is there, found, and in the journal, once."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import chain

from shardapi.testing import Server

from . import store
from .bots import Bot
from .test_kill import kill_everything, kill_worker

KILLS = {"ci": 3, "soak": 60}


class Archivist(Bot):
    """Creates entries, and changes and removes some of them."""

    def turn(self, turn: int) -> None:
        made = self.write("/archive", {"name": f"word{self.number}x{turn} strike", "tags": ["air"]})
        if made and turn % 2:
            path = f"/archive/{made['entry']['uid']}"
            self.write(path, {"notes": f"note{self.number}x{turn}", "tags": ["sea"]})
        if made and turn % 5 == 0:
            net = self.write("/nets", {"name": f"net{self.number}x{turn}"})
            self.write("/nets/remove", {"netUid": net.get("netUid")})


def promised(done: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries as the writers were told last."""
    return {one["entry"]["uid"]: one["entry"] for one in done if one.get("entry")}


def test_killed_under_writes_the_archive_its_index_and_its_journal_agree(
    start_shard: Callable[..., Server], size: str, figure: Callable[[str, float, str], None]
) -> None:
    server = start_shard(env={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"})
    bots, ended, chance = (
        [Archivist(server, number) for number in (1, 2, 3)],
        threading.Event(),
        random.Random(4),
    )
    threads = [threading.Thread(target=bot.work, args=(ended,)) for bot in bots]
    server.key()
    for thread in threads:
        thread.start()
    try:
        for turn in range(KILLS[size]):
            time.sleep(chance.uniform(0.1, 0.6))  # into another moment of the load each time
            (kill_worker if turn % 3 else kill_everything)(server)
        time.sleep(0.2)
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
    done = [one for bot in bots for one in bot.done]
    entries = promised(done)
    assert not [line for bot in bots for line in bot.broken]
    figure("archive-kill.acknowledged-writes", len(done), f">= {10 * KILLS[size]}")
    check_answers(server, entries)
    guild = server.get("/status").json()["guildId"]
    server.stop()
    check_store(server, guild, entries, figure)
    told = [one for one in done if one["changed"] and one.get("entry")]
    figure(
        "archive-kill.operations", chain.operations(server.data_dir, guild)[-1]["version"], f"== {len(told)}"
    )


def check_answers(server: Server, entries: dict[str, dict[str, Any]]) -> None:
    """Each entry is as it was promised, and the searches find all that they must and no other."""
    assert listed(server, "") == entries
    for tag in ("air", "sea"):
        tagged = {uid: one for uid, one in entries.items() if one["tags"] == [tag]}
        assert listed(server, f"q=str&tag={tag}") == tagged
    uid, one = max(entries.items())
    assert server.get(f"/archive/{uid}").json()["entry"] == one


def listed(server: Server, query: str) -> dict[str, dict[str, Any]]:
    """The entries of every page."""
    found: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        page = server.get(f"/archive?limit=500&cursor={cursor}&{query}").json()
        found |= {one["uid"]: one for one in page["entries"]}
        cursor = page["nextCursor"]
        if not cursor:
            return found


def check_store(
    server: Server,
    guild: str,
    entries: dict[str, dict[str, Any]],
    figure: Callable[[str, float, str], None],
) -> None:
    """The chain holds, what it ends with is what is there, and the index agrees."""
    last = {one["uid"]: one["entry"] for one in chain.operations(server.data_dir, guild)}
    figure(
        "archive-kill.operations-of-others", sum(entries.get(uid) != one for uid, one in last.items()), "== 0"
    )
    chain.checkpoint(server.data_dir, guild)
    figure("archive-kill.store-whole", store.whole(server.data_dir), "== 1")
    with closing(sqlite3.connect(server.data_dir / "shard.sqlite3")) as db:
        db.execute("INSERT INTO archive_search (archive_search, rank) VALUES ('integrity-check', 1)")

"""The catalogue and its journal: the chain that others can check, its checkpoints, and how far back it goes."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import chain
import gevent
import msgspec
import pytest
from faults import store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shardapi import ShardApp, catalogue, clock, journal, shard
from shardapi.catalogue import Entry
from shardapi.commands import Archived, CreateNet, RemoveNet
from shardapi.store import Store, database

NOW = 1_795_203_041_123
TEXT = st.text(max_size=30)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
MIGRATIONS = Path(shard.__file__).with_name("migrations")
ENTRIES = st.builds(
    Entry,
    uid=st.sampled_from([f"net_{letter}" for letter in "abcdef"]),
    name=TEXT,
    notes=TEXT,
    tags=TEXTS,
    assigned_user_ids=TEXTS,
    relay_target_net_uids=TEXTS,
    inbound_relay_from_net_uids=TEXTS,
    created_at=st.integers(1, 2**41).map(clock.iso),
    archived_at=st.integers(1, 2**41).map(clock.iso),
    updated_at=st.integers(1, 2**41).map(clock.iso),
    source=TEXT,
)


def entry(number: int = 1, **members: Any) -> Entry:
    """An entry that has something to say."""
    return replace(catalogue.blank(f"net_{number}", NOW, "api"), name=f"Net {number}", **members)


def archived(uid: str = "net_1", **members: Any) -> Archived:
    """A net that was removed."""
    given: dict[str, Any] = {
        "name": "Strike",
        "assigned_user_ids": ("7",),
        "relay_target_net_uids": ("net_2",),
        "inbound_relay_from_net_uids": ("net_3",),
    }
    return Archived(uid=uid, **{**given, **members})


def write(app: ShardApp, fn: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of the catalogue's for the guild of this app, in a write."""
    return app.shard.writer.write(lambda: fn(app.shard.guild_id, *arguments))


def read(app: ShardApp, fn: Callable[..., Any], *arguments: Any) -> Any:
    """The same in a read."""
    return app.shard.store.read(lambda: fn(app.shard.guild_id, *arguments))


def operations(app: ShardApp) -> list[dict[str, Any]]:
    """The journal, checked."""
    return chain.operations(app.shard.store.folder, app.shard.guild_id)


def in_pages(app: ShardApp, count: int, first: int = 1) -> None:
    """Put many small entries into the catalogue."""
    for start in range(first, first + count, 500):
        many = [entry(number) for number in range(start, min(start + 500, first + count))]
        write(app, catalogue.load, many, NOW)


# -- entries


def test_an_entry_is_read_as_it_was_written(app: ShardApp) -> None:
    one = entry(notes='a\n"b" \x00 é 🛰', tags=("a b", '"', "\\"), assigned_user_ids=("1", "2"))
    write(app, catalogue.save, [one], NOW)
    assert read(app, catalogue.find, "net_1") == one
    assert read(app, catalogue.find, "net_2") is None


def test_a_net_that_is_removed_leaves_its_entry_and_an_operation_together(app: ShardApp) -> None:
    app.shard.central.submit([CreateNet(uid="net_1", name="Strike")])
    app.shard.central.submit([RemoveNet(uid="net_1")])
    kept = read(app, catalogue.find, "net_1")
    (operation,) = operations(app)
    assert (operation["action"], operation["uid"]) == ("archive", "net_1")
    assert operation["entry"]["name"] == kept.name == "Strike"


def test_an_entry_archived_again_keeps_its_notes_tags_and_beginning(app: ShardApp) -> None:
    write(app, catalogue.save, [entry(notes="Two ships", tags=("air",))], NOW)
    write(app, catalogue.archive, archived(), NOW + 5000)
    kept = read(app, catalogue.find, "net_1")
    assert (kept.notes, kept.tags, kept.created_at) == ("Two ships", ("air",), clock.iso(NOW))
    assert (kept.name, kept.source, kept.archived_at) == ("Strike", "removed", clock.iso(NOW + 5000))
    assert kept == read(app, catalogue.preview, archived(), NOW + 5000)


def test_what_is_removed_is_gone_and_told_as_such(app: ShardApp) -> None:
    write(app, catalogue.save, [entry()], NOW)
    assert write(app, catalogue.remove, "net_1", NOW + 1) is True
    assert read(app, catalogue.find, "net_1") is None
    assert operations(app)[1] == {
        "action": "remove",
        "at": clock.iso(NOW + 1),
        "entry": None,
        "uid": "net_1",
        "version": 2,
    }
    assert write(app, catalogue.remove, "net_1", NOW + 2) is False
    assert len(operations(app)) == 2


def test_loading_writes_what_is_new_or_different_and_nothing_else(app: ShardApp) -> None:
    many = [entry(number, created_at=clock.iso(number)) for number in range(1, 11)]
    assert write(app, catalogue.load, many, NOW) == 10
    assert write(app, catalogue.load, many, NOW) == 0
    many[3] = replace(many[3], notes="other")
    assert write(app, catalogue.load, many, NOW) == 1
    assert [one["uid"] for one in operations(app)] == [*(one.uid for one in many), "net_4"]
    assert [read(app, catalogue.find, one.uid) for one in many] == many
    assert write(app, catalogue.load, [], NOW) == 0


def test_an_entry_keeps_its_place_when_it_is_written_again(app: ShardApp) -> None:
    in_pages(app, 3)
    write(app, catalogue.save, [entry(1, notes="again")], NOW)
    write(app, catalogue.archive, archived("net_2"), NOW)
    places = store.rows(app.shard.store.folder, "SELECT uid FROM catalogue ORDER BY id")
    assert [uid for (uid,) in places] == ["net_1", "net_2", "net_3"]


def test_two_guilds_have_a_catalogue_and_a_journal_each(
    make_app: Callable[..., ShardApp],
) -> None:
    one, other = make_app(GUILD__ID="1"), make_app(GUILD__ID="2")
    write(one, catalogue.save, [entry()], NOW)
    write(other, catalogue.save, [entry(notes="Mine"), entry(2)], NOW)
    assert read(one, catalogue.find, "net_1").notes == "" and read(one, catalogue.find, "net_2") is None
    assert write(one, catalogue.remove, "net_2", NOW) is False
    assert [one["version"] for one in operations(one)] == [1]
    assert [one["version"] for one in operations(other)] == [1, 2]
    one.shard.writer.write(one.shard.central.checkpoint)
    assert (read(one, journal.head).pending, read(other, journal.head).pending) == (0, 2)


# -- the chain


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(ENTRIES, st.booleans()), max_size=6))
def test_anybody_can_check_the_chain_whatever_the_entries_say(
    app: ShardApp, steps: list[tuple[Entry, bool]]
) -> None:
    before = len(operations(app))
    expected = []
    for one, stays in steps:
        write(app, catalogue.save, [one], NOW)
        expected.append(one.name)
        if not stays:
            write(app, catalogue.remove, one.uid, NOW)
            expected.append(None)
    added = operations(app)[before:]
    assert [one["entry"] and one["entry"]["name"] for one in added] == expected


def test_a_tag_that_stands_twice_is_one_tag(app: ShardApp) -> None:
    for tags in (("a", "a"), ("b", "a", "b")):
        write(app, catalogue.save, [entry(tags=tags)], NOW)
    with closing(sqlite3.connect(app.shard.store.path)) as db:
        assert sorted(db.execute("SELECT tag FROM archive_tag")) == [("a",), ("b",)]


def test_the_check_finds_what_was_changed_afterwards(app: ShardApp) -> None:
    in_pages(app, 3)
    with closing(sqlite3.connect(app.shard.store.path)) as db, db:
        ((text,),) = db.execute("SELECT operation FROM catalogue_change WHERE version = 2")
        forged = text.replace(b"Net 2", b"Net 9")
        assert forged != text
        db.execute("UPDATE catalogue_change SET operation = ? WHERE version = 2", (forged,))
    with pytest.raises(AssertionError, match="breaks at 2"):
        operations(app)


def test_a_write_that_is_taken_back_leaves_no_operation(app: ShardApp) -> None:
    def fail(guild_id: str) -> None:
        catalogue.save(guild_id, [entry()], NOW)
        catalogue.remove(guild_id, "net_1", NOW)
        raise KeyError

    with pytest.raises(KeyError):
        write(app, fail)
    write(app, catalogue.save, [entry(2)], NOW)
    assert [one["uid"] for one in operations(app)] == ["net_2"]


def test_a_journal_from_before_the_chain_is_chained(tmp_path: Path) -> None:
    before, kept = tmp_path / "before", [entry(1), entry(2, notes="ä", tags=("x",))]
    before.mkdir()
    for step in sorted(MIGRATIONS.glob("0*.py"))[:3]:
        shutil.copy(step, before)
    folder = tmp_path / "data"
    folder.mkdir()
    opened = Store(folder)
    try:
        opened.migrate("core", before)
        for guild in ("1", "2"):
            for one in kept:
                row = (guild, one.uid, "archive", NOW, msgspec.json.encode(one))
                opened.execute(
                    lambda row=row: database.execute_sql(
                        "INSERT INTO catalogue_change (guild, uid, action, at, entry) VALUES (?, ?, ?, ?, ?)",
                        row,
                    )
                )
        opened.migrate("core", MIGRATIONS)
    finally:
        opened.close()
    for guild in ("1", "2"):
        found = chain.operations(folder, guild)
        assert [one["entry"]["notes"] for one in found] == ["", "ä"] and found[0]["at"] == clock.iso(NOW)
        assert chain.checkpoint(folder, guild) == (0, bytes(32).hex(), 2)


# -- checkpoints


def test_a_thousand_operations_make_a_checkpoint(app: ShardApp) -> None:
    folder, guild = app.shard.store.folder, app.shard.guild_id
    for number in range(1, 1000):
        write(app, catalogue.save, [entry(number)], NOW)
    assert chain.checkpoint(folder, guild)[::2] == (0, 999)
    write(app, catalogue.save, [entry(1000)], NOW)
    version, digest, pending = chain.checkpoint(folder, guild)
    assert (version, pending) == (1000, 0)
    write(app, catalogue.save, [entry(1001)], NOW)
    assert chain.checkpoint(folder, guild) == (1000, digest, 1)
    head = read(app, journal.head)
    assert (head.checkpoint_hash.hex(), head.checkpoint_at, head.pending) == (digest, NOW, 1)


def test_each_minute_makes_a_checkpoint_of_what_waits(app: ShardApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "HOUSEKEEPING_SECONDS", 0.01)
    write(app, catalogue.save, [entry()], NOW)
    housekeeping = gevent.spawn(app.shard._keep_house)
    try:
        with gevent.Timeout(10):
            while read(app, journal.head).pending:
                gevent.sleep(0.005)
    finally:
        housekeeping.kill()
    assert read(app, journal.head).checkpoint_version == 1
    assert abs(read(app, journal.head).checkpoint_at - clock.now()) < 60_000


def test_nothing_to_take_leaves_the_checkpoint_as_it_is(app: ShardApp) -> None:
    app.shard.writer.write(app.shard.central.checkpoint)
    assert read(app, journal.head) == journal.Head()
    write(app, catalogue.save, [entry()], NOW)
    app.shard.writer.write(app.shard.central.checkpoint)
    first = read(app, journal.head)
    app.shard.writer.write(app.shard.central.checkpoint)
    assert read(app, journal.head) == first


def test_operations_long_before_the_checkpoint_are_forgotten(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEPT_OPERATIONS", 1500)
    in_pages(app, 4600)
    versions = [one["version"] for one in operations(app)]
    version, _, pending = chain.checkpoint(app.shard.store.folder, app.shard.guild_id)
    assert (version, pending) == (4000, 600)
    assert versions == list(range(version - 1500 + 1, 4601))


def test_what_waits_for_a_checkpoint_is_never_forgotten(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEPT_OPERATIONS", 0)
    in_pages(app, 1000)
    assert operations(app) == []
    in_pages(app, 7, first=1001)
    assert [one["version"] for one in operations(app)] == list(range(1001, 1008))


def test_the_journal_is_kept_without_the_archive_plugin(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(PLUGINS__ENABLED="nets,status")
    app.shard.central.submit([CreateNet(uid="net_1", name="Strike")])
    app.shard.central.submit([RemoveNet(uid="net_1")])
    app.shard.writer.write(app.shard.central.checkpoint)
    assert chain.checkpoint(app.shard.store.folder, app.shard.guild_id)[::2] == (1, 0)
    assert operations(app)[0]["action"] == "archive"


@pytest.mark.parametrize("at", [0, 1, 999, NOW, NOW + 1, 2**42 + 7])
def test_a_time_is_read_as_it_is_written(at: int) -> None:
    assert clock.ms(clock.iso(at)) == at


@pytest.mark.parametrize("text", ["2026-11-20T19:30", "2026-11-20T19:30:00.000Z", "2026-11-20T21:30+02:00"])
def test_a_time_without_a_zone_is_utc_wherever_the_shard_is(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.ms.cache_clear()
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert clock.iso(clock.ms(text)) == "2026-11-20T19:30:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()
        clock.ms.cache_clear()

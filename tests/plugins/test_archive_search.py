"""GET /archive: words by their beginnings, tags exactly, pages that neither skip nor repeat, an index never off."""

import random
import string
import time
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import gevent
import pytest
from apps import API, client_of, problem, said
from faults import store as disk
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shardapi import ShardApp, catalogue, clock, create_app
from shardapi.catalogue import Entry
from shardapi.commands import Archived
from shardapi.config import load
from shardapi.store import one
from shardapi_archive import search
from shardapi_archive.words import TOKENIZE, words

ARCHIVE = f"{API}/archive"
NOW = 1_795_203_041_123


class Archive(NamedTuple):
    """An app's archive, seen past the API too."""

    app: ShardApp
    client: FlaskClient

    def put(self, *entries: Entry) -> None:
        """Write entries in this order."""
        guild = self.app.shard.guild_id
        for start in range(0, len(entries), 1000):
            some = entries[start : start + 1000]
            self.app.shard.writer.write(lambda some=some: catalogue.load(guild, some, NOW))

    def drop(self, *uids: str) -> None:
        """Remove entries."""
        guild = self.app.shard.guild_id
        for uid in uids:
            self.app.shard.writer.write(lambda uid=uid: catalogue.remove(guild, uid, NOW))

    def clear(self) -> None:
        """Remove all entries."""
        self.app.shard.writer.write(lambda: one("DELETE FROM catalogue"))

    def page(self, q: str = "", *tags: str, **more: Any) -> dict[str, Any]:
        """What a search answers."""
        asked = {"q": q, "tag": list(tags), **more}
        return said(self.client.get(ARCHIVE, query_string=asked))

    def found(self, q: str = "", *tags: str) -> list[str]:
        """The uids a search finds, the number after net_ alone."""
        answer = self.page(q, *tags, limit=500)
        assert (answer["total"], answer["totalIsExact"]) == (len(answer["entries"]), True)
        return [one["uid"].removeprefix("net_") for one in answer["entries"]]

    def pages(self, q: str = "", *tags: str, limit: int = 2) -> Iterator[list[str]]:
        """The uids of page after page."""
        cursor = ""
        while True:
            answer = self.page(q, *tags, limit=limit, cursor=cursor)
            yield [one["uid"].removeprefix("net_") for one in answer["entries"]]
            cursor = answer["nextCursor"]
            if not cursor:
                return

    def check_index(self) -> None:
        """The index and the list of tags must be what the entries say."""

        def check() -> None:
            one("INSERT INTO archive_search (archive_search, rank) VALUES ('integrity-check', 1)")

        self.app.shard.writer.write(check)
        folder = self.app.shard.store.folder
        told = disk.rows(folder, "SELECT guild, tag, id FROM archive_tag ORDER BY guild, tag, id")
        true = disk.rows(
            folder,
            "SELECT DISTINCT guild, value, c.id FROM catalogue c, json_each(c.tags) ORDER BY guild, value, c.id",
        )
        assert told == true


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive that the tests of this module share."""
    folder = str(tmp_path_factory.mktemp("archive"))
    app = create_app(load(environ={"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}, data_dir=folder))
    yield Archive(app, client_of(app))
    app.shard.close()


@pytest.fixture
def archive(shared: Archive) -> Iterator[Archive]:
    """The archive, empty."""
    shared.clear()
    yield shared
    shared.check_index()


def entry(number: int, name: str = "Net", notes: str = "", tags: tuple[str, ...] = ()) -> Entry:
    """An entry with words to find."""
    return replace(catalogue.blank(f"net_{number}", NOW, "api"), name=name, notes=notes, tags=tags)


# -- words


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("strike", ["4", "1"]),
        ("STRIKE", ["4", "1"]),
        ("s", ["4", "3", "2", "1"]),
        ("str", ["4", "3", "1"]),
        ("strikes", ["4"]),
        ("strikers", []),
        ("trike", []),
        ("strike air", ["1"]),
        ("air strike", ["1"]),
        ("a str", ["1"]),
        ("strike strike", ["4", "1"]),
        ("escort conv", ["2"]),  # one in the notes, one among the tags
        ("ecole", ["3"]),
        ("École", ["3"]),
        ("e\u0301cole", ["3"]),
        ("grosse", []),
        ("große", ["3"]),
        ("日本", ["4"]),
        ("日", ["4"]),
        ("42", ["2"]),
        ("night-owl", ["2"]),
        ("owl night", ["2"]),
        ("owl_n", ["2"]),
        ("two\tships", ["2"]),
        ("assigned", []),
        ("net", []),
    ],
)
def test_words_are_found_by_their_beginnings_wherever_they_stand(
    shared: Archive, q: str, found: list[str]
) -> None:
    shared.clear()
    shared.put(
        entry(1, "Air Strike", "seen"),
        entry(2, "Wing 42", "Convoy, two ships (night/owl)", ("escort duty",)),
        entry(3, "École", "Straße? Große Sache"),
        entry(4, "Strikes", "日本語 S"),
    )
    assert shared.found(q) == found


def test_other_members_are_not_searched(archive: Archive) -> None:
    archive.put(replace(entry(1), assigned_user_ids=("findme",), relay_target_net_uids=("net_findme",)))
    assert archive.found("findme") == [] and archive.found("api") == []


@pytest.mark.parametrize("parameter", ["q", "search"])
def test_the_query_has_two_names(archive: Archive, parameter: str) -> None:
    archive.put(entry(1, "One"), entry(2, "Two"))
    answer = said(archive.client.get(ARCHIVE, query_string={parameter: "tw"}))
    assert [one["uid"] for one in answer["entries"]] == ["net_2"]


def test_of_both_names_the_short_one_wins(archive: Archive) -> None:
    archive.put(entry(1, "One"), entry(2, "Two"))
    both = {"q": "one", "search": "two"}
    assert said(archive.client.get(ARCHIVE, query_string=both))["entries"][0]["uid"] == "net_1"
    empty = {"q": "", "search": "two"}
    assert said(archive.client.get(ARCHIVE, query_string=empty))["entries"][0]["uid"] == "net_2"


@pytest.mark.parametrize(
    "q", ["", " ", "!", '"', "--- ()", "*", "☂ — “”", "\x00", "\u0301", "\ufffd", "' \" `"]
)
def test_a_query_without_a_word_finds_everything(archive: Archive, q: str) -> None:
    archive.put(entry(1, "One"), entry(2, "Two"))
    assert archive.found(q) == ["2", "1"]


@pytest.mark.parametrize(
    "q",
    [
        '"strike',
        'strike"',
        '"air strike"',
        "strike*",
        "*strike",
        "^strike",
        "name:strike",
        "{name notes}: strike",
        "-strike",
        "+strike",
        "strike AND air",
        "air OR strike",
        "NEAR(air strike)",
        "NEAR(air strike, 2)",
        "NOT strike",
        "(air strike",
        "air) strike",
        "air\x00strike",
        "strike; DROP TABLE catalogue; --",
        "' OR 1=1 --",
        "air\\strike",
        "%strike%",
    ],
)
def test_signs_and_operators_are_plain_text(archive: Archive, q: str) -> None:
    text = "air and or not near 2 1 drop table catalogue name notes strike"
    archive.put(entry(1, "Strike", text), entry(2, "Air strike"), entry(3, "Air"))
    plain = "".join(sign if sign.isalnum() else " " for sign in q)
    assert archive.found(q) == archive.found(plain)
    assert "1" in archive.found(q) and "3" not in archive.found(q)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(q=st.text(max_size=256))
@example(q="\x00")
@example(q='"' * 256)
@example(q=" ".join(string.ascii_lowercase + string.digits))
@example(q="".join(chr(0x100 + 7 * one) + " " for one in range(128)))
@example(q="\udfffa")
@example(q="x" * 256)
def test_no_text_is_a_syntax_error(shared: Archive, q: str) -> None:
    raw = "".join(f"%{byte:02X}" for byte in q.encode("utf-8", "surrogatepass"))
    answer = said(shared.client.get(f"{ARCHIVE}?q={raw}&limit=1"))
    assert answer["total"] >= len(answer["entries"])


@pytest.mark.parametrize("raw", ["%ED%A0%80", "%FF%FE", "%C0%AF", "%00", "%F4%90%80%80", "%", "%zz"])
def test_bytes_that_are_no_text_are_no_words(archive: Archive, raw: str) -> None:
    archive.put(entry(1))
    assert said(archive.client.get(f"{ARCHIVE}?q={raw}"))["total"] == (0 if raw == "%zz" else 1)


def test_a_word_of_any_length_is_found(archive: Archive) -> None:
    long = "a" * 8000
    archive.put(entry(1, notes=long), entry(2, notes="a" * 7))
    assert archive.found("a" * 256) == ["1"] and archive.found("a" * 7) == ["2", "1"]


def test_the_words_of_a_query_are_those_of_the_index(shared: Archive) -> None:
    (made,) = disk.rows(
        shared.app.shard.store.folder, "SELECT sql FROM sqlite_master WHERE name = 'archive_search'"
    )
    assert f"tokenize='{TOKENIZE}'" in made[0] and "prefix='1 2 3'" in made[0]


# -- tags


def test_tags_are_exact_and_all_of_them_are_meant(archive: Archive) -> None:
    archive.put(
        entry(1, tags=("air",)),
        entry(2, tags=("air", "sea")),
        entry(3, tags=("Air", "air force")),
        entry(4, tags=("sea air",)),
        entry(5, notes="air sea"),
        entry(6, tags=("🛰", "!")),
        entry(7, tags=("🛰",)),
    )
    for tags, found in (
        (["air"], ["2", "1"]),
        (["Air"], ["3"]),
        (["AIR"], []),
        (["sea", "air"], ["2"]),
        (["air", "sea", "air"], ["2"]),
        (["sea air"], ["4"]),
        (["air force"], ["3"]),
        (["force"], []),
        (["ai"], []),
        (["🛰"], ["7", "6"]),
        (["!", "🛰"], ["6"]),
        (["!", "air"], []),
        (["?"], []),
        ([" air ", ""], ["2", "1"]),
        ([""], ["7", "6", "5", "4", "3", "2", "1"]),
    ):
        assert archive.found("", *tags) == found, tags


def test_tags_and_words_are_meant_together(archive: Archive) -> None:
    archive.put(
        entry(1, "Strike", tags=("air",)),
        entry(2, "Strike", tags=("sea",)),
        entry(3, "Wing", tags=("air",)),
        entry(4, "Strike", tags=("🛰",)),
        entry(5, "Strike", "air"),
    )
    assert archive.found("str", "air") == ["1"] and archive.found("air", "air") == ["3", "1"]
    assert archive.found("str", "🛰") == ["4"] and archive.found("!", "air") == ["3", "1"]
    assert archive.found("str", "air", "sea") == []


def test_a_tag_follows_its_entry(archive: Archive) -> None:
    archive.put(entry(1, tags=("air", "sea")))
    archive.put(entry(1, tags=("sea", "land")))
    assert (archive.found("", "air"), archive.found("", "land")) == ([], ["1"])
    assert (archive.found("ai"), archive.found("lan")) == ([], ["1"])
    archive.drop("net_1")
    assert archive.found("", "sea") == archive.found("sea") == archive.found() == []


# -- bad input


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ("q=" + "q" * 257, "q"),
        ("search=" + "q" * 257, "search"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=-1", "cursor"),
        ("cursor=1%0A", "cursor"),
        ("cursor=9999999999999999999", "cursor"),
        ("cursor=%D9%A1", "cursor"),
        ("tag=" + "t" * 41, "tag[0]"),
        ("&".join(f"tag={one}" for one in range(33)), "tag"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused(shared: Archive, asked: str, where: str) -> None:
    refused = problem(shared.client.get(f"{ARCHIVE}?{asked}"), "invalid_value")
    assert refused["errors"][0]["path"] == where


@pytest.mark.parametrize(
    "asked", ["limit=500", "cursor=", "cursor=0", "cursor=" + "9" * 18, "q=" + quote("☂" * 256), "sort=name"]
)
def test_a_parameter_within_its_bounds_is_taken(archive: Archive, asked: str) -> None:
    archive.put(entry(1))
    assert said(archive.client.get(f"{ARCHIVE}?{asked}"))["total"] == 1


# -- order, pages, totals


def test_the_newest_entry_comes_first_and_stays_where_it_is(archive: Archive) -> None:
    archive.put(*(entry(number) for number in range(1, 6)))
    archive.put(entry(2, notes="changed"))
    guild = archive.app.shard.guild_id
    again = Archived(
        uid="net_3",
        name="Again",
        assigned_user_ids=(),
        relay_target_net_uids=(),
        inbound_relay_from_net_uids=(),
    )
    archive.app.shard.writer.write(lambda: catalogue.archive(guild, again, clock.now()))
    archive.drop("net_4")
    archive.put(entry(4), entry(6))
    assert archive.found() == ["6", "4", "5", "3", "2", "1"]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100])
def test_a_page_has_fifty_entries_and_says_where_the_next_begins(archive: Archive, count: int) -> None:
    archive.put(*(entry(number) for number in range(count)))
    answer = archive.page("net" if count % 2 else "")
    assert len(answer["entries"]) == min(count, 50) and answer["total"] == count
    assert bool(answer["nextCursor"]) == (count > 50)


@pytest.mark.parametrize("limit", [1, 3, 4, 500])
@pytest.mark.parametrize(
    ("q", "tags"), [("", ()), ("net", ()), ("", ("t",)), ("net", ("t",)), ("", ("t", "u"))]
)
def test_pages_have_every_entry_once(archive: Archive, limit: int, q: str, tags: tuple[str, ...]) -> None:
    archive.put(*(entry(number, tags=("t", "u")) for number in range(8)), entry(8, "Other"))
    seen = [uid for page in archive.pages(q, *tags, limit=limit) for uid in page]
    expected = [str(number) for number in reversed(range(9 if not q and not tags else 8))]
    assert seen == expected


@pytest.mark.parametrize("count", [999, 1000, 1001, 1500])
@pytest.mark.parametrize(
    ("q", "tags"), [("", ()), ("net", ()), ("", ("t",)), ("net", ("t",)), ("", ("t", "u"))]
)
def test_the_total_is_exact_up_to_a_thousand(
    shared: Archive, count: int, q: str, tags: tuple[str, ...]
) -> None:
    known = shared.page(limit=1)["total"]
    if known != count:
        shared.clear()
        shared.put(*(entry(number, tags=("t", "u")) for number in range(count)))
    first = shared.page(q, *tags, limit=10)
    second = shared.page(q, *tags, limit=500, cursor=first["nextCursor"])
    for answer in (first, second):
        assert (answer["total"], answer["totalIsExact"]) == (min(count, 1000), count <= 1000)


def test_a_page_of_very_long_entries_is_shorter(archive: Archive) -> None:
    users = tuple(f"{number:064d}" for number in range(2000))
    archive.put(*(replace(entry(number), assigned_user_ids=users) for number in range(20)))
    sizes = [len(page) for page in archive.pages("net", limit=500)]
    assert sum(sizes) == 20 and 1 < max(sizes) < 10
    assert archive.page(limit=500)["total"] == 20


def test_an_entry_longer_than_a_page_is_a_page(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_BYTES", 10)
    archive.put(*(entry(number, notes="n" * 100) for number in range(3)))
    assert list(archive.pages(limit=500)) == [["2"], ["1"], ["0"]]


STEPS = st.lists(st.tuples(st.sampled_from(["add", "change", "remove"]), st.integers(0, 30)), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.integers(0, 9),
    between=st.lists(STEPS, max_size=8),
    limit=st.integers(1, 4),
    q=st.sampled_from(["", "net", "t"]),
    tags=st.sampled_from([(), ("t",), ("t", "u")]),
)
def test_what_happens_between_pages_neither_repeats_nor_skips(
    shared: Archive,
    before: int,
    between: list[list[tuple[str, int]]],
    limit: int,
    q: str,
    tags: tuple[str, ...],
) -> None:
    shared.clear()
    there = list(range(before))
    shared.put(*(entry(number, tags=("t", "u")) for number in there))
    removed, added, seen = set[int](), before, list[int]()
    pauses = iter(between)
    for page in shared.pages(q, *tags, limit=limit):
        seen += map(int, page)
        for step, number in next(pauses, []):
            match step:
                case "add":
                    shared.put(entry(added, tags=("t", "u")))
                    added += 1
                case "change" if number < before and number not in removed:
                    shared.put(entry(number, notes=f"changed {random.random()}", tags=("u", "t")))
                case "remove" if number < before:
                    shared.drop(f"net_{number}")
                    removed.add(number)
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == len(seen)
    assert set(there) - removed <= set(seen) <= set(there)  # what was added is before the first page


# -- the index


ALPHABET = "abAB éÉ\u0301 ßẞ日本 1²½ _-.,\"'*() \x00\n\t🛰\U0001f977 हिन्दी \u202e"
TEXT = st.text(st.sampled_from(ALPHABET) | st.characters(exclude_categories=["Cs"]), max_size=12)
TAGS = st.lists(
    st.text(st.sampled_from("ab é!🛰"), min_size=1, max_size=4).map(str.strip).filter(bool), max_size=3
)
ENTRY = st.builds(entry, st.integers(0, 9), TEXT, TEXT, TAGS.map(lambda tags: tuple(dict.fromkeys(tags))))


def naive(entries: dict[str, Entry], q: str, tags: tuple[str, ...]) -> set[str]:
    """The search as a reader of the contract would write it; only what a word is, SQLite says."""
    wanted = words(q)
    found = set()
    for uid, kept in entries.items():
        has = [word for text in (kept.name, kept.notes, *kept.tags) for word in words(text)]
        if all(any(word.startswith(begin) for word in has) for begin in wanted) and set(tags) <= {*kept.tags}:
            found.add(uid.removeprefix("net_"))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(ENTRY, st.sampled_from(["keep", "keep", "keep", "remove", "fail"])), max_size=12
    ),
    searches=st.lists(st.tuples(TEXT, TAGS.map(tuple)), min_size=1, max_size=5),
)
def test_the_index_finds_what_a_plain_search_finds(
    shared: Archive, steps: list[tuple[Entry, str]], searches: list[tuple[str, tuple[str, ...]]]
) -> None:
    shared.clear()
    entries: dict[str, Entry] = {}
    for written, then in steps:
        if then == "fail":
            rehearse(shared.app, written)
            continue
        shared.put(written)
        entries[written.uid] = written
        if then == "remove":
            shared.drop(written.uid)
            del entries[written.uid]
    shared.check_index()
    for q, tags in [*searches, *((kept.name, kept.tags) for kept in entries.values())]:
        assert set(shared.found(q, *tags)) == naive(entries, q, tags), (q, tags)


def rehearse(app: ShardApp, one: Entry) -> None:
    """Write and remove an entry, and take it back, as a dry run does."""

    def work() -> None:
        catalogue.save(app.shard.guild_id, [one], NOW)
        catalogue.remove(app.shard.guild_id, "net_0", NOW)
        raise LookupError

    with pytest.raises(LookupError):
        app.shard.writer.write(work)


def test_case_and_accents_do_not_matter_in_latin_letters() -> None:
    odd = []
    for number in range(0x20, 0x180):
        letter = chr(number)
        bare = unicodedata.normalize("NFD", letter)
        if words(letter) != words(bare) or words(letter) != words(letter.lower()):
            odd.append(letter)
    assert set(odd) <= {"İ"}  # its small letter is two


def test_what_was_archived_before_the_plugin_was_enabled_is_found(
    make_app: Callable[..., ShardApp],
) -> None:
    without = "nets,status"
    first = make_app(PLUGINS__ENABLED=without)
    Archive(first, client_of(first)).put(entry(1, "Before", tags=("air",)), entry(2, "Before too"))
    first.shard.close()
    second = make_app()
    archive = Archive(second, client_of(second))
    assert archive.found("befo") == ["2", "1"] and archive.found("", "air") == ["1"]
    archive.put(entry(3, "While", tags=("air",)))
    second.shard.close()
    third = make_app(PLUGINS__ENABLED=without)
    disabled = Archive(third, client_of(third))
    problem(disabled.client.get(ARCHIVE), "not_found")
    disabled.put(entry(1, "Disabled", tags=("sea",)), entry(4, "Disabled too"))
    disabled.drop("net_2")
    third.shard.close()
    fourth = make_app()
    again = Archive(fourth, client_of(fourth))
    assert again.found("disab") == ["4", "1"] and again.found("befo") == []
    assert (again.found("", "air"), again.found("", "sea")) == (["3"], ["1"])
    again.check_index()


def test_searches_leave_the_loop_alone(shared: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.clear()
    shared.put(entry(1, "Slow"))
    turns, inside = 0, list[int]()
    find = search.find

    def slow(*arguments: Any) -> Any:
        before, deadline = turns, time.monotonic() + 10
        while turns < before + 20 and time.monotonic() < deadline:
            pass
        inside.append(turns - before)
        return find(*arguments)

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    monkeypatch.setattr(search, "find", slow)
    turning = gevent.spawn(turn)
    try:
        assert shared.found("slow") == ["1"]
    finally:
        turning.kill()
    assert min(inside) >= 20

"""Keys: how a secret looks, what it opens, and when it ends."""

import hashlib
import re
import string
import threading
import zlib
from collections.abc import Callable

import gevent
import pytest
from apps import API, client_of, client_with, problem, said
from hypothesis import given, settings
from hypothesis import strategies as st

from shardapi import Key, ShardApp, clock
from shardapi.auth import BASE62, BUNDLES, KINDS, SCOPES, bearer, digest, mint_secret, well_formed
from shardapi.errors import ApiError
from shardapi.store import rows
from shardapi.testing import Server

REFERENCE = """
    read:status read:roster read:roster:roles read:assignments read:events read:metrics read:audit
    write:assignments write:nets write:archive write:operation manage:features write:rules write:presets
    write:acars write:clients
""".split()


def test_the_scopes_are_the_sixteen_of_the_reference() -> None:
    assert sorted(SCOPES) == sorted(REFERENCE) and len(SCOPES) == 16
    assert all(SCOPES.values())


@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_bundle_holds_known_scopes_once(bundle: str) -> None:
    assert set(BUNDLES[bundle]) < set(SCOPES) and len(set(BUNDLES[bundle])) == len(BUNDLES[bundle])


# -- secrets


@pytest.mark.parametrize(("kind", "prefix"), [("owner", "scok_"), ("service", "scsk_"), ("shard", "scsh_")])
def test_a_secret_is_its_prefix_thirty_characters_and_their_checksum(kind: str, prefix: str) -> None:
    secret = mint_secret(kind)
    assert KINDS[kind] == prefix
    assert re.fullmatch(prefix + "[0-9A-Za-z]{36}", secret) and well_formed(secret)
    assert len({mint_secret(kind) for _ in range(100)}) == 100


@settings(deadline=None)
@given(st.text(BASE62, min_size=30, max_size=30))
def test_a_leaked_secret_is_told_by_anyones_crc_32(body: str) -> None:
    number, digits = zlib.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[digit] + digits
    assert well_formed(f"scok_{body}{digits:0>6}")


@settings(deadline=None)
@given(st.integers(5, 40), st.sampled_from(BASE62))
def test_one_wrong_character_is_noticed_without_the_store(place: int, letter: str) -> None:
    secret = mint_secret("owner")
    wrong = secret[:place] + letter + secret[place + 1 :]
    assert well_formed(wrong) == (wrong == secret)


@pytest.mark.parametrize("text", ["", "scok_", "scok_" + "a" * 35, "scok_" + "a" * 37, "scxx_" + "a" * 36])
def test_what_has_not_the_form_of_a_secret_is_none(text: str) -> None:
    assert not well_formed(text)


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Basic abc", ""),
        ("abc", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_bearer_header_holds_a_secret(header: str | None, secret: str) -> None:
    assert bearer(header) == secret


# -- keys


def test_only_the_digest_of_a_secret_is_kept(app: ShardApp) -> None:
    key, secret = app.shard.keys.create("bot", ["read:status"])
    (kept,) = app.shard.store.read(lambda: rows("SELECT digest FROM api_key"))
    assert bytes(kept[0]) == digest(secret) == hashlib.sha256(secret.encode()).digest()
    assert re.fullmatch("key_[0-9A-Za-z]{16}", key.id)


def test_a_key_is_found_by_its_secret_and_kind(app: ShardApp) -> None:
    keys = app.shard.keys
    key, secret = keys.create("bot", ["read:status"])
    assert keys.find(secret) == key
    assert keys.find(secret, "service") is None and keys.find("scsk_" + secret[5:], "service") is None
    service, listener = keys.create("radio", [], kind="service")
    assert keys.find(listener, "service") == service and keys.find(listener) is None


def test_a_key_needs_the_scope_it_is_asked_for(app: ShardApp) -> None:
    key, _ = app.shard.keys.create("bot", ["read:status"])
    key.need("read:status")
    with pytest.raises(ApiError, match="read:roster"):
        key.need("read:roster")


def test_roles_alone_open_nothing(app: ShardApp) -> None:
    problem(client_of(app, "read:roster:roles").get(f"{API}/roster"), "missing_scope")


def test_each_guild_has_keys_of_its_own(app: ShardApp, make_app: Callable[..., ShardApp]) -> None:
    other = make_app(GUILD__ID="42")
    _, secret = app.shard.keys.create("bot", ["read:status"])
    assert app.shard.keys.find(secret) and other.shard.keys.find(secret) is None
    assert len(app.shard.keys.all()) == 1 and other.shard.keys.all() == []


def test_a_key_made_by_another_process_works_on_its_first_use(
    app: ShardApp, make_app: Callable[..., ShardApp]
) -> None:
    _, secret = make_app().shard.keys.create("bot", ["read:status"])
    said(client_with(app, secret).get(f"{API}/status"))


def test_a_revoked_key_opens_nothing_and_is_told_once(app: ShardApp) -> None:
    keys, told = app.shard.keys, list[Key]()
    keys.on_ended.append(told.append)
    key, secret = keys.create("bot", ["read:status"], expires_at=clock.now() + 60_000)
    client = client_with(app, secret)
    said(client.get(f"{API}/status"))
    assert keys.revoke(key.id) and not keys.revoke(key.id) and not keys.revoke("key_none")
    problem(client.get(f"{API}/status"), "unauthorized")
    keys.reload()
    keys.expire(clock.now() + 61_000)
    assert [one.id for one in told] == [key.id]


def test_a_key_that_was_never_used_here_ends_without_being_told(app: ShardApp) -> None:
    keys, told = app.shard.keys, list[Key]()
    keys.on_ended.append(told.append)
    key, secret = keys.create("bot", ["read:status"])
    keys.revoke(key.id)
    assert keys.find(secret) is None and told == []


def test_a_key_ends_at_its_time(app: ShardApp, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, told, now = app.shard.keys, list[Key](), clock.now()
    keys.on_ended.append(told.append)
    key, secret = keys.create("bot", ["read:status"], expires_at=now + 60_000)
    monkeypatch.setattr(clock, "now", lambda: now + 59_999)
    assert keys.find(secret) == key
    keys.expire(now + 59_999)
    assert told == []
    monkeypatch.setattr(clock, "now", lambda: now + 60_000)
    assert keys.find(secret) is None
    keys.expire(now + 60_000)
    assert told == [key]


def test_a_revocation_by_another_process_acts_within_a_second(
    app: ShardApp, make_app: Callable[..., ShardApp], size: str
) -> None:
    key, secret = app.shard.keys.create("bot", ["read:status"])
    assert app.shard.keys.find(secret)
    make_app().shard.keys.revoke(key.id)
    with gevent.Timeout({"ci": 10, "soak": 1}[size]):
        while app.shard.keys.find(secret):
            gevent.sleep(0.01)


def test_last_use_is_kept_once_a_minute(app: ShardApp, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, now = app.shard.keys, clock.now()
    _, secret = keys.create("bot", ["read:status"])
    for passed, kept in ((0, 0), (30_000, 0), (70_000, 70_000)):
        monkeypatch.setattr(clock, "now", lambda passed=passed: now + passed)
        keys.find(secret)
        app.shard.audit.flush()
        (key,) = keys.all()
        assert key.last_used_at == now + kept
    keys.reload()
    assert keys.find(secret) == key


def test_a_key_revoked_from_the_command_line_ends_under_load_within_a_second(
    start_shard: Callable[..., Server], size: str
) -> None:
    server = start_shard(env={"SHARDAPI_LIMITS__DEFAULT": "100000/minute"})
    writer = server.key()
    made = server.command("keys", "create", "bot", "--scope", "read:status")
    assert server.get("/status", key=made["secret"]).status_code == 200
    over = threading.Event()

    def write() -> None:
        flag = False
        while not over.is_set():
            flag = not flag
            assert server.post("/operation", {"open": flag}, key=writer).status_code == 200

    load = threading.Thread(target=write)
    load.start()
    try:
        server.command("keys", "revoke", made["id"])
        server.wait(
            lambda: server.get("/status", key=made["secret"]).status_code == 401,
            "the key to end",
            seconds={"ci": 10, "soak": 1}[size],
        )
    finally:
        over.set()
        load.join()

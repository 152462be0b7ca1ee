"""Central: what it decides, previews, signs, and ends by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apps import join
from histories import NOW, batch_for, histories
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from shardapi import ShardApp, clock, create_app
from shardapi.central import Outcome, Refused, decide, mint_uid
from shardapi.commands import Assign, Change, Command, CreateNet, RemoveNet, SetOperation
from shardapi.config import ConfigError, load
from shardapi.errors import CONFLICT, ApiError
from shardapi.events import ConfigChanged, Event
from shardapi.guild import Guild
from shardapi.presets import ApplyPreset, PresetNet, PresetRule, PresetSeat
from shardapi.shard import Shard
from shardapi.store import one
from shardapi.tokens import BadToken, ExpiredToken

EMPTY = Guild(id="1")


# -- decisions


def test_an_atomic_batch_is_refused_as_a_whole_with_every_result() -> None:
    batch: list[Command] = [CreateNet(uid="net_a", name="A"), RemoveNet(slot=250), RemoveNet(uid="net_x")]
    with pytest.raises(Refused) as caught:
        decide(EMPTY, batch, True, None, NOW)
    assert caught.value.kind.code == "net_protected"  # the first
    assert [isinstance(result, Change) for result in caught.value.results] == [True, False, False]


def test_the_others_of_a_batch_that_is_not_atomic_are_done() -> None:
    batch: list[Command] = [RemoveNet(uid="net_x"), CreateNet(uid="net_a", name="A"), SetOperation(open=True)]
    outcome = decide(EMPTY, batch, False, None, NOW)
    assert outcome.guild.operation_open and list(outcome.guild.nets) == ["net_a"]
    assert (outcome.version, outcome.guild.updated_at) == (1, NOW)


def test_a_precondition_is_asked_once_about_the_version_before() -> None:
    asked: list[int] = []

    def matches(version: int) -> bool:
        asked.append(version)
        return False

    with pytest.raises(ApiError) as caught:
        decide(replace(EMPTY, version=7), [RemoveNet(uid="x"), SetOperation(open=True)], True, matches, NOW)
    assert caught.value.kind.code == "precondition_failed" and asked == [7]


def test_no_commands_change_nothing() -> None:
    assert decide(EMPTY, [], True, None, NOW) == Outcome(EMPTY, False, [], [])


def test_a_minted_uid_is_new_each_time() -> None:
    assert len({mint_uid() for _ in range(1000)}) == 1000


# -- preview and submit


def outcome_of(call: Callable[..., Any], batch: list[Command], atomic: bool) -> Any:
    try:
        return call(batch, atomic=atomic)
    except Refused as refused:
        return refused


def told(result: Change | ApiError) -> Any:
    """What a result says but for the guild it led to."""
    if isinstance(result, ApiError):
        return result.kind, result.detail, result.hint
    return replace(result, guild=EMPTY)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_a_preview_says_what_a_submit_does_and_does_nothing(app: ShardApp, history: list[int]) -> None:
    central, shard = app.shard.central, app.shard
    for seed in history:
        batch, atomic = batch_for(central.guild, seed)
        before, newest = central.guild, shard.events.newest
        previewed = outcome_of(central.preview, batch, atomic)
        assert central.guild is before and shard.events.newest == newest
        submitted = outcome_of(central.submit, batch, atomic)
        assert type(previewed) is type(submitted)
        assert list(map(told, previewed.results)) == list(map(told, submitted.results))
        if isinstance(submitted, Outcome):
            assert previewed.changed == submitted.changed and previewed.version == before.version
            same = {"version": 0, "updated_at": 0}
            assert replace(previewed.guild, **same) == replace(submitted.guild, **same)


# -- temporary assignments


@pytest.fixture
def shard(app: ShardApp) -> Shard:
    """A shard with one net."""
    app.shard.central.submit([CreateNet(uid="net_a", name="A")])
    return app.shard


def test_an_end_that_cannot_be_written_is_over_all_the_same_and_written_later(
    app: ShardApp, shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    shard.central.submit([Assign(uid="net_a", user_id="1", until=now + 1000)])
    operator = join(app, "1")
    assert shard.presence.occupancy("net_a") == 1
    monkeypatch.setattr(clock, "now", lambda: now + 1000)
    shard.store.execute(lambda: one("PRAGMA query_only = 1"))
    shard.central.end_due()
    assert shard.guild.members and shard.presence.occupancy("net_a") == 0
    assert operator.last("config")["assignments"] == []
    shard.store.execute(lambda: one("PRAGMA query_only = 0"))
    shard.central.end_due()
    assert not shard.guild.members


def test_ends_that_fall_together_are_one_submit(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    for user in ("1", "2", "3"):
        shard.central.submit([Assign(uid="net_a", user_id=user, until=now + 1000)])
    version = shard.guild.version
    monkeypatch.setattr(clock, "now", lambda: now + 2000)
    shard.central.end_due()
    assert not shard.guild.members and shard.guild.version == version + 1


def test_an_end_on_a_net_that_is_gone_is_nothing(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    shard.central.submit([Assign(uid="net_a", user_id="1", until=now + 1000)])
    shard.central.submit([RemoveNet(uid="net_a")])
    version = shard.guild.version
    monkeypatch.setattr(clock, "now", lambda: now + 2000)
    shard.central.end_due()
    assert shard.guild.version == version


# -- operators


def test_a_token_says_who_someone_is(shard: Shard) -> None:
    identity = shard.central.operator(shard.central.operator_token("9007199254740993", "Änne", ["10", "11"]))
    assert identity is not None
    assert (identity.user_id, identity.display_name, identity.roles) == (
        "9007199254740993",
        "Änne",
        ("10", "11"),
    )
    assert not identity.service


def test_a_token_of_another_guild_stands_for_nobody(shard: Shard, make_app: Callable[..., ShardApp]) -> None:
    token = make_app(GUILD__ID="42").shard.central.operator_token("1", "Ann")
    assert shard.central.operator(token) is None  # signed with the same secret: one data folder


def test_a_token_of_another_shard_is_bad(
    shard: Shard, make_app: Callable[..., ShardApp], tmp_path_factory: pytest.TempPathFactory
) -> None:
    token = make_app(tmp_path_factory.mktemp("other")).shard.central.operator_token("1", "Ann")
    with pytest.raises(BadToken):
        shard.central.operator(token)


def test_a_token_ends_after_its_days(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    now, token = clock.now(), shard.central.operator_token("1", "Ann", expires_days=2)
    monkeypatch.setattr(clock, "now", lambda: now + 2 * 86_400_000)
    assert shard.central.operator(token)
    monkeypatch.setattr(clock, "now", lambda: now + 2 * 86_400_000 + 62_000)
    with pytest.raises(ExpiredToken):
        shard.central.operator(token)


@pytest.mark.parametrize("payload", [{}, {"userId": 1}, {"userId": "1", "displayName": "A", "guildId": 5}])
def test_a_signed_token_that_does_not_say_who_is_bad(shard: Shard, payload: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        shard.central.operator(shard.tokens.sign("operator", payload))


def test_the_ceiling_of_central_counts_on_a_shard_that_had_more(tmp_path: Path) -> None:
    def opened(most: int) -> ShardApp:
        environ = {"SHARDAPI_CENTRAL__MAX_NETS": str(most)}
        return create_app(load(environ=environ, data_dir=str(tmp_path / "data")))

    app = opened(50)
    app.shard.central.submit([CreateNet(uid=mint_uid(), name=f"Net {number}") for number in range(3)])
    app.shard.close()
    app = opened(3)
    with pytest.raises(ApiError, match="All 3 slots"):
        app.shard.central.submit([CreateNet(uid=mint_uid(), name="One too many")])
    app.shard.close()


def test_an_empty_signing_secret_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "signing.secret").write_text("")
    with pytest.raises(ConfigError, match=r"signing\.secret is empty"):
        create_app(load(environ={}, data_dir=str(tmp_path)))


def test_a_stop_that_was_not_forced_after_all_is_logged_before_the_leave_that_followed_it(
    app: ShardApp,
) -> None:
    shard = app.shard
    uid = mint_uid()
    shard.central.submit([CreateNet(uid=uid, name="Strike"), SetOperation(open=True)])
    shard.central.submit([Assign(uid=uid, user_id="1")])
    connection = join(app, "1")
    shard.presence.key_up(connection, uid)
    shard.writer.append(())
    since = shard.events.newest
    chosen = shard.presence.force(replace(shard.guild, operation_open=False))
    shard.presence.leave(connection, "closed")
    shard.presence.release(chosen)
    shard.writer.append(())
    assert [event.type for event in shard.events.page(since, 2**62)] == ["ptt.stop", "user.left"]


def test_rules_that_a_preset_brings_are_told_with_it(app: ShardApp) -> None:
    operator, since, uid = join(app, "1", "10"), app.shard.events.newest, mint_uid()
    preset = ApplyPreset(
        preset="Friday",
        nets=(PresetNet(name="Strike", spare=uid),),
        rules=(PresetRule(role_id="10", nets=(0,)),),
        seats=(PresetSeat(user_id="2", net=0),),
    )
    app.shard.central.submit([preset])
    events = [one.envelope for one in app.shard.events.page(since, 2**62)]
    told = [one["data"]["source"] for one in events if one["type"] == "assignments.changed"]
    assert told == ["preset"] and operator.last("config")["assignments"] == [1]


def test_what_is_recorded_and_told_with_commands_is_true_with_them_or_not_at_all(shard: Shard) -> None:
    def refuse(outcome: Outcome) -> None:
        raise CONFLICT("Too late.")

    def tell(outcome: Outcome) -> list[Event]:
        return [Event("config.changed", ConfigChanged(action="tea", version=outcome.version))]

    since, opening, nets = shard.events.newest, [SetOperation(open=True)], shard.guild.nets
    assert shard.central.submit(opening, record=lambda outcome: outcome.changed, tell=tell) is True
    told = shard.events.page(since, 2**62)
    assert [one.type for one in told] == ["operation.opened", "config.changed"]
    assert told[1].envelope["data"]["version"] == shard.guild.version
    with pytest.raises(ApiError, match="Too late"):
        shard.central.submit([CreateNet(uid=mint_uid(), name="Late")], record=refuse, tell=tell)
    assert len(shard.events.page(since, 2**62)) == 2 and shard.guild.nets == nets

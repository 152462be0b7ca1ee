"""Who may not come in: tokens that are revoked, whatever the clock said when they were made."""

import pytest

from shardapi import ShardApp, clock
from shardapi.operators import EVERYONE
from shardapi.presence import Identity

HOUR = 3_600_000


def shown(app: ShardApp, token: str) -> Identity:
    """Whom a token of this shard stands for."""
    identity = app.shard.central.operator(token)
    assert identity is not None
    return identity


@pytest.mark.parametrize("whose", ["1", EVERYONE])
def test_a_token_made_while_the_clock_ran_ahead_is_revoked_for_good(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    shard, now = app.shard, clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + HOUR)
    early = shown(app, shard.central.operator_token("1", "Ann"))
    monkeypatch.setattr(clock, "now", lambda: now)
    assert not shard.operators.revoked(early)
    shard.operators.revoke(whose)
    late = shown(app, shard.central.operator_token("1", "Ann"))
    for later in (0, 2 * HOUR):
        monkeypatch.setattr(clock, "now", lambda later=later: now + later)
        assert shard.operators.revoked(early) and not shard.operators.revoked(late)
    shard.operators.revoke("1")
    assert shard.operators.revoked(late)


def test_a_token_that_does_not_say_what_it_was_made_after_goes_by_its_time(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    at = app.shard.operators.revoke("1")
    before, after = (Identity("1", "Ann", issued_at=second) for second in (at, at + 1))
    assert app.shard.operators.revoked(before) and not app.shard.operators.revoked(after)

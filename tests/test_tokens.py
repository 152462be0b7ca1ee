"""Signed tokens: what is read back, and everything that is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardapi import clock
from shardapi.tokens import LEEWAY_SECONDS, BadToken, ExpiredToken, Tokens

TOKENS = Tokens(["new", "old"])
NOW = 1_800_000_000


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the clock, in seconds."""
    return lambda second: monkeypatch.setattr(clock, "now", lambda: second * 1000)


@pytest.mark.parametrize(
    "payload", [{}, {"userId": "9007199254740993", "roles": ["1"], "displayName": "Ä \u2028"}]
)
def test_what_was_signed_is_read_back(payload: dict[str, Any]) -> None:
    assert TOKENS.read("operator", TOKENS.sign("operator", payload)) == payload


def test_a_token_of_one_purpose_serves_no_other() -> None:
    with pytest.raises(BadToken):
        TOKENS.read("status", TOKENS.sign("operator", {"userId": "1"}))


def test_another_shards_token_is_refused() -> None:
    with pytest.raises(BadToken):
        TOKENS.read("operator", Tokens(["foreign"]).sign("operator", {"userId": "1"}))


@given(st.integers(min_value=0), st.characters(codec="latin-1"))
def test_a_token_that_was_changed_anywhere_is_refused(place: int, letter: str) -> None:
    token = TOKENS.sign("operator", {"userId": "1"})
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(BadToken):
            TOKENS.read("operator", changed)


@given(st.integers(min_value=0), st.characters(codec="latin-1"))
def test_a_token_with_one_letter_more_is_refused(place: int, letter: str) -> None:
    token = TOKENS.sign("operator", {"userId": "1"})
    place %= len(token) + 1
    with pytest.raises(BadToken):
        TOKENS.read("operator", token[:place] + letter + token[place:])


@given(st.text(max_size=80))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        TOKENS.read("operator", text)


def test_a_signed_value_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadToken):
        TOKENS.read("operator", TOKENS.sign("operator", ["1"]))  # type: ignore[arg-type]


def test_a_token_ends_a_minute_after_its_time(at: Any) -> None:
    token = TOKENS.sign("operator", {"exp": NOW})
    at(NOW + LEEWAY_SECONDS)
    assert TOKENS.read("operator", token) == {"exp": NOW}
    at(NOW + LEEWAY_SECONDS + 1)
    with pytest.raises(ExpiredToken):
        TOKENS.read("operator", token)


@pytest.mark.parametrize("end", ["tomorrow", 1.5, [NOW]])
def test_an_end_that_is_no_time_has_come(at: Any, end: Any) -> None:
    at(NOW)
    with pytest.raises(ExpiredToken):
        TOKENS.read("operator", TOKENS.sign("operator", {"exp": end}))


def test_a_new_secret_in_front_keeps_older_tokens_good() -> None:
    old, rotated, later = Tokens(["old"]), Tokens(["new", "old"]), Tokens(["new"])
    token = old.sign("operator", {"n": 1})
    assert rotated.read("operator", token) == {"n": 1}
    assert later.read("operator", rotated.sign("operator", {"n": 2})) == {"n": 2}
    with pytest.raises(BadToken):
        later.read("operator", token)

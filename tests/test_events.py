"""The types of event: their names, and the patterns that choose among them."""

import re

import pytest

from shardapi.events import CORE_EVENTS, GAP, EventType, matches


@pytest.mark.parametrize("type_", [*CORE_EVENTS, GAP], ids=lambda type_: type_.name)
def test_a_type_has_a_dotted_name_and_a_sentence(type_: EventType) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+", type_.name) and type_.summary.endswith(".")


@pytest.mark.parametrize(
    ("name", "patterns", "chosen"),
    [
        ("user.joined", ["user.joined"], True),
        ("user.joined", ["user.*"], True),
        ("user.joined", ["*"], True),
        ("user.joined", ["*.joined"], True),
        ("user.joined", ["ptt.*", "user.left", "user.joined"], True),
        ("user.joined", [], False),
        ("user.joined", ["user"], False),
        ("user.joined", ["user."], False),
        ("user.joined", ["USER.*"], False),
        ("user.joined", ["users.*"], False),
    ],
)
def test_a_pattern_chooses_types_by_name(name: str, patterns: list[str], chosen: bool) -> None:
    assert matches(name, patterns) is chosen

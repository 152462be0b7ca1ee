"""The guild: how its nets are found, and who is on them."""

from typing import Any

import pytest
from histories import NEW, NOW
from msgspec.structs import replace

from shardapi.errors import ApiError
from shardapi.guild import Assignment, Guild, Net, PublicNet, Rule, closest

NETS = {
    "net_a": Net(uid="net_a", slot=1, name="Strike"),
    "net_b": Net(uid="net_b", slot=2, name="Air", relays=("net_a",)),
}
GUILD = replace(NEW, nets=NETS)


@pytest.mark.parametrize("refs", [{"uid": "net_b"}, {"slot": 2}, {"uid": "net_b", "slot": 2}])
def test_a_net_is_found_by_uid_by_slot_or_by_both_when_they_agree(refs: dict[str, Any]) -> None:
    assert GUILD.find(**refs) is NETS["net_b"]


@pytest.mark.parametrize(
    ("refs", "code"),
    [
        ({"uid": "net_x"}, "net_not_found"),
        ({"slot": 3}, "net_not_found"),
        ({"uid": "net_x", "slot": 3}, "net_not_found"),
        ({}, "net_not_found"),
        ({"uid": "net_a", "slot": 2}, "net_mismatch"),
        ({"uid": "net_x", "slot": 2}, "net_mismatch"),
        ({"uid": "net_a", "slot": 3}, "net_mismatch"),
        ({"slot": 250}, "net_protected"),
        ({"slot": 255}, "net_protected"),
        ({"uid": "net_public"}, "net_protected"),
        ({"uid": "net_global"}, "net_protected"),
        ({"uid": "net_a", "slot": 250}, "net_protected"),
    ],
)
def test_a_net_that_is_not_found_is_refused_with_the_reason(refs: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as caught:
        GUILD.find(**refs)
    assert caught.value.kind.code == code


def test_a_uid_with_a_slip_in_it_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(ApiError) as caught:
        GUILD.find("met_a")
    assert "net_a (Strike)" in caught.value.hint


@pytest.mark.parametrize(
    ("uid", "found"), [("net_abcd", "net_abce"), ("net_abxy", "net_abce"), ("net_wxyz", ""), ("net_abc", "")]
)
def test_the_closest_uid_differs_in_two_characters_at_most(uid: str, found: str) -> None:
    assert closest(uid, ["net_zzzz", "net_abce"]) == found


@pytest.mark.parametrize(
    ("assignment", "effective"),
    [
        (Assignment(manual=True), True),
        (Assignment(until=NOW + 1), True),
        (Assignment(until=NOW), False),
        (Assignment(until=NOW - 1), False),
        (Assignment(manual=True, until=NOW - 1), True),
    ],
)
def test_an_assignment_holds_by_hand_or_until_its_end(assignment: Assignment, effective: bool) -> None:
    guild = replace(GUILD, members={"net_a": {"1": assignment}})
    assert guild.held_by("1", (), NOW) == ({"net_a"} if effective else frozenset())
    assert guild.held_by("2", (), NOW) == frozenset()


def test_a_rule_holds_for_everyone_with_its_role() -> None:
    guild = replace(GUILD, rules=(Rule(role_id="10", net_uids=("net_a", "net_b")),))
    assert guild.held_by("1", ("9", "10"), NOW) == {"net_a", "net_b"}
    assert guild.held_by("1", ("9",), NOW) == frozenset()


@pytest.mark.parametrize(
    ("public_net", "roles", "on_it"),
    [
        (PublicNet(), ("10",), False),
        (PublicNet(role_ids=("10",)), ("10",), False),
        (PublicNet(enabled=True), (), True),
        (PublicNet(enabled=True, role_ids=("10", "11")), ("11",), True),
        (PublicNet(enabled=True, role_ids=("10", "11")), ("12",), False),
    ],
)
def test_the_public_net_is_for_all_unless_roles_gate_it(
    public_net: PublicNet, roles: tuple[str, ...], on_it: bool
) -> None:
    guild: Guild = replace(GUILD, public_net=public_net)
    assert guild.held_by("1", roles, NOW) == ({"net_public"} if on_it else frozenset())

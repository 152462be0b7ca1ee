"""Composites: steps made up against the pending guild, guarded one by one, told as one."""

from collections.abc import Sequence

import pytest

from shardapi.central import Refused, decide
from shardapi.commands import Change, Command, CreateNet, RenameNet, SetOperation
from shardapi.composite import Composite
from shardapi.errors import CONFLICT, ApiError
from shardapi.events import ConfigChanged, Event
from shardapi.guild import Assignment, Features, Guild, Net
from shardapi.presets import AssignMany

NOW = 1_800_000_000_000
NETS = {"net_a": Net(uid="net_a", slot=1, name="A"), "net_b": Net(uid="net_b", slot=2, name="B")}
GUILD = Guild(id="1", version=7, features=Features(max_nets=3), nets=NETS)


class RenameAll(Composite, frozen=True, kw_only=True):
    """Gives every net that there is one name, and opens the operation."""

    name: str

    def steps(self, guild: Guild) -> list[Command]:
        return [*(RenameNet(uid=uid, name=self.name) for uid in guild.nets), SetOperation(open=True)]

    def told(self, guild: Guild, changes: Sequence[Change]) -> tuple[Event, ...]:
        data = ConfigChanged(action=f"all {len(changes)}", version=guild.version + 1)
        return (Event("config.changed", data),)


def test_its_steps_are_those_of_the_guild_as_the_commands_before_it_left_it() -> None:
    new = CreateNet(uid="net_c", name="C")
    outcome = decide(GUILD, [new, RenameAll(name="X")], True, None, NOW)
    assert [type(command) for command in outcome.commands] == [CreateNet, *[RenameNet] * 3, SetOperation]
    assert [net.name for net in outcome.guild.nets.values()] == ["X", "X", "X"]
    assert outcome.version == 8 and len(outcome.results) == 5


def test_it_is_told_as_one_and_commands_beside_it_as_themselves() -> None:
    around = [CreateNet(uid="net_c", name="C"), RenameAll(name="A"), RenameNet(uid="net_c", name="Y")]
    results = decide(GUILD, around, True, None, NOW).results
    told = [event.data.action for result in results if isinstance(result, Change) for event in result.events]
    assert told == ["net.create", "all 3", "net.rename"]  # the net that was called A already is no change


def test_nothing_is_told_where_nothing_changed() -> None:
    once = decide(GUILD, [RenameAll(name="X")], True, None, NOW).guild
    outcome = decide(once, [RenameAll(name="X")], True, None, NOW)
    assert not outcome.changed and outcome.guild is once
    assert all(isinstance(result, Change) and not result.events for result in outcome.results)


def refuse_b(guild: Guild, command: Command) -> None:
    """A guard."""
    if isinstance(command, RenameNet) and command.uid == "net_b":
        raise CONFLICT("not that one")


def test_one_refused_step_refuses_the_whole_and_tells_each() -> None:
    with pytest.raises(Refused, match="not that one") as refused:
        decide(GUILD, [RenameAll(name="X")], True, None, NOW, [refuse_b])
    assert [isinstance(result, ApiError) for result in refused.value.results] == [False, True, False]
    assert [type(command) for command in refused.value.commands] == [RenameNet, RenameNet, SetOperation]


def test_or_the_others_are_made() -> None:
    outcome = decide(GUILD, [RenameAll(name="X")], False, None, NOW, [refuse_b])
    assert [net.name for net in outcome.guild.nets.values()] == ["X", "B"] and outcome.guild.operation_open
    last = outcome.results[-1]
    assert isinstance(last, Change) and [event.data.action for event in last.events] == ["all 2"]


def test_many_are_assigned_as_each_would_be() -> None:
    members = {
        "net_a": {"1": Assignment(manual=True), "2": Assignment(until=NOW)},
        "net_b": {"1": Assignment()},
    }
    guild = Guild(id="1", nets=NETS, members=members)
    change = AssignMany(uid="net_a", user_ids=("3", "1", "2", "3"), by="key_1").apply(guild)
    assert change.user_ids == ("3", "2") and change.net == NETS["net_a"]
    assert change.guild.members == {
        "net_a": {
            "1": Assignment(manual=True),
            "2": Assignment(manual=True, until=NOW),
            "3": Assignment(manual=True),
        },
        "net_b": {"1": Assignment()},
    }
    (event,) = change.events
    assert (event.data.count, event.data.key_id, event.net) == (2, "key_1", "net_a")
    again = AssignMany(uid="net_a", user_ids=("3", "1", "2")).apply(change.guild)
    assert not again.changed and again.guild is change.guild and guild.members is members
    with pytest.raises(ApiError, match="no active net"):
        AssignMany(uid="net_c", user_ids=("1",)).apply(guild)

"""The commands: random histories against what must always hold, and what each command does one by one."""

import msgspec
import pytest
from histories import CEILING, NEW, NOW, after, batch_for, histories, play, seeds, submit
from hypothesis import given, settings
from msgspec.structs import replace

from shardapi.changes import FeatureChanges, OrgLinkChanges, PublicNetChanges
from shardapi.commands import (
    Archived,
    Assign,
    Change,
    Command,
    CreateNet,
    EndTemporary,
    RemoveNet,
    RenameNet,
    RestoreNet,
    SetFeatures,
    SetOperation,
    SetPublicNet,
    SetRules,
    Unassign,
)
from shardapi.errors import ApiError
from shardapi.guild import Assignment, Features, Guild, Net, OrgLink, PublicNet, Rule

# -- what always holds


def assert_sound(guild: Guild) -> None:
    """Slots are unique and within the ceiling, nothing names a net that is gone, or a role twice."""
    slots = [net.slot for net in guild.nets.values()]
    assert len(set(slots)) == len(slots) <= guild.features.max_nets <= CEILING
    assert all(1 <= slot <= CEILING for slot in slots)
    roles = [rule.role_id for rule in guild.rules]
    for once in (
        roles,
        guild.public_net.role_ids,
        guild.features.org_link.role_ids,
        *(rule.net_uids for rule in guild.rules),
    ):
        assert len(set(once)) == len(once)
    assert not set(slots) & set(guild.freed)
    assert all(uid == net.uid for uid, net in guild.nets.items())
    linked = [uid for net in guild.nets.values() for uid in net.relays]
    linked += [uid for rule in guild.rules for uid in rule.net_uids]
    linked += guild.members
    linked += [guild.features.org_link.net_uid] if guild.features.org_link.net_uid else []
    assert set(linked) <= set(guild.nets)
    assert all(users for users in guild.members.values())
    assert all(one != Assignment() for users in guild.members.values() for one in users.values())


class Slots:
    """What slots a guild must hand out, by a second way of keeping the books."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.freed: list[int] = []

    def next(self, most: int) -> int:
        """The slot for the next net."""
        unused = [slot for slot in range(1, most + 1) if slot not in self.taken and slot not in self.freed]
        return unused[0] if unused else next(slot for slot in self.freed if slot <= most)

    def note(self, command: Command, change: Change, most: int) -> None:
        """Take one change into account."""
        if not change.changed or change.net is None:
            return
        slot = change.net.slot
        if isinstance(command, CreateNet | RestoreNet):
            assert slot == self.next(most)
            self.taken.add(slot)
            self.freed = [freed for freed in self.freed if freed != slot]
        elif isinstance(command, RemoveNet):
            self.taken.remove(slot)
            self.freed.append(slot)


@settings(deadline=None, max_examples=300)
@given(histories)
def test_no_history_leaves_two_nets_in_a_slot_or_a_link_to_a_net_that_is_gone(history: list[int]) -> None:
    for _, _, outcome in play(NEW, history):
        assert_sound(outcome.guild)


@settings(deadline=None, max_examples=150)
@given(histories)
def test_never_used_slots_come_first_then_the_one_freed_longest_ago(history: list[int]) -> None:
    slots = Slots()
    for guild, batch, outcome in play(NEW, history):
        most = guild.features.max_nets
        for command, result in zip(batch, outcome.results, strict=True):
            if isinstance(result, Change):
                slots.note(command, result, most)
                most = result.guild.features.max_nets


@settings(deadline=None, max_examples=150)
@given(histories)
def test_the_version_grows_by_one_with_each_submit_that_changed_something(history: list[int]) -> None:
    for guild, _, outcome in play(NEW, history):
        changes = [result for result in outcome.results if isinstance(result, Change)]
        assert outcome.changed == any(change.changed for change in changes)
        assert outcome.guild.version == guild.version + outcome.changed
        assert (outcome.guild is guild) == (not outcome.changed)
        assert all(change.changed or not change.events for change in changes)
        told = [event.data for change in changes for event in change.events]
        assert {data.version for data in told if hasattr(data, "version")} <= {outcome.guild.version}


@settings(deadline=None, max_examples=50)
@given(histories)
def test_no_command_touches_the_guild_it_is_applied_to(history: list[int]) -> None:
    guild = NEW
    for seed in history:
        snapshot = msgspec.json.encode(guild)
        outcome = submit(guild, *batch_for(guild, seed))
        assert msgspec.json.encode(guild) == snapshot
        guild = guild if outcome is None else outcome.guild


@settings(deadline=None, max_examples=50)
@given(histories, seeds)
def test_a_batch_does_what_its_commands_do_one_by_one(history: list[int], last: int) -> None:
    guild = NEW
    for _, _, outcome in play(NEW, history):
        guild = outcome.guild
    batch, _ = batch_for(guild, last)
    whole, single = submit(guild, batch, atomic=False), guild
    assert whole is not None
    for command in batch:
        outcome_of_one = submit(single, [command], atomic=False)
        assert outcome_of_one is not None
        single = outcome_of_one.guild
    assert replace(single, version=whole.guild.version) == whole.guild


# -- one by one


def nets(count: int, most: int = CEILING) -> Guild:
    """A guild with nets net_0, net_1, … in the slots 1, 2, …"""
    guild = replace(NEW, features=Features(max_nets=most))
    return after(guild, *(CreateNet(uid=f"net_{number}", name="N") for number in range(count)))


def refusal(guild: Guild, command: Command) -> ApiError:
    """The error with which a command is refused."""
    with pytest.raises(ApiError) as caught:
        command.apply(guild)
    return caught.value


def archived(
    uid: str, users: tuple[str, ...] = (), to: tuple[str, ...] = (), by: tuple[str, ...] = ()
) -> Archived:
    """An entry of the archive named Old."""
    return Archived(
        uid=uid,
        name="Old",
        assigned_user_ids=users,
        relay_target_net_uids=to,
        inbound_relay_from_net_uids=by,
    )


def test_slots_that_are_free_are_handed_out_in_their_order() -> None:
    guild = after(nets(3, most=4), RemoveNet(uid="net_1"), RemoveNet(uid="net_0"))
    got = []
    for number in range(3):
        guild = after(guild, CreateNet(uid=f"new_{number}", name="N"))
        got.append(guild.nets[f"new_{number}"].slot)
    assert got == [4, 2, 1]


def test_a_slot_above_a_lowered_ceiling_is_not_handed_out() -> None:
    guild = after(nets(3, most=3), RemoveNet(uid="net_2"), RemoveNet(uid="net_0"))
    guild = after(guild, SetFeatures(changes=FeatureChanges(max_nets=2), ceiling=CEILING))
    assert after(guild, CreateNet(uid="new", name="N")).nets["new"].slot == 1


@pytest.mark.parametrize("command", [CreateNet(uid="new", name="N"), RestoreNet(entry=archived("old"))])
def test_a_full_guild_takes_no_net(command: Command) -> None:
    assert refusal(nets(2, most=2), command).kind.code == "no_free_slot"


def test_a_uid_is_active_at_most_once() -> None:
    guild = nets(1)
    assert refusal(guild, CreateNet(uid="net_0", name="N")).kind.code == "net_active"
    assert RestoreNet(entry=archived("net_0")).apply(guild).guild is guild


def test_removing_a_net_takes_every_link_to_it_along() -> None:
    both, one = Rule(role_id="10", net_uids=("net_0", "net_1")), Rule(role_id="11", net_uids=("net_0",))
    linked = FeatureChanges(org_link=OrgLinkChanges(enabled=True, net_uid="net_0"))
    guild = after(
        nets(2),
        Assign(uid="net_0", user_id="1"),
        Assign(uid="net_0", user_id="2", until=NOW + 1),
        SetRules(rules=(both, one)),
        SetFeatures(changes=linked),
        RestoreNet(entry=archived("old", to=("net_0", "net_1"))),
    )
    change = RemoveNet(slot=1).apply(guild)
    assert change.guild.members == {} and change.guild.nets["old"].relays == ("net_1",)
    assert change.guild.rules == (Rule(role_id="10", net_uids=("net_1",)),)
    assert change.guild.features.org_link == OrgLink(enabled=True)
    assert change.archived is not None
    assert change.archived.assigned_user_ids == ("1",)  # the temporary one is not kept
    assert change.archived.inbound_relay_from_net_uids == ("old",)


def test_a_restored_net_gets_back_what_still_exists_of_its_links() -> None:
    entry = archived("old", users=("1",), to=("net_0", "gone"), by=("net_1", "lost"))
    change = RestoreNet(entry=entry).apply(nets(2))
    assert change.net == Net(uid="old", slot=3, name="Old", relays=("net_0",))
    assert change.skipped == ("gone", "lost")
    assert change.guild.nets["net_1"].relays == ("old",)
    assert change.guild.members["old"] == {"1": Assignment(manual=True)}
    assert [event.type for event in change.events] == ["config.changed", "assignments.changed"]
    assert change.events[1].data.count == 1


def test_a_net_is_restored_without_its_links_where_that_is_asked() -> None:
    entry = archived("old", users=("1",), to=("net_0",), by=("net_0",))
    command = RestoreNet(entry=entry, name="New", assignments=False, relays=False)
    guild = command.apply(nets(1)).guild
    assert guild.nets["old"] == Net(uid="old", slot=2, name="New")
    assert guild.nets["net_0"].relays == () and not guild.members


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (RenameNet(uid="net_9", name="X"), "net_not_found"),
        (RemoveNet(slot=9), "net_not_found"),
        (Assign(uid="net_0", slot=2, user_id="1"), "net_mismatch"),
        (RemoveNet(slot=250), "net_protected"),
        (Assign(uid="net_global", user_id="1"), "net_protected"),
        (SetRules(rules=(Rule(role_id="1", net_uids=("net_9",)),)), "net_not_found"),
        (SetRules(rules=(Rule(role_id="1", net_uids=("net_public",)),)), "net_protected"),
        (SetRules(rules=(Rule(role_id="1", net_uids=()),), slots=((9,),)), "net_not_found"),
        (SetRules(rules=(Rule(role_id="1", net_uids=("net_0",)),), slots=((2,),)), "net_mismatch"),
        (SetRules(rules=(Rule(role_id="1", net_uids=("net_0",)),), slots=((1, 2),)), "net_mismatch"),
        (SetFeatures(changes=FeatureChanges(max_nets=CEILING + 1), ceiling=CEILING), "invalid_value"),
        (SetFeatures(changes=FeatureChanges(max_nets=1), ceiling=CEILING), "max_nets_in_use"),
        (SetFeatures(changes=FeatureChanges(org_link=OrgLinkChanges(net_uid="x"))), "net_not_found"),
        (SetFeatures(changes=FeatureChanges(org_link=OrgLinkChanges(net_id=250))), "net_protected"),
        (
            SetFeatures(changes=FeatureChanges(org_link=OrgLinkChanges(net_uid="net_0", net_id=2))),
            "net_mismatch",
        ),
    ],
)
def test_a_command_that_cannot_be_is_refused_with_its_code(command: Command, code: str) -> None:
    assert refusal(nets(2), command).kind.code == code


@pytest.mark.parametrize(
    "command",
    [
        RenameNet(uid="net_0", name="N"),
        Assign(uid="net_0", user_id="1"),
        Assign(uid="net_0", user_id="2", until=NOW),
        Unassign(uid="net_0", user_id="3"),
        SetOperation(open=False),
        SetRules(rules=()),
        SetRules(rules=(), slots=()),
        SetPublicNet(action="hide"),
        SetPublicNet(action="hide", changes=PublicNetChanges(name="Not heeded")),
        SetPublicNet(action="remove"),
        SetFeatures(changes=FeatureChanges()),
        SetFeatures(changes=FeatureChanges(max_nets=CEILING), ceiling=1),
        SetFeatures(changes=FeatureChanges(org_link=OrgLinkChanges(net_uid=""))),
        SetFeatures(changes=FeatureChanges(public_net=PublicNetChanges(enabled=False))),
        RestoreNet(entry=archived("net_0", users=("3",))),
        EndTemporary(uid="net_0", user_id="2", at=NOW),
        EndTemporary(uid="gone", user_id="9", at=NOW),
    ],
)
def test_what_is_true_already_changes_nothing_and_tells_nothing(command: Command) -> None:
    guild = after(nets(1), Assign(uid="net_0", user_id="1"), Assign(uid="net_0", user_id="2", until=NOW + 5))
    change = command.apply(guild)
    assert not change.changed and change.guild is guild and change.events == ()


# -- rules, features and the Public Net


def test_rules_for_one_role_are_one_rule_with_the_nets_of_all() -> None:
    rules = (
        Rule(role_id="10", net_uids=("net_1",)),
        Rule(role_id="11", net_uids=()),
        Rule(role_id="10", net_uids=("net_0", "net_1", "net_0")),
    )
    assert after(nets(2), SetRules(rules=rules)).rules == (
        Rule(role_id="10", net_uids=("net_1", "net_0")),
        Rule(role_id="11", net_uids=()),
    )


def test_a_rule_names_nets_by_uid_by_slot_or_by_both() -> None:
    rules = tuple(Rule(role_id=role, net_uids=uids) for role, uids in [("1", ("net_1",)), ("2", ())])
    both = (Rule(role_id="3", net_uids=("net_0", "net_1")),)
    guild = after(nets(2), SetRules(rules=rules + both, slots=((), (2, 1), (2, 1))))
    assert [rule.net_uids for rule in guild.rules] == [("net_1",), ("net_1", "net_0"), ("net_0", "net_1")]


def test_a_rule_without_nets_outlives_the_removal_of_a_net_and_one_emptied_by_it_does_not() -> None:
    rules = (Rule(role_id="10", net_uids=()), Rule(role_id="11", net_uids=("net_0",)))
    assert after(nets(2), SetRules(rules=rules), RemoveNet(uid="net_0")).rules == rules[:1]


def test_what_a_change_of_features_does_not_name_stays() -> None:
    gates = PublicNetChanges(name="Rally", role_ids=("1", "2", "1"))
    link = OrgLinkChanges(enabled=True, role_ids=("3",), net_id=1)
    guild = after(
        nets(2),
        SetFeatures(changes=FeatureChanges(public_net=gates, org_link=link)),
        SetFeatures(changes=FeatureChanges(acars_enabled=False)),
        SetFeatures(changes=FeatureChanges(public_net=PublicNetChanges(enabled=True))),
        SetFeatures(changes=FeatureChanges(org_link=OrgLinkChanges(role_ids=()))),
    )
    assert guild.public_net == PublicNet(enabled=True, name="Rally", role_ids=("1", "2"))
    assert guild.features == Features(
        max_nets=CEILING, acars_enabled=False, org_link=OrgLink(enabled=True, net_uid="net_0")
    )


def test_changes_made_beside_one_another_are_all_kept() -> None:
    one, other = FeatureChanges(global_ptt_enabled=True), FeatureChanges(ready_check_enabled=False)
    guild = after(NEW, SetFeatures(changes=one), SetFeatures(changes=other))
    assert (guild.features.global_ptt_enabled, guild.features.ready_check_enabled) == (True, False)


def test_a_guild_with_more_nets_than_central_grants_may_change_its_other_features() -> None:
    changes = FeatureChanges(max_nets=CEILING, acars_enabled=False)
    assert not SetFeatures(changes=changes, ceiling=2).apply(nets(3)).guild.features.acars_enabled


def test_as_many_nets_as_there_are_may_be_the_most_whatever_their_slots() -> None:
    guild = after(nets(3), RemoveNet(slot=1), SetFeatures(changes=FeatureChanges(max_nets=2)))
    assert refusal(guild, CreateNet(uid="new", name="N")).kind.code == "no_free_slot"
    guild = after(guild, RemoveNet(slot=2), CreateNet(uid="new", name="N"))
    assert sorted(net.slot for net in guild.nets.values()) == [1, 3]


GATED = PublicNet(enabled=True, name="Rally", role_ids=("1",))


@pytest.mark.parametrize(
    ("commands", "left"),
    [
        ([SetPublicNet(action="hide")], replace(GATED, enabled=False)),
        ([SetPublicNet(action="remove")], PublicNet()),
        ([SetPublicNet(action="hide"), SetPublicNet(action="show")], GATED),
        ([SetPublicNet(action="hide"), SetPublicNet(action="restore")], GATED),
        ([SetPublicNet(action="remove"), SetPublicNet(action="restore")], PublicNet(enabled=True)),
        (
            [SetPublicNet(action="restore", changes=PublicNetChanges(name=" Muster "))],
            replace(GATED, name="Muster"),
        ),
        ([SetPublicNet(action="show", changes=PublicNetChanges(role_ids=()))], replace(GATED, role_ids=())),
    ],
)
def test_the_public_net_is_hidden_with_its_gates_and_removed_without_them(
    commands: list[Command], left: PublicNet
) -> None:
    shown = SetPublicNet(action="show", changes=PublicNetChanges(name="Rally", role_ids=("1",)))
    assert after(NEW, shown).public_net == GATED
    assert after(NEW, shown, *commands).public_net == left


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"maxNets": 0}', "maxNets"),
        ('{"maxNets": 51}', "maxNets"),
        ('{"maxNets": "5"}', "maxNets"),
        ('{"maxNets": null}', "maxNets"),
        ('{"acarsEnabled": 1}', "acarsEnabled"),
        ('{"pttEnabled": true}', "pttEnabled"),
        ('{"publicNet": {"visible": true}}', "visible"),
        ('{"publicNet": {"name": ".."}}', "publicNet"),
        ('{"publicNet": {"roleIds": [1]}}', "publicNet.roleIds"),
        ('{"orgLink": {"roleIds": "1"}}', "orgLink.roleIds"),
        (msgspec.json.encode({"orgLink": {"roleIds": [str(n) for n in range(51)]}}).decode(), "roleIds"),
    ],
)
def test_changes_that_cannot_be_are_refused_as_they_are_read(text: str, says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.json.decode(text, type=FeatureChanges)


@pytest.mark.parametrize(
    ("until", "kept"), [(NOW + 90, NOW + 90), (NOW + 10, NOW + 50), (NOW + 50, NOW + 50)]
)
def test_a_repeated_temporary_assignment_keeps_the_later_end(until: int, kept: int) -> None:
    guild = after(nets(1), Assign(uid="net_0", user_id="1", until=NOW + 50))
    change = Assign(uid="net_0", user_id="1", until=until).apply(guild)
    assert change.guild.members["net_0"]["1"] == Assignment(until=kept) and change.until == kept


def test_a_temporary_assignment_ends_without_touching_the_manual_one() -> None:
    guild = after(nets(1), Assign(uid="net_0", user_id="1"), Assign(uid="net_0", user_id="1", until=NOW + 5))
    change = EndTemporary(uid="net_0", user_id="1", at=NOW + 5).apply(guild)
    assert change.guild.members["net_0"]["1"] == Assignment(manual=True)
    assert change.events == ()


def test_a_temporary_assignment_does_not_end_before_its_time_nor_twice() -> None:
    guild = after(nets(1), Assign(uid="net_0", user_id="1", until=NOW + 5))
    assert not EndTemporary(uid="net_0", user_id="1", at=NOW + 4).apply(guild).changed
    ended = EndTemporary(uid="net_0", user_id="1", at=NOW + 5).apply(guild)
    assert [event.data.action for event in ended.events] == ["unassign"] and not ended.guild.members
    assert not EndTemporary(uid="net_0", user_id="1", at=NOW + 9).apply(ended.guild).changed


def test_an_unassign_ends_the_manual_and_the_temporary_assignment() -> None:
    guild = after(nets(1), Assign(uid="net_0", user_id="1"), Assign(uid="net_0", user_id="1", until=NOW + 5))
    change = Unassign(uid="net_0", user_id="1").apply(guild)
    assert change.guild.members == {} and len(change.events) == 1


@pytest.mark.parametrize(
    ("command", "type_", "data"),
    [
        (
            CreateNet(uid="net_9", name="N", by="k"),
            "config.changed",
            {"action": "net.create", "uid": "net_9"},
        ),
        (RenameNet(slot=1, name="X", by="k"), "config.changed", {"action": "net.rename", "uid": "net_0"}),
        (RemoveNet(slot=1, by="k"), "config.changed", {"action": "net.remove", "uid": "net_0"}),
        (
            Assign(slot=1, user_id="1", by="k"),
            "assignments.changed",
            {"source": "api", "action": "assign", "userId": "1", "netId": 1, "netUid": "net_0"},
        ),
        (
            Assign(slot=1, user_id="1", until=NOW, by="k"),
            "assignments.changed",
            {"source": "temporary", "action": "assign", "userId": "1", "netId": 1, "netUid": "net_0"},
        ),
        (SetOperation(open=True, by="k"), "operation.opened", {"open": True}),
        (
            SetRules(rules=(Rule(role_id="1", net_uids=("net_0",)),), by="k"),
            "config.changed",
            {"action": "rules.set"},
        ),
        (
            SetFeatures(changes=FeatureChanges(public_net=PublicNetChanges(enabled=True)), by="k"),
            "config.changed",
            {"action": "features.set"},
        ),
        (SetPublicNet(action="show", by="k"), "config.changed", {"action": "public-net.show"}),
        (SetPublicNet(action="restore", by="k"), "config.changed", {"action": "public-net.restore"}),
    ],
)
def test_a_change_is_told_by_one_event_that_names_the_key(
    command: Command, type_: str, data: dict[str, object]
) -> None:
    (event,) = command.apply(nets(1)).events
    told = msgspec.to_builtins(event.data)
    told.pop("version", None)
    assert (event.type, told) == (type_, {**data, "keyId": "k"})
    assert event.net == data.get("netUid", data.get("uid", ""))

"""Applying a preset: the commands that make a guild hold what it names. It adds and renames, and takes nothing away."""

from collections.abc import Iterator, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from .changes import MOST_NETS, FeatureChanges, OrgLinkChanges, unique
from .commands import (
    Archived,
    Change,
    Command,
    CreateNet,
    RenameNet,
    RestoreNet,
    SetFeatures,
    SetOperation,
    SetRules,
)
from .composite import Composite
from .events import AssignmentsChanged, ConfigChanged, Event
from .guild import Assignment, Frozen, Guild, Rule

NOBODY = Assignment()

NetNamed = int | str  # a net by its place among the preset's own, or another by its uid


class PresetNet(Frozen, frozen=True, kw_only=True):
    """A net that a preset wants; `entry` is what the archive has of its uid, `spare` its uid if it has to be made."""

    name: str
    spare: str
    uid: str = ""
    entry: Archived | None = None


class PresetSeat(Frozen, frozen=True, kw_only=True):
    """A user whom a preset puts on a net."""

    user_id: str
    net: NetNamed


class PresetRule(Frozen, frozen=True, kw_only=True):
    """Nets that a preset gives to a role."""

    role_id: str
    nets: tuple[NetNamed, ...]


class AssignMany(Command, frozen=True, kw_only=True):
    """Put users on one net by hand, all in one: one by one, each would copy the net's members anew."""

    uid: str
    user_ids: tuple[str, ...]

    def apply(self, guild: Guild) -> Change:
        net = guild.find(self.uid)
        users = dict(guild.members.get(net.uid, {}))
        new = tuple(user for user in unique(self.user_ids) if not users.get(user, NOBODY).manual)
        if not new:
            return Change(guild=guild, changed=False, net=net)
        for user in new:
            users[user] = replace(users.get(user, NOBODY), manual=True)
        data = AssignmentsChanged(
            source="preset",
            action="assign",
            net_id=net.slot,
            net_uid=net.uid,
            key_id=self.by or UNSET,
            count=len(new),
        )
        return Change(
            guild=replace(guild, members={**guild.members, net.uid: users}),
            events=(Event("assignments.changed", data, net.uid),),
            net=net,
            user_ids=new,
        )


class ApplyPreset(Composite, frozen=True, kw_only=True):
    """Make a guild hold the nets of a preset, then its features, rules, assignments and state of the operation.

    A net is the active one of its uid, else one of exactly its name that no other net of the preset is, else the
    archived one of its uid, else a new one. Rules are given to roles besides those they have. Where `maxNets` grows,
    it does so first, so that the nets have room.
    """

    preset: str
    nets: tuple[PresetNet, ...] = ()
    features: FeatureChanges | None = None
    linked: NetNamed | None = None
    rules: tuple[PresetRule, ...] = ()
    seats: tuple[PresetSeat, ...] = ()
    open: bool | None = None
    ceiling: int = MOST_NETS

    def steps(self, guild: Guild) -> list[Command]:
        """The commands, each for what is named once; what is so already is among them and will change nothing."""
        uids = self.found(guild)
        steps: list[Command] = []
        features = self.features
        if features is not None and features.max_nets is not UNSET:
            if features.max_nets > guild.features.max_nets:
                steps.append(self._set(FeatureChanges(max_nets=features.max_nets)))
                features = replace(features, max_nets=UNSET)
        steps += [self._net(guild, net, uid) for net, uid in zip(self.nets, uids, strict=True)]
        if features is not None and self.linked is not None:
            link = features.org_link or OrgLinkChanges()
            features = replace(
                features, org_link=replace(link, net_uid=_uid(self.linked, uids), net_id=UNSET)
            )
        if features is not None and features.given():
            steps.append(self._set(features))
        if self.rules:
            steps.append(SetRules(rules=self._merged(guild, uids), by=self.by))
        steps += self._seated(uids)
        if self.open is not None:
            steps.append(SetOperation(open=self.open, by=self.by))
        return steps

    def found(self, guild: Guild) -> list[str]:
        """The uid that each net of the preset has, or will have."""
        claimed = {net.uid for net in self.nets if net.uid in guild.nets}
        free: dict[str, list[str]] = {}
        for one in sorted(guild.nets.values(), key=lambda one: one.slot, reverse=True):
            if one.uid not in claimed:
                free.setdefault(one.name, []).append(one.uid)
        uids = []
        for net in self.nets:
            if net.uid in claimed:
                uids.append(net.uid)
            elif free.get(net.name):
                uids.append(free[net.name].pop())
            else:
                uids.append(net.entry.uid if net.entry is not None else net.spare)
        return uids

    def _net(self, guild: Guild, net: PresetNet, uid: str) -> Command:
        if uid in guild.nets:
            return RenameNet(uid=uid, name=net.name, by=self.by)
        if net.entry is not None:
            return RestoreNet(
                entry=net.entry, name=net.name, assignments=False, ceiling=self.ceiling, by=self.by
            )
        return CreateNet(uid=uid, name=net.name, ceiling=self.ceiling, by=self.by)

    def _set(self, changes: FeatureChanges) -> SetFeatures:
        return SetFeatures(changes=changes, ceiling=self.ceiling, by=self.by)

    def _seated(self, uids: Sequence[str]) -> list[Command]:
        users: dict[str, list[str]] = {}
        for seat in self.seats:
            users.setdefault(_uid(seat.net, uids), []).append(seat.user_id)
        return [AssignMany(uid=uid, user_ids=tuple(named), by=self.by) for uid, named in users.items()]

    def _merged(self, guild: Guild, uids: Sequence[str]) -> tuple[Rule, ...]:
        """The guild's rules with the preset's added."""
        merged = {rule.role_id: rule.net_uids for rule in guild.rules}
        for rule in self.rules:
            more = tuple(_uid(net, uids) for net in rule.nets)
            merged[rule.role_id] = unique((*merged.get(rule.role_id, ()), *more))
        return tuple(Rule(role_id=role, net_uids=nets) for role, nets in merged.items())

    def told(self, guild: Guild, changes: Sequence[Change]) -> tuple[Event, ...]:
        """That it was applied, how many assignments it added, and whether the operation was opened or closed."""
        return tuple(self._told(guild, [event for change in changes for event in change.events]))

    def _told(self, guild: Guild, events: Sequence[Event]) -> Iterator[Event]:
        key_id = self.by or UNSET
        said = ConfigChanged(
            action="preset.apply", version=guild.version + 1, key_id=key_id, preset=self.preset
        )
        yield Event("config.changed", said)
        count = sum(event.data.count for event in events if event.type == "assignments.changed")
        if count:
            data = AssignmentsChanged(source="preset", action="assign", key_id=key_id, count=count)
            yield Event("assignments.changed", data)
        yield from (event for event in events if event.type.startswith("operation."))


def _uid(net: NetNamed, uids: Sequence[str]) -> str:
    return uids[net] if isinstance(net, int) else net

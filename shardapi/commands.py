"""The commands that change a guild, as pure functions: `apply` returns the next guild with its events, or refuses.

Nothing here is random or reads a clock: uids and times come in with the command, minted at the door.
"""

from collections.abc import Mapping
from typing import Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from .changes import MOST_NETS, MOST_RULES, FeatureChanges, OrgLinkChanges, PublicNetChanges, unique
from .errors import (
    INVALID_VALUE,
    MAX_NETS_IN_USE,
    NET_ACTIVE,
    NET_MISMATCH,
    NO_FREE_SLOT,
    ApiError,
    FieldError,
)
from .events import AssignmentsChanged, ConfigChanged, Event, OperationChanged
from .guild import Assignment, Frozen, Guild, Net, OrgLink, PublicNet, Rule

K = TypeVar("K")
V = TypeVar("V")


class Archived(Frozen, frozen=True, kw_only=True):
    """What an active net leaves in the catalogue when it is removed."""

    uid: str
    name: str
    assigned_user_ids: tuple[str, ...]
    relay_target_net_uids: tuple[str, ...]
    inbound_relay_from_net_uids: tuple[str, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did: the next guild (the same one if nothing changed), its events, the net it was about."""

    guild: Guild
    changed: bool = True
    events: tuple[Event, ...] = ()
    net: Net | None = None
    user_id: str = ""
    user_ids: tuple[str, ...] = ()
    until: int = 0
    archived: Archived | None = None
    skipped: tuple[str, ...] = ()


class Command(Frozen, frozen=True, kw_only=True):
    """A change to the guild; `by` is the id of the key that asked, "" for the shard itself."""

    by: str = ""

    def apply(self, guild: Guild) -> Change:
        """The guild after this command, with its events; raises ApiError to refuse."""
        raise NotImplementedError

    def _config(self, guild: Guild, action: str, uid: str | UnsetType = UNSET) -> tuple[Event, ...]:
        data = ConfigChanged(action=action, version=guild.version + 1, key_id=self.by or UNSET, uid=uid)
        return (Event("config.changed", data, uid or ""),)


class NetCommand(Command, frozen=True, kw_only=True):
    """A command about one net, named by uid, by slot, or by both."""

    uid: str = ""
    slot: int = 0


class CreateNet(Command, frozen=True, kw_only=True):
    """A new net in the slot that was freed longest ago; never-used slots first, lowest first."""

    uid: str
    name: str
    ceiling: int = MOST_NETS

    def apply(self, guild: Guild) -> Change:
        guild, net = _occupy(guild, self.uid, self.name, self.ceiling)
        return Change(guild=guild, events=self._config(guild, "net.create", net.uid), net=net)


class RestoreNet(Command, frozen=True, kw_only=True):
    """An archived net made active again: the same uid, a fresh slot, what still exists of its links."""

    entry: Archived
    name: str = ""
    ceiling: int = MOST_NETS
    assignments: bool = True
    relays: bool = True

    def apply(self, guild: Guild) -> Change:
        entry = self.entry
        if entry.uid in guild.nets:
            return Change(guild=guild, changed=False, net=guild.nets[entry.uid])
        guild, net = _occupy(guild, entry.uid, self.name or entry.name, self.ceiling)
        nets, members = dict(guild.nets), dict(guild.members)
        skipped: tuple[str, ...] = ()
        if self.assignments and entry.assigned_user_ids:
            members[net.uid] = {user: Assignment(manual=True) for user in entry.assigned_user_ids}
        if self.relays:
            named = dict.fromkeys(entry.relay_target_net_uids + entry.inbound_relay_from_net_uids)
            skipped = tuple(uid for uid in named if uid not in nets)
            net = replace(net, relays=tuple(uid for uid in entry.relay_target_net_uids if uid in nets))
            nets[net.uid] = net
            for uid in entry.inbound_relay_from_net_uids:
                if uid in nets and net.uid not in nets[uid].relays:
                    nets[uid] = replace(nets[uid], relays=(*nets[uid].relays, net.uid))
        guild = replace(guild, nets=nets, members=members)
        events = self._config(guild, "archive.restore", net.uid)
        count = len(members.get(net.uid, ()))
        if count:
            data = AssignmentsChanged(
                source="archive",
                action="assign",
                net_id=net.slot,
                net_uid=net.uid,
                key_id=self.by or UNSET,
                count=count,
            )
            events += (Event("assignments.changed", data, net.uid),)
        return Change(guild=guild, events=events, net=net, skipped=skipped)


def _occupy(guild: Guild, uid: str, name: str, ceiling: int) -> tuple[Guild, Net]:
    if uid in guild.nets:
        raise NET_ACTIVE(f"{uid} is active already.")
    most = min(guild.features.max_nets, ceiling)
    if len(guild.nets) >= most:
        raise NO_FREE_SLOT(
            f"All {most} slots are in use.",
            hint="Remove a net (it stays in the archive), or raise maxNets."
            if most < ceiling
            else "Remove a net (it stays in the archive); central allows no more.",
        )
    taken = {net.slot for net in guild.nets.values()}
    free = (slot for slot in range(1, guild.features.max_nets + 1) if slot not in taken)
    slot = min(free, key=lambda slot: (guild.freed.get(slot, 0), slot))
    net = Net(uid=uid, slot=slot, name=name)
    freed = {used: order for used, order in guild.freed.items() if used != slot}
    return replace(guild, nets={**guild.nets, uid: net}, freed=freed), net


class RenameNet(NetCommand, frozen=True, kw_only=True):
    name: str

    def apply(self, guild: Guild) -> Change:
        net = guild.find(self.uid, self.slot)
        if net.name == self.name:
            return Change(guild=guild, changed=False, net=net)
        net = replace(net, name=self.name)
        guild = replace(guild, nets={**guild.nets, net.uid: net})
        return Change(guild=guild, events=self._config(guild, "net.rename", net.uid), net=net)


class RemoveNet(NetCommand, frozen=True, kw_only=True):
    """Take a net out of its slot, with every link to it; what it was goes into the catalogue."""

    def apply(self, guild: Guild) -> Change:
        net = guild.find(self.uid, self.slot)
        inbound = tuple(one.uid for one in guild.nets.values() if net.uid in one.relays)
        archived = Archived(
            uid=net.uid,
            name=net.name,
            assigned_user_ids=tuple(u for u, a in guild.members.get(net.uid, {}).items() if a.manual),
            relay_target_net_uids=net.relays,
            inbound_relay_from_net_uids=inbound,
        )
        guild = _without(guild, net)
        return Change(
            guild=guild, events=self._config(guild, "net.remove", net.uid), net=net, archived=archived
        )


def _without(guild: Guild, net: Net) -> Guild:
    nets = {
        uid: replace(one, relays=tuple(r for r in one.relays if r != net.uid))
        if net.uid in one.relays
        else one
        for uid, one in guild.nets.items()
        if uid != net.uid
    }
    rules = tuple(
        replace(rule, net_uids=tuple(uid for uid in rule.net_uids if uid != net.uid))
        if net.uid in rule.net_uids
        else rule
        for rule in guild.rules
        if rule.net_uids != (net.uid,)
    )
    features = guild.features
    if features.org_link.net_uid == net.uid:
        features = replace(features, org_link=replace(features.org_link, net_uid=""))
    return replace(
        guild,
        nets=nets,
        freed={**guild.freed, net.slot: max(guild.freed.values(), default=0) + 1},
        members={uid: users for uid, users in guild.members.items() if uid != net.uid},
        rules=rules,
        features=features,
    )


class Assign(NetCommand, frozen=True, kw_only=True):
    """Put one user on a net: by hand, or until a time (ms); a repeat keeps the later end."""

    user_id: str
    until: int = 0

    def apply(self, guild: Guild) -> Change:
        net = guild.find(self.uid, self.slot)
        before = guild.members.get(net.uid, {}).get(self.user_id, Assignment())
        if self.until:
            after = replace(before, until=max(before.until, self.until))
        else:
            after = replace(before, manual=True)
        source = "temporary" if self.until else "api"
        return _assigned(self, guild, net, after, source, "assign")


class Unassign(NetCommand, frozen=True, kw_only=True):
    """End a user's manual and temporary assignment to a net."""

    user_id: str

    def apply(self, guild: Guild) -> Change:
        net = guild.find(self.uid, self.slot)
        return _assigned(self, guild, net, Assignment(), "api", "unassign")


class EndTemporary(Command, frozen=True, kw_only=True):
    """End a temporary assignment that was due by `at`; nothing if a later end was set meanwhile."""

    uid: str
    user_id: str
    at: int

    def apply(self, guild: Guild) -> Change:
        before = guild.members.get(self.uid, {}).get(self.user_id)
        if before is None or not before.until or before.until > self.at:
            return Change(guild=guild, changed=False)
        net = guild.nets[self.uid]
        return _assigned(self, guild, net, replace(before, until=0), "temporary", "unassign")


def _assigned(
    command: Assign | Unassign | EndTemporary,
    guild: Guild,
    net: Net,
    after: Assignment,
    source: str,
    action: str,
) -> Change:
    user, users = command.user_id, guild.members.get(net.uid, {})
    before = users.get(user, Assignment())
    if before == after:
        return Change(guild=guild, changed=False, net=net, user_id=user, until=after.until)
    users = {**users, user: after} if after.manual or after.until else _drop(users, user)
    guild = replace(
        guild, members={**guild.members, net.uid: users} if users else _drop(guild.members, net.uid)
    )
    events: tuple[Event, ...] = ()
    if action == "assign" or not after.manual:
        data = AssignmentsChanged(
            source=source,
            action=action,
            user_id=user,
            net_id=net.slot,
            net_uid=net.uid,
            key_id=command.by or UNSET,
        )
        events = (Event("assignments.changed", data, net.uid),)
    return Change(guild=guild, events=events, net=net, user_id=user, until=after.until)


def _drop(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    return {one: value for one, value in mapping.items() if one != key}


class SetOperation(Command, frozen=True, kw_only=True):
    open: bool

    def apply(self, guild: Guild) -> Change:
        if guild.operation_open == self.open:
            return Change(guild=guild, changed=False)
        data = OperationChanged(open=self.open, key_id=self.by or UNSET)
        event = Event("operation.opened" if self.open else "operation.closed", data)
        return Change(guild=replace(guild, operation_open=self.open), events=(event,))


class SetRules(Command, frozen=True, kw_only=True):
    """Replace all rules; every net they name must be active.

    `slots`, where given, names nets of the rule at the same place by slot: instead of its uids, or besides, and
    then each must be one of them. Rules for the same role are one rule with the nets of all.
    """

    rules: tuple[Rule, ...]
    slots: tuple[tuple[int, ...], ...] = ()

    def apply(self, guild: Guild) -> Change:
        merged: dict[str, tuple[str, ...]] = {}
        for place, rule in enumerate(self.rules):
            try:
                uids = _named(guild, rule, self.slots[place] if self.slots else ())
            except ApiError as error:
                where = (FieldError(f"rules[{place}]", error.detail),)
                raise error.kind(error.detail, hint=error.hint, errors=where) from None
            merged[rule.role_id] = unique((*merged.get(rule.role_id, ()), *uids))
        rules = tuple(Rule(role_id=role, net_uids=uids) for role, uids in merged.items())
        if len(rules) > MOST_RULES:
            raise INVALID_VALUE(f"There would be {len(rules)} rules; {MOST_RULES} are possible.")
        if guild.rules == rules:
            return Change(guild=guild, changed=False)
        guild = replace(guild, rules=rules)
        return Change(guild=guild, events=self._config(guild, "rules.set"))


def _named(guild: Guild, rule: Rule, slots: tuple[int, ...]) -> tuple[str, ...]:
    by_uid = tuple(guild.find(uid).uid for uid in rule.net_uids)
    by_slot = tuple(guild.find(slot=slot).uid for slot in slots)
    if by_uid and not set(by_slot) <= set(by_uid):
        raise NET_MISMATCH(
            f"The rule of role {rule.role_id} names other nets by slot than by netUids.",
            hint="Send netUids alone.",
        )
    return by_uid or by_slot


class SetFeatures(Command, frozen=True, kw_only=True):
    """Change some of the features, or of the Public Net or org link in them; `ceiling` is what central grants."""

    changes: FeatureChanges
    ceiling: int = MOST_NETS

    def apply(self, guild: Guild) -> Change:
        given = self.changes.given()
        public_net = given.pop("public_net", PublicNetChanges()).onto(guild.public_net)
        if "org_link" in given:
            given["org_link"] = _linked(guild, given["org_link"])
        features = replace(guild.features, **given)
        if features.max_nets != guild.features.max_nets:
            _may_have(guild, features.max_nets, self.ceiling)
        if (features, public_net) == (guild.features, guild.public_net):
            return Change(guild=guild, changed=False)
        guild_after = replace(guild, features=features, public_net=public_net)
        return Change(guild=guild_after, events=self._config(guild, "features.set"))


def _linked(guild: Guild, link: OrgLinkChanges) -> OrgLink:
    """The org link with these changes; raises for a net that is not active, or named as two."""
    uid, slot = link.net_uid or "", link.net_id or 0
    if uid or slot:
        uid = guild.find(uid, slot).uid
        link = replace(link, net_uid=uid, net_id=UNSET)
    return link.onto(guild.features.org_link)


def _may_have(guild: Guild, most: int, ceiling: int) -> None:
    if most > ceiling:
        problem = FieldError("features.maxNets", f"Expected at most {ceiling}")
        raise INVALID_VALUE(
            f"maxNets can be at most {ceiling} here: central grants no more.", errors=(problem,)
        )
    if most < len(guild.nets):
        raise MAX_NETS_IN_USE(
            f"maxNets cannot be {most}: {len(guild.nets)} nets are in use.", hint="Remove nets first."
        )


class SetPublicNet(Command, frozen=True, kw_only=True):
    """Show or restore the Public Net, with another name or gates where given; hide it; or remove it with both."""

    action: Literal["show", "hide", "remove", "restore"]
    changes: PublicNetChanges = PublicNetChanges()

    def apply(self, guild: Guild) -> Change:
        before = guild.public_net
        if self.action == "remove":
            after = PublicNet()
        elif self.action == "hide":
            after = replace(before, enabled=False)
        else:
            after = replace(self.changes.onto(before), enabled=True)
        if after == before:
            return Change(guild=guild, changed=False)
        changed = replace(guild, public_net=after)
        return Change(guild=changed, events=self._config(guild, f"public-net.{self.action}"))

"""The guild: nets, assignments, rules and features at one version; a value that commands replace."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import msgspec

from .errors import (
    NET_MISMATCH,
    NET_NOT_FOUND,
    NET_PROTECTED,
    ApiError,
)

PUBLIC_SLOT, GLOBAL_SLOT = 250, 255
PUBLIC_UID, GLOBAL_UID = "net_public", "net_global"
PUBLIC_NAME = "Public Net"

K = TypeVar("K")
V = TypeVar("V")


class Frozen(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A value that is replaced, never changed."""


class Net(Frozen, frozen=True, kw_only=True):
    """An active net: a persistent uid in a live slot, and the uids of the nets it relays to."""

    uid: str
    slot: int
    name: str
    relays: tuple[str, ...] = ()


class Assignment(Frozen, frozen=True, kw_only=True):
    """Why a user is on a net: by hand, until a time (ms, 0 = none), or both."""

    manual: bool = False
    until: int = 0


class PublicNet(Frozen, frozen=True, kw_only=True):
    enabled: bool = False
    name: str = PUBLIC_NAME
    role_ids: tuple[str, ...] = ()


class OrgLink(Frozen, frozen=True, kw_only=True):
    enabled: bool = False
    role_ids: tuple[str, ...] = ()
    net_uid: str = ""


class Features(Frozen, frozen=True, kw_only=True):
    max_nets: int = 50
    global_ptt_enabled: bool = False
    acars_enabled: bool = True
    ready_check_enabled: bool = True
    org_link: OrgLink = OrgLink()


class Rule(Frozen, frozen=True, kw_only=True):
    """Everyone who holds the role is on these nets."""

    role_id: str
    net_uids: tuple[str, ...]


class Guild(Frozen, frozen=True, kw_only=True):
    """All that a write can change, at one version. `freed` orders the used slots by when they fell free."""

    id: str
    name: str = "Shard"
    version: int = 0
    updated_at: int = 0
    operation_open: bool = False
    features: Features = Features()
    public_net: PublicNet = PublicNet()
    nets: Mapping[str, Net] = {}
    freed: Mapping[int, int] = {}
    members: Mapping[str, Mapping[str, Assignment]] = {}
    rules: tuple[Rule, ...] = ()

    def net_in(self, slot: int) -> Net | None:
        """The net in this slot."""
        return next((net for net in self.nets.values() if net.slot == slot), None)

    def find(self, uid: str = "", slot: int = 0) -> Net:
        """The net named by its uid, its slot, or both. Raises net_not_found, net_protected or net_mismatch."""
        if uid in (PUBLIC_UID, GLOBAL_UID) or slot in (PUBLIC_SLOT, GLOBAL_SLOT):
            raise NET_PROTECTED("The Public Net and global push-to-talk cannot be changed as nets.")
        by_uid, by_slot = self.nets.get(uid), self.net_in(slot) if slot else None
        if uid and slot and (by_uid or by_slot) and by_uid is not by_slot:
            raise NET_MISMATCH(f"netUid {uid} is not the net in slot {slot}.", hint="Send netUid alone.")
        net = by_uid or by_slot
        if net is None:
            raise self._no_net(uid, slot)
        return net

    def _no_net(self, uid: str, slot: int) -> ApiError:
        hint = "GET /api/v1/status lists the active nets."
        close = closest(uid, self.nets) if uid else ""
        if close:
            hint = f"Did you mean {close} ({self.nets[close].name})?"
        return NET_NOT_FOUND(f"There is no active net {uid or slot}.", hint=hint)

    def held_by(self, user_id: str, roles: Iterable[str], now: int) -> frozenset[str]:
        """Uids of the nets this user is on: by assignment, by a rule on their roles, or the Public Net."""
        held = {uid for uid in self.members if self.assigned(user_id, uid, now)}
        roles = frozenset(roles)
        held |= self.ruled(roles)
        gates = self.public_net.role_ids
        if self.public_net.enabled and (not gates or not roles.isdisjoint(gates)):
            held.add(PUBLIC_UID)
        return frozenset(held)

    def assigned(self, user_id: str, net_uid: str, now: int) -> bool:
        """Whether the user is assigned to the net, by hand or until a time that has not come."""
        one = self.members.get(net_uid, {}).get(user_id)
        return one is not None and (one.manual or one.until > now)

    def ruled(self, roles: Collection[str]) -> set[str]:
        """Uids of the nets that the rules give to who holds these roles."""
        return {uid for rule in self.rules if rule.role_id in roles for uid in rule.net_uids}


def closest(uid: str, uids: Iterable[str]) -> str:
    """The known uid that differs from this one in at most two characters, or ""."""
    return next((one for one in uids if len(one) == len(uid) and _distance(one, uid) <= 2), "")


def _distance(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


class FeatureFlags(Frozen, frozen=True, kw_only=True):
    """The features as every answer shows them."""

    max_nets: int
    global_ptt_enabled: bool
    acars_enabled: bool
    ready_check_enabled: bool
    public_net: PublicNet
    org_link: OrgLink

    @classmethod
    def of(cls, guild: Guild) -> "FeatureFlags":
        return cls(**msgspec.structs.asdict(guild.features), public_net=guild.public_net)

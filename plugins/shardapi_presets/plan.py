"""What a preset that is kept asks of the guild, and what an apply of it adds to the preset."""

from collections.abc import Callable, Mapping

import msgspec
from msgspec import UNSET, UnsetType

from shardapi import catalogue
from shardapi.catalogue import Entry
from shardapi.changes import FeatureChanges
from shardapi.commands import Archived
from shardapi.guild import Frozen
from shardapi.presets import ApplyPreset, NetNamed, PresetNet, PresetRule, PresetSeat

from .document import Document


class KeptNet(Frozen, frozen=True, kw_only=True):
    id: int
    name: str
    net_uid: str


class KeptSeat(Frozen, frozen=True, kw_only=True):
    user_id: str
    net_id: int
    net_uid: str


class KeptRule(Frozen, frozen=True, kw_only=True):
    role_id: str
    net_ids: tuple[int, ...]
    net_uids: tuple[str, ...]


class Kept(Frozen, frozen=True, kw_only=True):
    """A preset's document, as far as an apply goes."""

    name: str
    nets: tuple[KeptNet, ...]
    assignment_list: tuple[KeptSeat, ...]
    open: bool | None = None
    rules: tuple[KeptRule, ...] = ()
    features: FeatureChanges | UnsetType = UNSET


class Plan:
    """A preset about to be applied, with what the archive has of its uids; made inside `Store.read`."""

    def __init__(self, document: str, guild_id: str) -> None:
        self.document = document
        self.kept = kept = msgspec.json.decode(document, type=Kept)
        self.entries = self.archived(guild_id)
        self._by_uid = {net.net_uid: place for place, net in enumerate(kept.nets) if net.net_uid}
        self._by_id = {net.id: place for place, net in enumerate(kept.nets)}

    def archived(self, guild_id: str) -> dict[str, Entry]:
        """The entries of its nets' uids, as the archive has them now."""
        uids = (net.net_uid for net in self.kept.nets if net.net_uid)
        return {uid: entry for uid in uids if (entry := catalogue.find(guild_id, uid)) is not None}

    def scopes(self) -> list[str]:
        """What a key needs besides, to apply what it carries."""
        return carried(self.kept.rules, self.kept.features)

    def command(self, mint: Callable[[], str], by: str) -> ApplyPreset:
        """The command that makes it true."""
        kept = self.kept
        return ApplyPreset(
            preset=kept.name,
            nets=tuple(
                PresetNet(name=net.name, spare=mint(), uid=net.net_uid, entry=self._archived(net.net_uid))
                for net in kept.nets
            ),
            features=kept.features or None,
            linked=self._linked(),
            rules=tuple(self._rule(rule) for rule in kept.rules),
            seats=tuple(
                PresetSeat(user_id=seat.user_id, net=self._named(seat.net_uid, seat.net_id))
                for seat in kept.assignment_list
            ),
            open=kept.open,
            by=by,
        )

    def _archived(self, uid: str) -> Archived | None:
        entry = self.entries.get(uid)
        if entry is None:
            return None
        return Archived(**{name: getattr(entry, name) for name in Archived.__struct_fields__})

    def _named(self, uid: str, number: int) -> NetNamed:
        return self._by_uid.get(uid, uid) if uid else self._by_id[number]

    def _rule(self, rule: KeptRule) -> PresetRule:
        pairs = zip(rule.net_uids, rule.net_ids, strict=True)
        return PresetRule(role_id=rule.role_id, nets=tuple(self._named(*pair) for pair in pairs))

    def _linked(self) -> NetNamed | None:
        link = self.kept.features.org_link if self.kept.features else UNSET
        if not link or not (link.net_uid or link.net_id):
            return None
        return self._named(link.net_uid or "", link.net_id or 0)

    def with_uids(self, made: Mapping[int, str]) -> Document:
        """The document with the uids of the nets that were made, by place."""
        document: Document = msgspec.json.decode(self.document)
        nets = document["nets"]
        by_uid = {nets[place]["netUid"]: uid for place, uid in made.items() if nets[place]["netUid"]}
        by_id = {nets[place]["id"]: uid for place, uid in made.items()}

        def now(uid: str, number: int) -> str:
            return by_uid.get(uid, uid) if uid else by_id.get(number, "")

        for place, uid in made.items():
            nets[place].update(uid=uid, netUid=uid)
        for seat in document["assignmentList"]:
            seat["netUid"] = now(seat["netUid"], seat["netId"])
        for rule in document.get("rules", ()):
            rule["netUids"] = list(map(now, rule["netUids"], rule["netIds"]))
        link = document.get("features", {}).get("orgLink", {})
        if "netUid" in link:
            link["netUid"] = now(link["netUid"], link.get("netId", 0))
            if link["netUid"]:
                link.pop("netId", None)
        return document


def carried(rules: object, features: object) -> list[str]:
    """The scopes that go with rules and features, where there are any."""
    return ["write:rules"] * bool(rules) + ["manage:features"] * bool(features)

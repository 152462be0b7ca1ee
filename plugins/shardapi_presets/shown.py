"""A preset as it is answered."""

import msgspec
from msgspec import UNSET, UnsetType

from shardapi.changes import FeatureChanges


class PresetNetShown(msgspec.Struct, rename="camel", kw_only=True):
    """A net of a preset; `id` is what the preset calls it, `netUid` (and `uid`) is "" until it was made."""

    id: int
    uid: str
    net_uid: str
    name: str


class PresetAssignment(msgspec.Struct, rename="camel", kw_only=True):
    """Who is put on which net; `netId` is the number that `assignments` has, 0 where that has the uid."""

    user_id: str
    net_id: int
    net_uid: str
    action: str


class PresetRuleShown(msgspec.Struct, rename="camel", kw_only=True):
    """What a role is given; the nets of netIds and netUids are the same, in the same order; `netId` is the first."""

    role_id: str
    net_uids: list[str]
    net_ids: list[int]
    net_id: int | UnsetType = UNSET


class PresetShown(msgspec.Struct, rename="camel", kw_only=True):
    """A preset, besides it whatever further members it was saved with."""

    name: str
    nets: list[PresetNetShown]
    assignments: dict[str, list[int | str]]
    assignment_list: list[PresetAssignment]
    open: bool | UnsetType = UNSET
    rules: list[PresetRuleShown] | UnsetType = UNSET
    features: FeatureChanges | UnsetType = UNSET

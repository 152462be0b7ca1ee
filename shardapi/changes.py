"""Partial changes of the features and the Public Net: what they may carry, cleaned as they are read, and merged."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import force_setattr, replace

from .fields import Name, NetId, NetUid, RoleId
from .guild import Frozen

MOST_NETS = 50
MOST_GATES = 50
MOST_RULES = 200

S = TypeVar("S", bound=msgspec.Struct)

Gates = Annotated[
    tuple[RoleId, ...],
    Meta(max_length=MOST_GATES, description="Who holds one of these roles is let in; none: everyone"),
]


class Changes(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some members of a value; what is not given stays as it is, what is not known is refused."""

    def __post_init__(self) -> None:
        gates = getattr(self, "role_ids", UNSET)
        if gates is not UNSET:
            force_setattr(self, "role_ids", unique(gates))

    def given(self) -> dict[str, Any]:
        """What is to change."""
        members = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in members if value is not UNSET}

    def onto(self, value: S) -> S:
        """The value with these changes, the same one if it has them already."""
        after = replace(value, **self.given())
        return value if after == value else after


class PublicNetChanges(Changes, frozen=True, kw_only=True):
    """The Public Net's visibility, name and gates, as far as they are to change."""

    enabled: bool | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    role_ids: Gates | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name is not UNSET:
            force_setattr(self, "name", trimmed(self.name))


class OrgLinkChanges(Changes, frozen=True, kw_only=True):
    """The org link, as far as it is to change; its net by netUid ("" for none) or netId; if by both, they agree."""

    enabled: bool | UnsetType = UNSET
    role_ids: Gates | UnsetType = UNSET
    net_uid: NetUid | UnsetType = UNSET
    net_id: NetId | UnsetType = UNSET


class FeatureChanges(Changes, frozen=True, kw_only=True):
    """The features, as far as they are to change; publicNet and orgLink are merged one level deep."""

    max_nets: Annotated[int, Meta(ge=1, le=MOST_NETS)] | UnsetType = UNSET
    global_ptt_enabled: bool | UnsetType = UNSET
    acars_enabled: bool | UnsetType = UNSET
    ready_check_enabled: bool | UnsetType = UNSET
    public_net: PublicNetChanges | UnsetType = UNSET
    org_link: OrgLinkChanges | UnsetType = UNSET


def unique(items: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, in the order they first came."""
    return tuple(dict.fromkeys(items))


def trimmed(name: str) -> str:
    """The name without the space around it. Raises ValueError, which a decoder tells with the field's path."""
    name = name.strip()
    if name in (".", ".."):
        raise ValueError(f'A name cannot be "{name}"')
    return name

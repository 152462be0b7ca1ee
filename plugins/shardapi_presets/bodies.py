"""A preset as it is sent."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from shardapi import Body
from shardapi.changes import FeatureChanges
from shardapi.fields import CONTROLS, Name, RoleRule, UserId

MOST_NETS, MOST_RULES, MOST_ASSIGNMENTS = 50, 200, 5000

PresetName = Annotated[
    str,
    Meta(
        pattern=rf"^\s*[^\s{CONTROLS}]([^{CONTROLS}]{{0,98}}[^\s{CONTROLS}])?\s*$",
        description="1 to 100 characters after trimming, none of them a control character; not . or ..;"
        " upper and lower case differ",
        extra_json_schema={"not": {"enum": [".", ".."]}},
        examples=["Friday Op"],
    ),
]
Number = Annotated[
    int,
    Meta(
        ge=0,
        le=2**31 - 1,
        description="The id of one of the preset's own nets, else a live slot; 0 names none",
    ),
]
OwnId = Annotated[int, Meta(ge=1, le=2**31 - 1, description="What the preset calls the net")]


SavedUid = Annotated[
    str,
    Meta(
        pattern=r"^(net_[A-Za-z0-9_-]{1,60})?$(?!\n)",
        description="A net's uid, which begins with net_; a slot is a number, without quotes",
        examples=["net_jmqbkeg5s74cjkezqybwkhny"],
    ),
]
SeatUid = Annotated[SavedUid, Meta(min_length=1)]


class NetBody(Body, kw_only=True):
    """A net of the preset; `id` is what its assignments and rules call it, `uid` another name of `netUid`."""

    name: Name
    net_uid: SavedUid | None = None
    uid: SavedUid | None = None
    id: OwnId | None = None


class SeatBody(Body, kw_only=True):
    """A user and a net: one of the preset's own by its id, or any by its uid, or an active one by its slot."""

    schema_extra: ClassVar[dict[str, Any]] = {
        "if": {"required": ["netUid"], "properties": {"netUid": {"type": "string", "minLength": 1}}},
        "else": {"required": ["netId"], "properties": {"netId": {"type": "integer", "minimum": 1}}},
    }

    user_id: UserId
    net_uid: SavedUid | None = None
    net_id: Number | None = None
    action: Annotated[Literal["assign"], Meta(description="A preset only adds")] | None = None


class PresetRuleBody(RoleRule, kw_only=True):
    """A role, and its nets by netUids, which are preferred, by netIds or by netId."""

    net_uids: Annotated[list[SavedUid], Meta(max_length=MOST_NETS)] | None = None
    net_ids: Annotated[list[Number], Meta(max_length=MOST_NETS)] | None = None
    net_id: Number | None = None


Seats = Annotated[list[SeatBody], Meta(max_length=MOST_ASSIGNMENTS)]
SeatMap = dict[UserId, list[OwnId | SeatUid]]


class PresetBody(Body, kw_only=True):
    """A preset: nets to have, who is on them, and what else to set; further members are kept as they are."""

    name: PresetName
    nets: Annotated[list[NetBody], Meta(max_length=MOST_NETS)] | None = None
    assignments: Seats | SeatMap | None = None
    assignment_list: (
        Annotated[
            Seats,
            Meta(description="As answered: read where `assignments` is absent or does not tell the net"),
        ]
        | None
    ) = None
    open: bool | None = None
    rules: Annotated[list[PresetRuleBody], Meta(max_length=MOST_RULES)] | None = None
    features: FeatureChanges | None = None


class ApplyBody(Body, kw_only=True):
    """`partial`: make what can be made, where otherwise one refusal leaves everything as it is."""

    partial: bool | None = False

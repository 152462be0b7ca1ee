"""What an entry may hold, as it comes in a body: its bounds, and how it is cleaned."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from shardapi import Body, errors
from shardapi.errors import FieldError
from shardapi.fields import CONTROLS, Name, UserId, clean_name

MOST_TAGS, MOST_TAG = 32, 40
MOST_NOTES, MOST_USERS, MOST_RELAYS = 8_000, 2_000, 50

EntryUid = Annotated[
    str,
    Meta(
        pattern=r"^net_[A-Za-z0-9_-]{1,60}$(?!\n)",
        description="net_ and 1 to 60 of A-Z a-z 0-9 _ -, as a net's uid is",
        examples=["net_jmqbkeg5s74cjkezqybwkhny"],
    ),
]
PathUid = Annotated[str, Meta(description="The uid of an entry", examples=["net_jmqbkeg5s74cjkezqybwkhny"])]
Notes = Annotated[str, Meta(max_length=MOST_NOTES, description="Free text", examples=["Escort, two ships"])]
Tag = Annotated[
    str,
    Meta(
        pattern=rf"^\s*[^\s{CONTROLS}]([^{CONTROLS}]{{0,{MOST_TAG - 2}}}[^\s{CONTROLS}])?\s*$",
        description=f"1 to {MOST_TAG} characters after trimming, none of them a control character",
        examples=["air"],
    ),
]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=MOST_TAGS)]
Users = Annotated[tuple[UserId, ...], Meta(max_length=MOST_USERS)]
OtherUid = Annotated[EntryUid, Meta(examples=["net_2bhd5kq7m3xwvn6tzyrp4csa"])]
Relays = Annotated[tuple[OtherUid, ...], Meta(max_length=MOST_RELAYS)]


class EntryChanges(Body, kw_only=True):
    """The members of an entry that are to change; what is absent or null stays as it is."""

    name: Name | None = None
    notes: Notes | None = None
    tags: Tags | None = None
    assigned_user_ids: Users | None = None
    relay_target_net_uids: Relays | None = None
    inbound_relay_from_net_uids: Relays | None = None

    def given(self, uid: str) -> dict[str, Any]:
        """What is to change in the entry of this uid, cleaned. Raises invalid_value for a relay to itself."""
        members = msgspec.structs.asdict(self).items()
        found = {name: value for name, value in members if value is not None and name != "uid"}
        if self.name is not None:
            found["name"] = clean_name(self.name)
        if self.tags is not None:
            found["tags"] = tuple(tag.strip() for tag in self.tags)
        for name, path in (
            ("relay_target_net_uids", "relayTargetNetUids"),
            ("inbound_relay_from_net_uids", "inboundRelayFromNetUids"),
        ):
            if uid in found.get(name, ()):
                problem = FieldError(path, "Expected other nets")
                raise errors.INVALID_VALUE("A net cannot relay to itself.", errors=(problem,))
        lists = {name: tuple(dict.fromkeys(value)) for name, value in found.items() if type(value) is tuple}
        return {**found, **lists}


class EntryBody(EntryChanges, kw_only=True):
    """An entry to create, or to update if there is one of this uid; a new one needs a name."""

    schema_extra: ClassVar[dict[str, Any]] = {
        "if": {"required": ["uid"], "properties": {"uid": {"type": "string"}}},
        "else": {"required": ["name"], "properties": {"name": {"type": "string"}}},
    }

    uid: EntryUid | None = None

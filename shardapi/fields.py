"""Fields that many calls share: their bounds, and how they are cleaned."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from .errors import INVALID_VALUE, FieldError
from .guild import GLOBAL_SLOT
from .routes import Body

CONTROLS = r"\x00-\x1f\x7f-\x9f"

UserId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$(?!\n)",
        description="A Discord user id, or any name of 1 to 64 of A-Z a-z 0-9 _ . : -",
        examples=["123456789012345678"],
    ),
]
RoleId = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Za-z_.:-]{1,64}$(?!\n)",
        description="A Discord role id, or any name of 1 to 64 of A-Z a-z 0-9 _ . : -",
    ),
]
Name = Annotated[
    str,
    Meta(
        pattern=rf"^\s*[^\s{CONTROLS}]([^{CONTROLS}]{{0,62}}[^\s{CONTROLS}])?\s*$",
        description="1 to 64 characters after trimming, none of them a control character; not . or ..",
        extra_json_schema={"not": {"pattern": r"^\s*\.{1,2}\s*$"}},
        examples=["Strike Net"],
    ),
]
NetUid = Annotated[str, Meta(max_length=64, examples=["net_jmqbkeg5s74cjkezqybwkhny"])]
NetId = Annotated[
    int,
    Meta(ge=1, le=GLOBAL_SLOT, description="A live slot, as GET /status has it; those of no net are refused"),
]


def clean_name(text: str, path: str = "name") -> str:
    """The name without the space around it. Raises invalid_value for . and .."""
    name = text.strip()
    if name in (".", ".."):
        raise INVALID_VALUE(
            f'A name cannot be "{name}".', errors=(FieldError(path, "Expected another name"),)
        )
    return name


class RoleRule(Body, kw_only=True):
    """What bodies with a role and its nets share: netUids is preferred, then netIds, then netId; a subclass says which
    values the three may have."""

    schema_extra: ClassVar[dict[str, Any]] = {
        "if": {"required": ["netUids"], "properties": {"netUids": {"type": "array"}}},
        "else": {
            "if": {"required": ["netIds"], "properties": {"netIds": {"type": "array"}}},
            "else": {"required": ["netId"], "properties": {"netId": {"type": "integer"}}},
        },
    }

    role_id: RoleId


class NetRef(Body, kw_only=True):
    """A body that names a net: by netUid, which is preferred, or by netId; if by both, they must agree."""

    schema_extra: ClassVar[dict[str, Any]] = {
        "if": {"required": ["netUid"], "properties": {"netUid": {"type": "string", "minLength": 1}}},
        "else": {"required": ["netId"], "properties": {"netId": {"type": "integer"}}},
    }

    net_uid: NetUid | None = None
    net_id: NetId | None = None

    def named(self, path: str = "") -> tuple[str, int]:
        """(uid, slot), "" and 0 for what is not given. Raises invalid_value if neither is."""
        if not self.net_uid and not self.net_id:
            problem = FieldError(f"{path}netUid", "Expected netUid or netId")
            raise INVALID_VALUE("Name the net by netUid or netId.", errors=(problem,))
        return self.net_uid or "", self.net_id or 0


def named_in_path(ref: str) -> tuple[str, int]:
    """(uid, slot) of a path segment that is either."""
    if ref.isascii() and ref.isdecimal() and len(ref) < 6:
        return "", int(ref)
    return ref, 0

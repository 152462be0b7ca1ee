"""The settings under [plugins.attendance]."""

from typing import Annotated

from msgspec import Meta, Struct


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """`keep_days` is how long a visit is kept after its end."""

    keep_days: Annotated[int, Meta(ge=1, le=3650)] = 400

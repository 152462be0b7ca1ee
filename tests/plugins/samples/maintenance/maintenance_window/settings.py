"""The settings under [plugins.maintenance]."""

from typing import Annotated

from msgspec import Meta, Struct


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """`longest_minutes` is how long a window may be."""

    longest_minutes: Annotated[int, Meta(ge=1, le=10_080)] = 1440

"""[plugins.panel] of the settings."""

from typing import Annotated

import msgspec

from shardapi.config import Rate


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a session ends by itself, and how often one may ask."""

    idle_minutes: Annotated[int, msgspec.Meta(ge=1)] = 720
    session_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 7
    limit: Rate = Rate(1200, 60)

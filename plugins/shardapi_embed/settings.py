"""[plugins.embed] of the settings."""

from typing import Annotated

import msgspec

# What may stand in a policy: any site, or an origin, where * may be its first label or its port.
Ancestor = Annotated[
    str, msgspec.Meta(pattern=r"^(\*|https?://(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:(\d{1,5}|\*))?)$(?!\n)")
]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`token_days` is how long a token is good at least, 0 for ever; `frame_ancestors` may show the page."""

    token_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 0
    frame_ancestors: tuple[Ancestor, ...] = ("*",)

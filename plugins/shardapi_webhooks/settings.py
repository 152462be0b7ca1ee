"""[plugins.webhooks] of the settings."""

from ipaddress import ip_network

import msgspec


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`allow_private` are networks that webhooks may reach besides the public internet."""

    allow_private: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for network in self.allow_private:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f'allow_private: "{network}" is not an address or network') from None

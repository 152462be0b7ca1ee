"""The settings under [plugins.mqtt]."""

from typing import Annotated

from msgspec import Meta, Struct


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The broker, and the topic that all others are below; `password` is best given as a file.

    SHARDAPI_PLUGINS__MQTT__PASSWORD_FILE names it. After `keepalive_seconds` and a half without a sign of life the
    broker takes the shard for dead, where nothing has closed the connection.
    """

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    tls: bool = False
    username: str = ""
    password: str = ""
    prefix: Annotated[str, Meta(pattern=r"^[^+#/\x00][^+#\x00]*[^+#/\x00]$(?!\n)")] = "shardapi"
    keepalive_seconds: Annotated[int, Meta(ge=2, le=3600)] = 10

    def __post_init__(self) -> None:
        if self.password and not self.username:
            raise ValueError("a password needs a username")

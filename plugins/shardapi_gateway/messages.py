"""What operators' clients and the gateway say to each other: JSON objects, told apart by `type`."""

from typing import Annotated, Any, Literal

import msgspec

from shardapi.errors import ErrorCode
from shardapi.presence import OperatorConfig

MALFORMED_FRAME = ErrorCode(
    "malformed_frame", 400, "Malformed frame", "a WebSocket message is not JSON of ours"
)
FOREIGN_GUILD = ErrorCode("foreign_guild", 409, "Another guild", "a client joined with another guild's id")
NOT_JOINED = ErrorCode("not_joined", 409, "Not joined", "a WebSocket message came before `join`")

CONTROLS = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
Name = Annotated[str, msgspec.Meta(max_length=64)]


class FromClient(msgspec.Struct, rename="camel", kw_only=True):
    """A client's message; members that are not declared are ignored."""


class Ping(FromClient):
    """Asks for a pong."""


class AudioCodec(FromClient):
    """Which codec the client's voice has; noted."""

    codec: Name


class Join(FromClient):
    """Asks to be taken in; with a service key one only listens, whether `serviceListen` says so or not."""

    guild_id: Name
    mode: Literal["control", "voice"] = "control"
    service_listen: bool = False
    display_name: Name | None = ""

    @property
    def name(self) -> str:
        """The display name as it can be shown, "" if there is none."""
        name = "".join(one for one in self.display_name or "" if one not in CONTROLS).strip()
        return "" if name in (".", "..") else name


class Ptt(FromClient):
    """Push-to-talk on a net, named by its uid, its slot or both."""

    net_id: int | None = None
    net_uid: Name | None = None

    def __post_init__(self) -> None:
        if self.net_id is None and not self.net_uid:
            raise ValueError("netId or netUid is missing")


class PttStart(Ptt):
    """Keys up."""


class PttStop(Ptt):
    """Keys down."""


class Typed(msgspec.Struct):
    """What every message has."""

    type: str


_typed = msgspec.json.Decoder(Typed)
_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    "ping": msgspec.json.Decoder(Ping),
    "audio.codec": msgspec.json.Decoder(AudioCodec),
    "join": msgspec.json.Decoder(Join),
    "ptt.start": msgspec.json.Decoder(PttStart),
    "ptt.stop": msgspec.json.Decoder(PttStop),
}


def read(text: bytes) -> FromClient | None:
    """A client's message; None for a type that is not known. Raises malformed_frame."""
    try:
        decoder = _decoders.get(_typed.decode(text).type)
        message: FromClient | None = None if decoder is None else decoder.decode(text)
    except RecursionError:
        raise MALFORMED_FRAME("The frame is nested too deeply.") from None
    except msgspec.MsgspecError as error:
        raise MALFORMED_FRAME(f"{error}.") from None
    return message


class FromServer(msgspec.Struct, rename="camel", tag_field="type", kw_only=True):
    """A message of ours."""


class Hello(FromServer, tag="hello", kw_only=True):
    """The first message of a connection."""

    protocol: int = 1
    guild_id: str
    heartbeat_ms: int


class JoinedUser(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    display_name: str
    roles: tuple[str, ...]


class Joined(FromServer, tag="joined", kw_only=True):
    """The answer to a join."""

    user: JoinedUser
    transport: str
    config: OperatorConfig


class Disconnect(FromServer, tag="disconnect", kw_only=True):
    """Says why the connection is about to be closed."""

    reason: str


class Pong(FromServer, tag="pong"):
    """The answer to a ping."""

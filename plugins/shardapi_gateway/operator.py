"""An operator at the other end of a WebSocket: what the client says, done to presence."""

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace
from websockets.frames import CloseCode
from websockets.server import ServerProtocol

from shardapi.errors import RATE_LIMITED, ApiError
from shardapi.presence import Identity, refusal

from .connection import DISCONNECTED, Allowance, WebSocket
from .messages import (
    FOREIGN_GUILD,
    MALFORMED_FRAME,
    NOT_JOINED,
    AudioCodec,
    Disconnect,
    FromClient,
    Hello,
    Join,
    Joined,
    JoinedUser,
    Ping,
    Pong,
    Ptt,
    PttStart,
    PttStop,
    read,
)

if TYPE_CHECKING:
    from .gateway import Gateway

KEY_UPS, KEY_UPS_SECONDS = 10, 5.0
MALFORMED_FRAMES = 3


class Operator(WebSocket):
    """One connection of one user."""

    def __init__(self, gateway: "Gateway", identity: Identity, protocol: ServerProtocol) -> None:
        super().__init__(protocol, gateway.heartbeat)
        self.gateway, self.identity = gateway, identity
        self.presence = gateway.shard.presence
        self.joined = False
        self.codec = self.mode = ""
        self._malformed = 0
        self._key_ups = Allowance(KEY_UPS, KEY_UPS_SECONDS)

    def opened(self) -> None:
        """Say hello."""
        self.gateway.remember(self)
        guild_id, heartbeat_ms = self.presence.guild.id, int(self.heartbeat * 1000)
        self.say(msgspec.json.encode(Hello(guild_id=guild_id, heartbeat_ms=heartbeat_ms)))

    def ended(self, reason: str) -> None:
        """Leave."""
        self.gateway.forget(self)
        self.presence.leave(self, reason)

    def close(self, reason: str, text: str = "") -> None:
        """Say why, and close."""
        text = text or reason
        self.say(msgspec.json.encode(Disconnect(reason=text)))
        self.shut(DISCONNECTED, text, reason)

    def received(self, text: bytes, hurried: bool) -> None:
        """Do what a message asks for, or say why not."""
        try:
            message = read(text)
            # Letting go of the key is always heard: a limit must not hold a microphone open.
            if hurried and not isinstance(message, PttStop):
                raise RATE_LIMITED("That was too many frames in a second.")
            if message is not None:
                self._do(message)
        except ApiError as error:
            self._refuse(error)

    def received_binary(self) -> None:
        """Refuse what is not a text."""
        self._refuse(MALFORMED_FRAME("A message is a text frame with a JSON object."))

    def _refuse(self, error: ApiError) -> None:
        self.say(msgspec.json.encode(refusal(error)))
        if error.kind is MALFORMED_FRAME:
            self._malformed += 1
            if self._malformed == MALFORMED_FRAMES:
                self.shut(CloseCode.POLICY_VIOLATION, "too many malformed frames", "disconnect")

    def _do(self, message: FromClient) -> None:
        match message:
            case Ping():
                self.say(msgspec.json.encode(Pong()))
            case AudioCodec():
                self.codec = message.codec
            case Join():
                self._join(message)
            case PttStart():
                self._key_up(message)
            case PttStop():
                self._must_have_joined()
                self.presence.key_down(self, *_net(message))

    def _join(self, message: Join) -> None:
        if message.guild_id != self.presence.guild.id:
            raise FOREIGN_GUILD(f"This is guild {self.presence.guild.id}.")
        if self.joined:
            return
        if not self.gateway.shard.serving:
            self.close("restart")
            return
        self.mode = message.mode
        if self.identity.service:
            self.identity = replace(self.identity, display_name=message.name or self.identity.display_name)
        user = self.presence.join(self, self.identity)
        self.joined = True
        shown = JoinedUser(id=user.id, display_name=user.identity.display_name, roles=user.identity.roles)
        config = self.presence.config_of(user.nets)
        self.say(msgspec.json.encode(Joined(user=shown, transport=self.transport, config=config)))

    def _key_up(self, message: PttStart) -> None:
        self._must_have_joined()
        if not self._key_ups.take():
            raise RATE_LIMITED(f"That was more than {KEY_UPS} key-ups in {KEY_UPS_SECONDS:.0f} s.")
        self.presence.key_up(self, *_net(message))

    def _must_have_joined(self) -> None:
        if not self.joined:
            raise NOT_JOINED("Send a join first.")


def _net(message: Ptt) -> tuple[str, int]:
    return message.net_uid or "", message.net_id or 0

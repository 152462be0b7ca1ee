"""An operator's client over a real WebSocket: joins, talks, leaves, and waits each time until the shard has said so."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ..guild import GLOBAL_SLOT, GLOBAL_UID

PATIENCE_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.05
STARTING = 503

Message = dict[str, Any]


class Refused(Exception):
    """Raised when the shard did not do what it was asked for; `code` is the error's, "" if it gave none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Radio:
    """One operator's client, joined or not; one thing is asked of it at a time."""

    def __init__(self, url: str, user_id: str, token: str) -> None:
        self.url = url.rstrip("/").replace("http", "ws", 1) + "/ws"
        self.user_id, self.token = user_id, token
        self.config: Message = {}
        self.talking: set[int] = set()
        self._socket: ClientConnection | None = None
        self._listener: asyncio.Task[None] | None = None
        self._asked: tuple[Callable[[Message], bool], asyncio.Future[Message]] | None = None

    @property
    def on_air(self) -> bool:
        """Whether it has joined and is still connected."""
        return self._socket is not None

    async def join(self) -> None:
        """Connect and join; a shard that is just starting is waited for. Raises Refused."""
        if self.on_air:
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (socket := await self._connect(deadline)) is None:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        self._socket = socket
        self._listener = asyncio.create_task(self._listen(socket))
        try:
            hello = await self._ask(None, lambda said: said["type"] == "hello")
            join = {"type": "join", "guildId": hello["guildId"], "mode": "voice"}
            joined = await self._ask(join, lambda said: said["type"] == "joined")
        except BaseException:
            await self.leave()
            raise
        self.config = joined["config"]

    async def _connect(self, deadline: float) -> ClientConnection | None:
        """A connection, or None to try again."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            return await connect(
                self.url, additional_headers=headers, proxy=None, open_timeout=PATIENCE_SECONDS
            )
        except InvalidStatus as error:
            if error.response.status_code != STARTING or time.monotonic() > deadline:
                raise Refused(*problem(bytes(error.response.body or b""), str(error))) from None
        except (OSError, InvalidHandshake) as error:
            if not isinstance(error, ConnectionRefusedError) or time.monotonic() > deadline:
                raise Refused(f"cannot connect to {self.url}: {error}") from None
        return None

    async def leave(self) -> None:
        """Close the connection, if there is one."""
        socket, self._socket = self._socket, None
        self.talking.clear()
        if socket is not None:
            await socket.close()
        if self._listener is not None:
            await asyncio.wait([self._listener])

    async def key(self, net: str) -> None:
        """Key up, and wait until the shard tells it to everyone on the net. Raises Refused."""
        name, slot = self.find(net)
        if slot not in self.talking:
            await self._ask({"type": "ptt.start", **name}, lambda said: self._mine(said, "ptt.start", slot))

    async def release(self, net: str) -> None:
        """Let go of the key; nothing if the shard has ended the transmission already. Raises Refused."""
        name, slot = self.find(net)
        if slot in self.talking:
            await self._ask({"type": "ptt.stop", **name}, lambda said: self._mine(said, "ptt.stop", slot))

    def find(self, net: str) -> tuple[Message, int]:
        """How a net of this name, uid or slot is named in a message, and its slot. Raises Refused."""
        if not self.on_air:
            raise Refused(f"{self.user_id} is not on the air")
        if net in (GLOBAL_UID, str(GLOBAL_SLOT)):
            return {"netUid": GLOBAL_UID}, GLOBAL_SLOT
        for known in self.config["nets"]:
            if net in (known["uid"], known["name"], str(known["id"])):
                return {"netUid": known["uid"]}, known["id"]
        raise Refused(f"there is no net {net}", "net_not_found")

    # -- what is said

    async def _ask(self, message: Message | None, answered: Callable[[Message], bool]) -> Message:
        """Send a message, if there is one, and wait for the answer. Raises Refused."""
        if self._socket is None:
            raise Refused(f"{self.user_id} was disconnected")
        answer = asyncio.get_running_loop().create_future()
        self._asked = answered, answer
        try:
            if message is not None:
                await self._socket.send(msgspec.json.encode(message), text=True)
            return await asyncio.wait_for(answer, PATIENCE_SECONDS)
        except TimeoutError:
            raise Refused(f"the shard did not answer within {PATIENCE_SECONDS:.0f} s") from None
        except ConnectionClosed:
            raise Refused(f"{self.user_id} was disconnected") from None
        finally:
            self._asked = None

    async def _listen(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in socket:
                self._hear(msgspec.json.decode(text))
        if self._socket is socket:
            self._socket = None
            self.talking.clear()
        if self._asked is not None and not self._asked[1].done():
            self._asked[1].set_exception(Refused(f"{self.user_id} was disconnected"))

    def _hear(self, said: Message) -> None:
        match said["type"]:
            case "config":
                self.config = said
            case "ptt.start" if said["data"]["userId"] == self.user_id:
                self.talking.add(said["data"]["netId"])
            case "ptt.stop" if said["data"]["userId"] == self.user_id:
                self.talking.discard(said["data"]["netId"])
        if self._asked is None or self._asked[1].done():
            return
        answered, answer = self._asked
        if said["type"] == "error":
            answer.set_exception(Refused(said["message"], said["code"]))
        elif answered(said):
            answer.set_result(said)

    def _mine(self, said: Message, kind: str, slot: int) -> bool:
        data = said.get("data", {})
        return bool(said["type"] == kind and data["userId"] == self.user_id and data["netId"] == slot)


def problem(body: bytes, otherwise: str) -> tuple[str, str]:
    """What a problem document says: the sentence and the code."""
    try:
        said = msgspec.json.decode(body)
        return str(said["error"]), str(said["code"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return otherwise, ""

"""Simulated operators: real connections that do what a plan says, one step after another, each when it is due.

A step is over when the shard has told it, so that the shard's log has the steps in the order of the plan.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .. import clock
from ..config import Config
from .radio import PATIENCE_SECONDS, Radio, Refused, problem
from .script import OVER_THE_API, Actor, ScriptError, Step

if TYPE_CHECKING:
    from ..shard import Shard

LATE_SECONDS = 1.0
KEY_NAME, KEY_SCOPES, KEY_MS = "simulator", ("read:status", "write:assignments"), 86_400_000
# Not the machine's proxies: what is simulated is near.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Done(NamedTuple):
    """A step that was tried, and why the shard refused it, "" if it did not."""

    step: Step
    refused: str = ""


class Access(NamedTuple):
    """What operators get in with: a token for each user id, and a key of the API, "" if there is none."""

    tokens: Mapping[str, str]
    key: str = ""


class Simulator:
    """Operators at one shard. With `return_home` one who was thrown out comes back when it is their turn."""

    def __init__(
        self,
        url: str,
        tokens: Mapping[str, str],
        key: str = "",
        told: Callable[[Done], None] = lambda done: None,
        return_home: bool = False,
    ) -> None:
        self.url, self.key, self.told, self.return_home = url.rstrip("/"), key, told, return_home
        self.radios = {user: Radio(url, user, token) for user, token in tokens.items()}
        self._away = set(self.radios)
        self._uids: dict[str, str] = {}

    async def play(self, steps: Iterable[Step], speed: float = 1.0) -> None:
        """Do the steps; after a stall the rest is late by as much, never faster than it was written."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for step in steps:
            wait = start + step.at / speed - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            elif wait < -LATE_SECONDS:
                start -= wait
            self.told(Done(step, await self._try(step)))

    async def run(self, steps: Iterable[Step], speed: float = 1.0) -> None:
        """Do the steps; at the end, or when cancelled, everyone leaves."""
        try:
            await self.play(steps, speed)
        finally:
            await self.everyone_leaves()

    async def everyone_leaves(self) -> None:
        """Close every connection, one after another in the order they were named."""
        for radio in self.radios.values():
            await radio.leave()

    async def _try(self, step: Step) -> str:
        try:
            await self._do(step)
        except Refused as error:
            return str(error)
        return ""

    async def _do(self, step: Step) -> None:
        radio = self.radios[step.user]
        if step.do in OVER_THE_API:
            await asyncio.to_thread(self._assign, step)
            return
        if self.return_home and not radio.on_air and step.user not in self._away:
            await radio.join()
        match step.do:
            case "join":
                self._away.discard(step.user)
                await radio.join()
            case "leave":
                self._away.add(step.user)
                await radio.leave()
            case "key":
                await radio.key(step.net)
            case "release":
                await radio.release(step.net)

    # -- over the API

    def _assign(self, step: Step) -> None:
        body = {"userId": step.user, "action": step.do, **self._net(step.net)}
        self._call("/assignments", body)

    def _net(self, net: str) -> dict[str, Any]:
        if net.isdecimal():
            return {"netId": int(net)}
        if net not in self._uids:
            self._uids = {one["name"]: one["netUid"] for one in self._call("/status")["nets"]}
        return {"netUid": self._uids.get(net, net)}

    def _call(self, path: str, body: Any = None) -> Any:
        """Ask the API. Raises Refused."""
        if not self.key:
            raise Refused("this needs a key of the API")
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            None if body is None else msgspec.json.encode(body),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        try:
            with _http.open(request, timeout=PATIENCE_SECONDS) as answer:
                return msgspec.json.decode(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(*problem(error.read(), str(error))) from None
        except (OSError, HTTPException, msgspec.DecodeError) as error:
            raise Refused(f"cannot ask {self.url}: {error}") from None


@contextmanager
def access(operators: Mapping[str, Actor], with_key: bool, settings: Config | None) -> Iterator[Access]:
    """What these operators need to get in: tokens they bring themselves, the rest minted from the shard's data.

    A minted key ends with the block. Raises ScriptError if something is to be minted and there are no settings.
    """
    missing = {user: actor for user, actor in operators.items() if not actor.token}
    tokens = {user: actor.token for user, actor in operators.items()}
    if not missing and not with_key:
        yield Access(tokens)
        return
    if settings is None:
        what = f"operators.{next(iter(missing))} has no token" if missing else "there is no key"
        raise ScriptError(f"{what}; give one, or say where the shard's data is")
    from ..app import create_app

    app = create_app(settings)
    try:
        tokens |= mint(app.shard, missing)
        if not with_key:
            yield Access(tokens)
            return
        made, secret = app.shard.keys.create(KEY_NAME, KEY_SCOPES, expires_at=clock.now() + KEY_MS)
        try:
            yield Access(tokens, secret)
        finally:
            app.shard.keys.revoke(made.id)
    finally:
        app.shard.close()


def mint(shard: "Shard", operators: Mapping[str, Actor]) -> dict[str, str]:
    """A token for each of these operators, for a day."""
    sign = shard.central.operator_token
    return {user: sign(user, actor.name or user, actor.roles, 1) for user, actor in operators.items()}

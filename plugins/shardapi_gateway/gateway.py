"""The operators' sockets of one shard: who is let in, and how many at once."""

from collections.abc import Iterable

import flask
import gevent.event

from shardapi import clock
from shardapi.auth import KINDS, Key
from shardapi.errors import BLOCKED, STARTING, UNAUTHORIZED, ErrorCode
from shardapi.limits import subnet
from shardapi.presence import Identity
from shardapi.routes import Call
from shardapi.shard import Shard
from shardapi.tokens import BadToken

from . import handshake
from .operator import Operator

TOO_MANY_SOCKETS = ErrorCode(
    "too_many_sockets", 429, "Too many sockets", "the operator has as many connections open as may be"
)


class Gateway:
    """The way in for operators."""

    def __init__(
        self, shard: Shard, sockets_per_user: int, origins: tuple[str, ...], heartbeat: float
    ) -> None:
        self.shard, self.sockets_per_user, self.origins = shard, sockets_per_user, origins
        self.heartbeat = heartbeat
        self.sockets: dict[str, set[Operator]] = {}
        shard.keys.on_ended.append(self._key_ended)
        shard.operators.on_change.append(self._look_again)

    def open(self, call: Call) -> flask.Response:
        """The answer to an upgrade. Raises what refuses it, in the order of what it costs to find out."""
        if not self.shard.serving:
            raise STARTING(
                "This shard is starting or stopping.", hint="Try again.", headers=(("Retry-After", "1"),)
            )
        protocol, reply = handshake.accept(call.environ)
        handshake.check_origin(call.environ, self.shard.config.server.public_url, self.origins)
        identity = self._identify(call)
        self._admit(identity)
        count = len(self.sockets.get(identity.user_id, ()))
        if count >= self.sockets_per_user:
            raise TOO_MANY_SOCKETS(
                f"This user has {count} sockets already.",
                hint="Close one.",
                headers=(("Retry-After", "5"),),
            )
        return handshake.Upgrade(Operator(self, identity, protocol), reply)

    def remember(self, operator: Operator) -> None:
        """A socket is open."""
        self.sockets.setdefault(operator.identity.user_id, set()).add(operator)

    def forget(self, operator: Operator) -> None:
        """A socket has ended."""
        sockets = self.sockets.get(operator.identity.user_id, set())
        sockets.discard(operator)
        if not sockets:
            self.sockets.pop(operator.identity.user_id, None)

    def stay_open(self) -> None:
        """Run until the shard retires, then close what is left: presence knows only those who joined."""
        try:
            gevent.event.Event().wait()
        finally:
            for sockets in list(self.sockets.values()):
                for operator in list(sockets):
                    operator.close("restart")

    # -- who is let in

    def _identify(self, call: Call) -> Identity:
        token = handshake.token(call)
        identity = self._service(token) if token.startswith(KINDS["service"]) else self._operator(token)
        if identity is None:
            self.shard.auth_failures.spend(subnet(call.address))
            raise UNAUTHORIZED(
                "This socket needs a valid operator token or service key of this shard.",
                hint="They are made with `shardapi operators token` and `shardapi keys create NAME --service`.",
                headers=(("WWW-Authenticate", "Bearer"),),
            )
        return identity

    def _operator(self, token: str) -> Identity | None:
        try:
            identity = self.shard.central.operator(token) if token else None
        except BadToken:
            return None
        return None if identity is None or self.shard.operators.revoked(identity) else identity

    def _service(self, secret: str) -> Identity | None:
        key = self.shard.keys.find(secret, "service")
        # The key's id has 20 ASCII characters: as long as a sender's id may be in a frame of voice.
        return None if key is None else Identity(key.id, key.name, service=True)

    def _admit(self, identity: Identity) -> None:
        until = self.shard.operators.blocked_until(identity.user_id)
        if until:
            seconds = (until - clock.now()) // 1000 + 1
            raise BLOCKED(
                f"This user was disconnected and may come back at {clock.iso(until)}.",
                headers=(("Retry-After", str(seconds)),),
            )

    # -- who has to go

    def _key_ended(self, key: Key) -> None:
        if key.kind == "service":
            self._dismiss(self.sockets.get(key.id, ()), "revoked")

    def _look_again(self) -> None:
        for user_id, sockets in list(self.sockets.items()):
            self._dismiss([one for one in sockets if self.shard.operators.revoked(one.identity)], "revoked")
            if self.shard.operators.blocked_until(user_id):
                self._dismiss(sockets, "disconnect")

    def _dismiss(self, sockets: Iterable[Operator], reason: str) -> None:
        for operator in list(sockets):
            operator.close(reason)
            self.shard.presence.leave(operator, reason)

"""The operators' sockets of one shard: who is let in, and how many at once."""

import flask
import gevent.event

from shardapi.errors import STARTING, UNAUTHORIZED, ErrorCode
from shardapi.limits import subnet
from shardapi.presence import Identity
from shardapi.routes import Call
from shardapi.shard import Shard
from shardapi.tokens import BadToken

from . import handshake
from .operator import Operator

TOO_MANY_SOCKETS = ErrorCode("too_many_sockets", 429, "Too many sockets")


class Gateway:
    """The way in for operators."""

    def __init__(
        self, shard: Shard, sockets_per_user: int, origins: tuple[str, ...], heartbeat: float
    ) -> None:
        self.shard, self.sockets_per_user, self.origins = shard, sockets_per_user, origins
        self.heartbeat = heartbeat
        self.sockets: dict[str, set[Operator]] = {}

    def open(self, call: Call) -> flask.Response:
        """The answer to an upgrade. Raises what refuses it, in the order of what it costs to find out."""
        if not self.shard.serving:
            raise STARTING("This shard is starting.", hint="Try again.", headers=(("Retry-After", "1"),))
        protocol, reply = handshake.accept(call.environ)
        handshake.check_origin(call.environ, self.shard.config.server.public_url, self.origins)
        identity = self._identify(call)
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

    def _identify(self, call: Call) -> Identity:
        token = handshake.token(call)
        try:
            identity = self.shard.central.operator(token) if token else None
        except BadToken:
            identity = None
        if identity is None:
            self.shard.auth_failures.spend(subnet(call.address))
            raise UNAUTHORIZED(
                "This socket needs a valid operator token of this shard.",
                hint="Tokens are made with `shardapi operators token`.",
                headers=(("WWW-Authenticate", "Bearer"),),
            )
        return identity

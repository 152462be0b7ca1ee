"""Who is connected and who transmits: live state, told to operators at once and to the log right after."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

import gevent
import msgspec
from msgspec import UNSET

from . import clock
from .errors import (
    FEATURE_OFF,
    LISTEN_ONLY,
    NET_MISMATCH,
    NET_NOT_FOUND,
    NOT_ON_NET,
    OPERATION_CLOSED,
    ApiError,
)
from .events import Event, PttStart, PttStop, UserJoined, UserLeft
from .guild import GLOBAL_SLOT, GLOBAL_UID, PUBLIC_SLOT, PUBLIC_UID, FeatureFlags, Frozen, Guild, PublicNet
from .writer import Writer

TRANSMISSION_SECONDS = 60.0
LOOK_SECONDS = 1.0


class Message:
    """A text message to operators; `wire` keeps the frame it was made into, so that it is made once."""

    __slots__ = ("text", "wire")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.wire: bytes | None = None


class Connection(Protocol):
    """One operator's connection, as its transport gives it to us. Neither call may block or raise."""

    transport: str

    def send(self, message: Message) -> bool:
        """Queue a message; False if the connection is ending and takes none."""

    def close(self, reason: str, text: str = "") -> None:
        """Say `disconnect` with the text, or else the reason, and end it; `leave` follows from the transport."""


class Identity(msgspec.Struct, frozen=True):
    """Who a token or service key says someone is; `issued_at` is when the token was made (s).

    `after` is the last revocation before it was made (s), None where the token does not say.
    """

    user_id: str
    display_name: str
    roles: tuple[str, ...] = ()
    service: bool = False
    issued_at: int = 0
    after: int | None = None


class Transmission:
    """One user keyed up on one net, from one connection."""

    __slots__ = ("user", "net_uid", "net_id", "connection", "began", "began_at", "forced", "released")

    def __init__(self, user: "User", net_uid: str, net_id: int, connection: Connection) -> None:
        self.user, self.net_uid, self.net_id, self.connection = user, net_uid, net_id, connection
        self.began, self.began_at = time.monotonic(), clock.now()
        self.forced = self.released = ""


class User:
    """One person with one or more connections."""

    __slots__ = ("identity", "connections", "transport", "since", "nets", "transmissions")

    def __init__(self, identity: Identity, transport: str) -> None:
        self.identity, self.transport, self.since = identity, transport, clock.now()
        self.connections: list[Connection] = []
        self.nets: frozenset[str] = frozenset()
        self.transmissions: dict[str, Transmission] = {}

    @property
    def id(self) -> str:
        return self.identity.user_id


class ConfigNet(Frozen, frozen=True, kw_only=True):
    id: int
    uid: str
    net_uid: str
    name: str
    assigned: bool


class OperatorConfig(Frozen, frozen=True, kw_only=True):
    """What an operator's client needs to know: the nets, and which of them are theirs."""

    version: int
    operation_open: bool
    features: FeatureFlags
    public_net: PublicNet
    nets: tuple[ConfigNet, ...]
    assignments: tuple[int, ...]


class Presence:
    """The connected users of one guild. `version` changes whenever anything a reader can see does."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.version = writer, 0
        self.peak = 0  # the most who were connected at once
        self.ended: Counter[str] = Counter()  # how many connections have left, by reason
        self.users: dict[str, User] = {}
        self.transmissions: dict[tuple[str, str], Transmission] = {}
        self._owner: dict[Connection, User] = {}
        self._on_net: dict[str, set[User]] = {}
        writer.on_change.append(self._reconfigure)

    @property
    def guild(self) -> Guild:
        return self.writer.guild

    # -- what readers ask

    @property
    def connected(self) -> int:
        """Distinct connected users; service listeners do not count."""
        return sum(not user.identity.service for user in self.users.values())

    @property
    def clients(self) -> int:
        """Connections of operators; those of service listeners do not count."""
        return sum(len(user.connections) for user in self.users.values() if not user.identity.service)

    def occupancy(self, net_uid: str) -> int:
        """Distinct connected users who are on the net."""
        return sum(not user.identity.service for user in self._on_net.get(net_uid, ()))

    def transmitting(self, net_uid: str) -> list[str]:
        """Ids of the users who transmit on the net, the first to key up first."""
        return [t.user.id for t in self.transmissions.values() if t.net_uid == net_uid and not t.forced]

    def slots(self, nets: Iterable[str]) -> list[int]:
        """The slots of these nets, ascending; nets that are gone are left out."""
        guild, found = self.guild, []
        for uid in nets:
            if uid == PUBLIC_UID:
                found.append(PUBLIC_SLOT)
            elif uid in guild.nets:
                found.append(guild.nets[uid].slot)
        return sorted(found)

    def uid_in(self, slot: int) -> str:
        """The uid of the net in a slot, the Public Net's too."""
        net = self.guild.net_in(slot)
        return net.uid if net is not None else PUBLIC_UID

    def roles_hold(self, user_id: str, net_uid: str, guild: Guild) -> bool:
        """Whether a rule of this state of the guild, on a connected user's roles, puts them on the net."""
        user = self.users.get(user_id)
        return user is not None and net_uid in guild.ruled(user.identity.roles)

    def moved_by_rules(self, before: Guild, after: Guild) -> int:
        """How often a connected user comes on or off a net as the rules of one state give way to another's."""
        differing: dict[tuple[str, ...], set[str]] = {}
        moved, now = 0, clock.now()
        for user in self.users.values():
            roles = user.identity.roles
            if roles not in differing:
                differing[roles] = before.ruled(roles) ^ after.ruled(roles)
            moved += sum(not after.assigned(user.id, uid, now) for uid in differing[roles])
        return moved

    # -- what operators do

    def join(self, connection: Connection, identity: Identity) -> User:
        """Take a connection in; the user's first one is told as user.joined."""
        user = self.users.get(identity.user_id)
        if user is None:
            user = self.users[identity.user_id] = User(identity, connection.transport)
            self._place(user)
            self.peak = max(self.peak, self.connected)
            joined = UserJoined(
                user_id=user.id,
                display_name=identity.display_name,
                transport=connection.transport,
                nets=tuple(self.slots(user.nets)),
                service=identity.service or UNSET,
            )
            self.writer.post([Event("user.joined", joined, "", user.since)])
        elif identity.issued_at >= user.identity.issued_at:
            self._know_anew(user, identity)
        user.connections.append(connection)
        self._owner[connection] = user
        self.version += 1
        return user

    def _know_anew(self, user: User, identity: Identity) -> None:
        """Go by the newest token from now on; what it says of roles holds for the older connections too."""
        before, user.identity = user.identity, identity
        if identity.roles != before.roles:
            self.look_again([user.id])

    def leave(self, connection: Connection, reason: str) -> None:
        """Let a connection go with what it transmits; the user's last one is told as user.left."""
        user = self._owner.pop(connection, None)
        if user is None:
            return
        for transmission in list(user.transmissions.values()):
            if transmission.connection is connection:
                self._stop(transmission, "disconnect" if reason != "restart" else reason)
        user.connections.remove(connection)
        self.ended[reason] += 1
        if not user.connections:
            del self.users[user.id]
            for uid in user.nets:
                self._on_net[uid].discard(user)
            left = UserLeft(
                user_id=user.id,
                display_name=user.identity.display_name,
                transport=user.transport,
                reason=reason,
                service=user.identity.service or UNSET,
            )
            self.writer.post([Event("user.left", left, "", max(clock.now(), user.since))])
        self.version += 1

    def key_up(self, connection: Connection, net_uid: str = "", net_id: int = 0) -> None:
        """Start a transmission; a repeat is nothing. Raises not_on_net, operation_closed, feature_off, listen_only."""
        user = self._owner[connection]
        net_uid, net_id = self._resolve(net_uid, net_id)
        self._may_transmit(user, net_uid)
        if net_uid in user.transmissions:
            return
        transmission = Transmission(user, net_uid, net_id, connection)
        user.transmissions[net_uid] = self.transmissions[user.id, net_uid] = transmission
        self.version += 1
        data = {"userId": user.id, "displayName": user.identity.display_name, "netId": net_id}
        self._broadcast(net_uid, Message(msgspec.json.encode({"type": "ptt.start", "data": data})))
        start = PttStart(
            user_id=user.id, display_name=user.identity.display_name, net_id=net_id, net_uid=net_uid
        )
        self.writer.post([Event("ptt.start", start, net_uid, transmission.began_at)])

    def key_down(self, connection: Connection, net_uid: str = "", net_id: int = 0) -> None:
        """End a transmission; nothing if there is none."""
        user = self._owner[connection]
        try:
            net_uid, _ = self._resolve(net_uid, net_id)
        except ApiError as error:
            if error.kind is NET_NOT_FOUND:
                return  # removed meanwhile, which ended it
            raise
        transmission = user.transmissions.get(net_uid)
        if transmission is not None and transmission.connection is connection:
            self._stop(transmission, "released")

    def keep_time(self) -> None:
        """Ends transmissions that last too long, for as long as it runs."""
        while True:
            gevent.sleep(LOOK_SECONDS)
            self.time_out()

    def time_out(self) -> None:
        """End transmissions that have lasted too long."""
        late = time.monotonic() - TRANSMISSION_SECONDS
        for transmission in [t for t in self.transmissions.values() if t.began <= late]:
            self._stop(transmission, "timeout")

    def _resolve(self, net_uid: str, net_id: int) -> tuple[str, int]:
        for uid, slot in ((GLOBAL_UID, GLOBAL_SLOT), (PUBLIC_UID, PUBLIC_SLOT)):
            if net_uid == uid or net_id == slot:
                if net_uid not in ("", uid) or net_id not in (0, slot):
                    raise NET_MISMATCH(f"netUid {net_uid} is not net {net_id}.", hint="Send netUid alone.")
                return uid, slot
        net = self.guild.find(net_uid, net_id)
        return net.uid, net.slot

    def _may_transmit(self, user: User, net_uid: str) -> None:
        if user.identity.service:
            raise LISTEN_ONLY("A service listener cannot transmit.")
        if not self.guild.operation_open:
            raise OPERATION_CLOSED("The operation is closed.", hint="Wait until it is opened.")
        if net_uid == GLOBAL_UID:
            if not self.guild.features.global_ptt_enabled:
                raise FEATURE_OFF("Global push-to-talk is switched off.")
        elif net_uid == PUBLIC_UID and not self.guild.public_net.enabled:
            raise NET_NOT_FOUND("The Public Net is hidden.")
        elif net_uid not in user.nets:
            raise NOT_ON_NET("You are not on this net.")

    # -- stops

    def _stop(self, transmission: Transmission, reason: str) -> None:
        if transmission.forced:
            transmission.released = reason  # the commit that ends it is under way
            return
        self._end(transmission, reason)
        self.writer.post([_stopped(transmission, reason)])

    def _end(self, transmission: Transmission, reason: str) -> None:
        user, place = transmission.user, (transmission.user.id, transmission.net_uid)
        user.transmissions.pop(transmission.net_uid, None)
        if (
            self.transmissions.get(place) is transmission
        ):  # else the user has left, come back and keyed up anew
            del self.transmissions[place]
        self.version += 1
        data = {
            "userId": user.id,
            "displayName": user.identity.display_name,
            "netId": transmission.net_id,
            "reason": reason,
        }
        message = Message(msgspec.json.encode({"type": "ptt.stop", "data": data}))
        self._broadcast(transmission.net_uid, message, also=user)

    def force(self, after: Guild, among: Iterable[Transmission] | None = None) -> list[Transmission]:
        """Choose the transmissions that a state about to be written ends; they are only marked until it is."""
        chosen = []
        for transmission in self.transmissions.values() if among is None else among:
            reason = not transmission.forced and self._ended_by(transmission, after)
            if reason:
                transmission.forced = reason
                chosen.append(transmission)
        return chosen

    def _ended_by(self, transmission: Transmission, after: Guild) -> str:
        user, uid = transmission.user, transmission.net_uid
        if not after.operation_open:
            return "operation_closed"
        if uid == GLOBAL_UID:
            return "" if after.features.global_ptt_enabled else "net_removed"
        if not (after.public_net.enabled if uid == PUBLIC_UID else uid in after.nets):
            return "net_removed"
        return "" if uid in after.held_by(user.id, user.identity.roles, clock.now()) else "unassigned"

    def forced_events(self, chosen: list[Transmission]) -> list[Event]:
        """What the log says of forced stops, just before the event that forced them."""
        return [_stopped(transmission, transmission.forced) for transmission in chosen]

    def settle(self, chosen: list[Transmission]) -> None:
        """The state that forced these stops is on disk: tell the operators."""
        for transmission in chosen:
            self._end(transmission, transmission.forced)

    def release(self, chosen: list[Transmission]) -> None:
        """The state that would have forced these stops did not come to be."""
        for transmission in chosen:
            transmission.forced = ""
            if transmission.released:  # before the leave that may have followed it
                self._end(transmission, transmission.released)
                self.writer.post([_stopped(transmission, transmission.released)], first=True)

    # -- the guild changed

    def _reconfigure(self, before: Guild, after: Guild) -> None:
        for user in self.users.values():
            self._place(user)
        self._enforce(self.transmissions.values())  # what began between the decision and its commit
        self.version += 1
        self._push(self.users.values())

    def look_again(self, user_ids: Iterable[str]) -> None:
        """Put connected users on the nets that are theirs by now; who has others than before is told."""
        for user in [self.users[one] for one in user_ids if one in self.users]:
            before = user.nets
            self._place(user)
            if user.nets != before:
                self._enforce(user.transmissions.values())
                self.version += 1
                self._push([user])

    def _enforce(self, among: Iterable[Transmission]) -> None:
        """Stop at once what the guild does not allow as it is now."""
        late = self.force(self.guild, among)
        if late:
            self.writer.post(self.forced_events(late))
            self.settle(late)

    def _push(self, users: Iterable[User]) -> None:
        """Send users the configuration with their nets; one message serves all who are on the same ones."""
        made: dict[frozenset[str], Message] = {}
        for user in users:
            message = made.get(user.nets)
            if message is None:
                text = msgspec.json.encode(self.config_of(user.nets))
                message = made[user.nets] = Message(b'{"type":"config",' + text[1:])
            for connection in user.connections:
                connection.send(message)

    def _place(self, user: User) -> None:
        nets = self.guild.held_by(user.id, user.identity.roles, clock.now())
        for uid in user.nets - nets:
            self._on_net[uid].discard(user)
        for uid in nets:
            self._on_net.setdefault(uid, set()).add(user)
        user.nets = nets

    def config_of(self, nets: frozenset[str]) -> OperatorConfig:
        """The configuration of an operator who is on these nets."""
        guild = self.guild
        shown = [
            ConfigNet(id=net.slot, uid=net.uid, net_uid=net.uid, name=net.name, assigned=net.uid in nets)
            for net in sorted(guild.nets.values(), key=lambda net: net.slot)
        ]
        if guild.public_net.enabled:
            mine = PUBLIC_UID in nets
            shown.append(
                ConfigNet(
                    id=PUBLIC_SLOT,
                    uid=PUBLIC_UID,
                    net_uid=PUBLIC_UID,
                    name=guild.public_net.name,
                    assigned=mine,
                )
            )
        return OperatorConfig(
            version=guild.version,
            operation_open=guild.operation_open,
            features=FeatureFlags.of(guild),
            public_net=guild.public_net,
            nets=tuple(shown),
            assignments=tuple(self.slots(nets)),
        )

    def _broadcast(self, net_uid: str, message: Message, also: User | None = None) -> None:
        listeners: Iterable[User] = self._on_net.get(net_uid, ())
        if net_uid == GLOBAL_UID:
            listeners = self.users.values()
        for user in listeners:
            for connection in user.connections:
                connection.send(message)
        if also is not None and also not in listeners:
            for connection in also.connections:
                connection.send(message)

    def tell_everyone(self, text: bytes) -> int:
        """Send a text to every connection of every operator, not to service listeners; answers how many took it."""
        message, reached = Message(text), 0
        for user in self.users.values():
            if not user.identity.service:
                reached += sum(connection.send(message) for connection in user.connections)
        return reached

    def disconnect(self, user_id: str, reason: str, text: str = "") -> int:
        """End every connection of a user, who is told the text, or else the reason; answers how many there were."""
        user = self.users.get(user_id)
        return self._close([] if user is None else list(user.connections), reason, text)

    def close(self, reason: str) -> None:
        """End every connection."""
        self._close(list(self._owner), reason)

    def _close(self, connections: list[Connection], reason: str, text: str = "") -> int:
        for connection in connections:
            connection.close(reason, text)
            self.leave(connection, reason)
        return len(connections)


def _stopped(transmission: Transmission, reason: str) -> Event:
    identity = transmission.user.identity
    now = max(clock.now(), transmission.began_at)  # a clock that is set back makes no span negative
    stop = PttStop(
        user_id=identity.user_id,
        display_name=identity.display_name,
        net_id=transmission.net_id,
        net_uid=transmission.net_uid,
        reason=reason,
        duration_ms=int((time.monotonic() - transmission.began) * 1000),
    )
    return Event("ptt.stop", stop, transmission.net_uid, now)


def refusal(error: ApiError) -> dict[str, Any]:
    """An error as an operator's client gets it."""
    return {"type": "error", "code": error.kind.code, "message": error.detail}

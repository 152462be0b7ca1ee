"""What the events of this process add up to."""

import sys
from collections import Counter, deque
from collections.abc import Sequence

import gevent
import gevent.event
import msgspec

from shardapi import Logged, Shard, clock
from shardapi.guild import GLOBAL_SLOT, GLOBAL_UID, PUBLIC_SLOT, PUBLIC_UID, Guild

from .talk import Spell, TalkTime

GLOBAL_NAME = "Global"
MOST_NAMES = 10_000
MOST_WAITING, AT_ONCE = 10_000, 200
TELLING = {"ptt.stop", "user.left"}


class _Said(msgspec.Struct, rename="camel", gc=False):
    user_id: str
    display_name: str
    net_uid: str = ""
    duration_ms: int = 0


class _Told(msgspec.Struct, gc=False):
    type: str
    at: str
    data: _Said


_decode = msgspec.json.Decoder(list[_Told]).decode


class Observer:
    """Reads each event once it is on disk: counts by type, talk time, and the last names of who is gone.

    A commit only hands its events over: they are read a moment later, while the next one is being written, and by
    `catch_up` before anybody is told a figure.
    """

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.logged: Counter[str] = Counter()
        self.talk = TalkTime()
        self.totals: dict[str, tuple[int, int]] = {}
        self.dropped = 0
        self._users: dict[str, str] = {}
        self._gone: dict[str, str] = {}
        self._most_names = MOST_NAMES
        self._waiting: deque[Logged] = deque()
        self._news = gevent.event.Event()
        shard.events.on_commit.append(self.take)
        shard.writer.on_change.append(self._remember)
        shard.writer.on_dropped.append(self._count_dropped)

    def take(self, events: Sequence[Logged]) -> None:
        """Called on the loop after each commit."""
        self._waiting.extend(events)
        if len(self._waiting) > MOST_WAITING:
            self.catch_up(len(events))
        self._news.set()

    def run(self) -> None:
        """Read what was taken for as long as it runs."""
        while True:
            self._news.wait()
            self._news.clear()
            while self._waiting:
                gevent.sleep(1e-6)
                self.catch_up(AT_ONCE)

    def catch_up(self, most: int = sys.maxsize) -> None:
        """Read what was taken, all of it or so many events."""
        waiting = self._waiting
        events = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        self.logged.update([event.type for event in events])
        at, ended = "", 0
        for told in _decode(b"[%b]" % b",".join([event.line for event in events if event.type in TELLING])):
            said = told.data
            if told.type == "ptt.stop":
                if told.at != at:
                    at, ended = told.at, clock.ms(told.at)
                self._stopped(said, ended)
            elif said.user_id in self._users:
                self._users[said.user_id] = said.display_name

    def _stopped(self, said: _Said, ended: int) -> None:
        user, net, ms = said.user_id, said.net_uid, said.duration_ms
        transmissions, total = self.totals.get(net, (0, 0))
        self.totals[net] = transmissions + 1, total + ms
        self._users[user] = said.display_name
        self.talk.add(Spell(ended - ms, ended, user, net, ms))
        if len(self._users) + len(self._gone) > self._most_names:
            self._forget()

    def _forget(self) -> None:
        """Keep only names that are still of use."""
        users, nets = self.talk.known()
        self._users = {user: name for user, name in self._users.items() if user in users}
        self._gone = {net: name for net, name in self._gone.items() if net in nets}
        self._most_names = max(MOST_NAMES, 2 * (len(self._users) + len(self._gone)))

    def _remember(self, before: Guild, after: Guild) -> None:
        if before.nets is after.nets:
            return
        self.catch_up()
        for uid in self.totals.keys() - after.nets.keys() - {PUBLIC_UID, GLOBAL_UID}:
            del self.totals[uid]
            if uid in before.nets:
                self._gone[uid] = before.nets[uid].name

    def _count_dropped(self, count: int) -> None:
        self.dropped += count

    def name_of(self, user_id: str) -> str:
        """The last known display name of a user."""
        user = self.shard.presence.users.get(user_id)
        return user.identity.display_name if user is not None else self._users.get(user_id, "")

    def net(self, uid: str) -> tuple[int, str]:
        """Slot and name of a net; 0 and its last name if it is not active any more."""
        guild = self.shard.guild
        if uid == PUBLIC_UID:
            return PUBLIC_SLOT, guild.public_net.name
        if uid == GLOBAL_UID:
            return GLOBAL_SLOT, GLOBAL_NAME
        net = guild.nets.get(uid)
        return (net.slot, net.name) if net is not None else (0, self._gone.get(uid, ""))

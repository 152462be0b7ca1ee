"""What the events of this process add up to."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from shardapi import Logged, Shard
from shardapi.guild import GLOBAL_SLOT, GLOBAL_UID, PUBLIC_SLOT, PUBLIC_UID, Guild

from .talk import Spell, TalkTime

GLOBAL_NAME = "Global"
MOST_NAMES = 10_000


class _Said(msgspec.Struct, rename="camel", gc=False):
    user_id: str
    display_name: str
    net_uid: str = ""
    duration_ms: int = 0


class _Told(msgspec.Struct, gc=False):
    at: datetime
    data: _Said


_decode = msgspec.json.Decoder(_Told).decode


class Observer:
    """Reads each event once it is on disk: counts by type, talk time, and the last names of who is gone."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.logged: Counter[str] = Counter()
        self.talk = TalkTime()
        self.totals: dict[str, tuple[int, int]] = {}
        self.dropped = 0
        self._users: dict[str, str] = {}
        self._gone: dict[str, str] = {}
        self._most_names = MOST_NAMES
        shard.events.on_commit.append(self.take)
        shard.writer.on_change.append(self._remember)
        shard.writer.on_dropped.append(self._count_dropped)

    def take(self, events: Sequence[Logged]) -> None:
        """Called on the loop after each commit, so it decodes only what it needs."""
        self.logged.update([event.type for event in events])
        for event in events:
            if event.type == "ptt.stop":
                self._stopped(_decode(event.line))
            elif event.type == "user.left":
                said = _decode(event.line).data
                if said.user_id in self._users:
                    self._users[said.user_id] = said.display_name

    def _stopped(self, told: _Told) -> None:
        said = told.data
        ended, user, net, ms = round(told.at.timestamp() * 1000), said.user_id, said.net_uid, said.duration_ms
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

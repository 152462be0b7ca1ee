"""What the ids in the log are called: nets by their uid or slot, users and keys, each read when it is first met."""

from collections.abc import Mapping
from typing import Any

from ..errors import NET_NOT_FOUND
from ..eventlog import still_open
from ..guild import GLOBAL_SLOT, GLOBAL_UID, PUBLIC_SLOT, PUBLIC_UID
from ..models import load_guild
from ..shard import Shard
from ..store import rows

GLOBAL_NAME = "all nets"


class Names:
    """Names as they are now; nets that were archived keep theirs."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self._nets: dict[str, str] = {}
        self._slots: dict[int, str] = {}
        self._keys: dict[str, str] = {}
        self._users: dict[str, str] = {}
        self._read_nets()
        for begun in shard.store.read(lambda: still_open(shard.guild_id)):
            self._users[begun.data.user_id] = begun.data.display_name

    def _read_nets(self) -> None:
        guild_id = self.shard.guild_id
        guild, archived = self.shard.store.read(
            lambda: (
                load_guild(guild_id),
                rows("SELECT uid, name FROM catalogue WHERE guild = ?", (guild_id,)),
            )
        )
        self._nets = {**dict(archived), **{net.uid: net.name for net in guild.nets.values()}}
        self._nets |= {PUBLIC_UID: guild.public_net.name, GLOBAL_UID: GLOBAL_NAME}
        self._slots = {net.slot: net.uid for net in guild.nets.values()}
        self._slots |= {PUBLIC_SLOT: PUBLIC_UID, GLOBAL_SLOT: GLOBAL_UID}

    def note(self, type_: str, data: Mapping[str, Any]) -> None:
        """Learn from an event."""
        if data.get("userId") and data.get("displayName"):
            self._users[data["userId"]] = data["displayName"]
        if type_ == "config.changed":
            self._read_nets()

    def net(self, uid: str) -> str:
        """A net's name, or its uid if it has none any more."""
        return self._nets.get(uid, uid)

    def uid_in(self, slot: int) -> str:
        """The uid of the net in a slot, "" if it is free."""
        return self._slots.get(slot, "")

    def find(self, text: str) -> str:
        """The uid of the net that is called so, has this uid, or is in this slot. Raises net_not_found."""
        if text in self._nets:
            return text
        if text.isdecimal() and int(text) in self._slots:
            return self._slots[int(text)]
        active = [uid for uid in self._slots.values() if self._called(uid, text)]
        for uid in active or [uid for uid in self._nets if self._called(uid, text)]:
            return uid
        known = ", ".join(self._nets[uid] for slot, uid in self._slots.items() if slot < PUBLIC_SLOT)
        raise NET_NOT_FOUND(f"there is no net {text}; there are: {known}")

    def _called(self, uid: str, text: str) -> bool:
        return self._nets[uid].casefold() == text.casefold()

    def user(self, user_id: str) -> str:
        """The display name of a user who was seen, else the id."""
        return self._users.get(user_id) or user_id

    def key(self, key_id: str) -> str:
        """The name of a key."""
        if key_id not in self._keys:
            self._keys = {key.id: key.name for key in self.shard.keys.all()}
        return self._keys.setdefault(key_id, key_id)

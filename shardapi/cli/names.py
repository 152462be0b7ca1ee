"""What the ids in the log are called: nets by their uid or slot, users and keys, each read when it is first met."""

from collections.abc import Mapping
from typing import Any

from .. import catalogue
from ..errors import NET_NOT_FOUND
from ..eventlog import still_open
from ..guild import GLOBAL_SLOT, GLOBAL_UID, PUBLIC_SLOT, PUBLIC_UID
from ..models import load_guild
from ..shard import Shard
from ..store import database

GLOBAL_NAME = "all nets"


class Names:
    """Names as they are now; nets that were archived keep theirs."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self._nets: dict[str, str] = {}
        self._archived: dict[str, str] = {}
        self._slots: dict[int, str] = {}
        self._keys: dict[str, str] = {}
        self._users: dict[str, str] = {}
        self._read_nets()
        for begun in shard.store.read(lambda: still_open(shard.guild_id)):
            self._users[begun.data.user_id] = begun.data.display_name

    def _read_nets(self) -> None:
        guild = self.shard.store.read(lambda: load_guild(self.shard.guild_id))
        self._nets, self._archived = {net.uid: net.name for net in guild.nets.values()}, {}
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
        if uid not in self._nets and uid not in self._archived:
            entry = self.shard.store.read(lambda: catalogue.find(self.shard.guild_id, uid))
            self._archived[uid] = entry.name if entry is not None else uid
        return self._nets.get(uid) or self._archived[uid]

    def uid_in(self, slot: int) -> str:
        """The uid of the net in a slot, "" if it is free."""
        return self._slots.get(slot, "")

    def find(self, text: str) -> str:
        """The uid of the net that is called so, has this uid, or is in this slot. Raises net_not_found."""
        if text in self._nets:
            return text
        if text.isdecimal() and int(text) in self._slots:
            return self._slots[int(text)]
        for uid, name in self._nets.items():
            if name.casefold() == text.casefold():
                return uid
        if archived := self.shard.store.read(lambda: self._find_archived(text)):
            return archived
        known = ", ".join(self._nets[uid] for slot, uid in self._slots.items() if slot < PUBLIC_SLOT)
        raise NET_NOT_FOUND(f"there is no net {text}; there are: {known}")

    def _find_archived(self, text: str) -> str:
        """The uid of the entry that has it, or is called so; "" if there is none. There may be a million."""
        if catalogue.find(self.shard.guild_id, text) is not None:
            return text
        entries = database.connection().execute(
            "SELECT uid, name FROM catalogue WHERE guild = ?", (self.shard.guild_id,)
        )
        return next((uid for uid, name in entries if name.casefold() == text.casefold()), "")

    def user(self, user_id: str) -> str:
        """The display name of a user who was seen, else the id."""
        return self._users.get(user_id) or user_id

    def key(self, key_id: str) -> str:
        """The name of a key."""
        if key_id not in self._keys:
            self._keys = {key.id: key.name for key in self.shard.keys.all()}
        return self._keys.setdefault(key_id, key_id)

"""What an event says to people in a channel; markup in it is ours alone."""

from collections.abc import Mapping
from typing import Any

from shardapi import Shard, catalogue
from shardapi.guild import PUBLIC_SLOT, PUBLIC_UID

from .markdown import bold, escaped, length

# So that a sentence has room in a message, whatever names are in it.
MOST_NETS, MOST_FACTS = 10, 1500

LEFT = {
    "timeout": "lost the connection",
    "slow": "lost the connection",
    "disconnect": "was sent home",
    "revoked": "was signed out",
    "restart": "left as the shard restarted",
}
VERBS = {"assign": "was put on", "unassign": "was taken off"}
ALERTS = {"emergency": "⚠️ ", "critical": "🚨 "}
# With the name of a net, or of a preset.
CONFIG = {
    "net.create": "Net {} was made",
    "net.rename": "A net is called {} now",
    "net.remove": "Net {} was removed",
    "archive.upsert": "Net {} was kept in the archive",
    "archive.remove": "Net {} was deleted from the archive",
    "archive.restore": "Net {} was restored",
    "public-net.show": "The public net is open",
    "public-net.hide": "The public net is closed",
    "public-net.remove": "The public net was removed",
    "public-net.restore": "The public net was restored",
    "rules.set": "The rules for roles were changed",
    "features.set": "The features were changed",
    "preset.save": "Preset {} was saved",
    "preset.remove": "Preset {} was deleted",
    "preset.apply": "Preset {} was applied",
}


class Sentences:
    """Sentences with the names that things have now."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    def of(self, type_: str, data: Mapping[str, Any]) -> str:
        """The sentence of an event; "" for one that is not told, which a program's coming and going is."""
        match type_, data:
            case "user.joined" | "user.left", {"service": True}:
                return ""
            case "user.joined", {"nets": nets}:
                on = _enumerated([*filter(None, map(self._net_in, nets))])
                return f"{self._who(data)} joined{f' on {on}' if on else ''}"
            case "user.left", {"reason": reason}:
                return f"{self._who(data)} {LEFT.get(reason, 'left')}"
            case "operation.opened", _:
                return "The operation is **open**"
            case "operation.closed", _:
                return "The operation is **closed**"
            case "acars.sent", {"text": text, "senderName": sender, "alertType": alert}:
                return f"{ALERTS.get(alert, '')}{bold(sender)}: {escaped(text)}"
            case "config.changed", {"action": str(action)} if action in CONFIG:
                return CONFIG[action].format(self._subject(data))
            case "assignments.changed", {"action": action, "netUid": uid}:
                who = self._who(data) if "userId" in data else f"{data.get('count', 0)} people"
                return f"{who} {VERBS.get(action, escaped(action))} {self._net(uid)}"
            case "client.disconnected", {"userId": user}:
                return f"{bold(user)} was sent home by a key"
        return self._facts(type_, data)

    def _facts(self, type_: str, data: Mapping[str, Any]) -> str:
        """An event without a sentence of its own, as it is."""
        facts = ""
        for name, value in data.items():
            more = f"{', ' if facts else ' '}{escaped(name)} {escaped(str(value))}"
            if length(facts) + length(more) > MOST_FACTS:
                facts += ", …"
                break
            facts += more
        return f"{escaped(type_)}{facts}"

    def _who(self, data: Mapping[str, Any]) -> str:
        user = data["userId"]
        known = self.shard.presence.users.get(user)
        return bold(data.get("displayName") or (known.identity.display_name if known is not None else user))

    def _subject(self, data: Mapping[str, Any]) -> str:
        return self._net(data["uid"]) if "uid" in data else bold(data.get("preset", ""))

    def _net_in(self, slot: int) -> str:
        net = self.shard.guild.net_in(slot)
        if net is not None:
            return bold(net.name)
        return self._net(PUBLIC_UID) if slot == PUBLIC_SLOT else ""

    def _net(self, uid: str) -> str:
        guild = self.shard.guild
        if uid in guild.nets:
            return bold(guild.nets[uid].name)
        if uid == PUBLIC_UID:
            return bold(guild.public_net.name)
        entry = self.shard.store.read(lambda: catalogue.find(self.shard.guild_id, uid))
        return bold(entry.name if entry is not None else uid)


def _enumerated(names: list[str]) -> str:
    rest = len(names) - MOST_NETS
    return ", ".join(names[:MOST_NETS]) + (f" and {rest} more" if rest > 0 else "")

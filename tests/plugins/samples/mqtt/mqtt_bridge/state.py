"""What is told: the state of the shard as it is now, as one retained message a topic."""

from typing import Any

import msgspec

from shardapi import Shard
from shardapi.guild import GLOBAL_UID, PUBLIC_UID

ON, OFF = "ON", "OFF"
TALK, NETS, OPERATION = "talk", "nets", "operation"
# What the broker tells for a shard that is gone. All lamps are in one topic because a connection has one last will.
GONE = msgspec.json.encode({"online": False, "lamp": OFF, "nets": {}})


def state_of(shard: Shard) -> dict[str, bytes]:
    """The messages, by topic; live state, so that it is right while the store is not."""
    encode = msgspec.json.encode
    return {
        TALK: encode(_talk(shard)),
        NETS: encode(_nets(shard)),
        OPERATION: b"open" if shard.guild.operation_open else b"closed",
    }


def _talk(shard: Shard) -> dict[str, Any]:
    uids = [*(net.uid for net in _by_slot(shard)), PUBLIC_UID, GLOBAL_UID]
    talking = {uid: [_name(shard, user) for user in shard.presence.transmitting(uid)] for uid in uids}
    return {
        "online": True,
        "lamp": ON if any(talking.values()) else OFF,
        "nets": {uid: {"lamp": ON if names else OFF, "talking": names} for uid, names in talking.items()},
    }


def _name(shard: Shard, user_id: str) -> str:
    user = shard.presence.users.get(user_id)
    return user.identity.display_name if user is not None else user_id


def _nets(shard: Shard) -> list[dict[str, Any]]:
    return [
        {
            "netUid": net.uid,
            "netId": net.slot,
            "name": net.name,
            "occupancy": shard.presence.occupancy(net.uid),
        }
        for net in _by_slot(shard)
    ]


def _by_slot(shard: Shard) -> list[Any]:
    return sorted(shard.guild.nets.values(), key=lambda net: net.slot)

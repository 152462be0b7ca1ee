"""Examples made from the schemas themselves, so that they cannot say anything else."""

from typing import Any

from .shapes import Schema, Shapes

AT = "2026-11-20T19:30:00.000Z"
USER, ROLE, GUILD = "123456789012345678", "1505521308744679464", "1400000000000000000"
NET = "net_jmqbkeg5s74cjkezqybwkhny"
HOST = "https://shard.example.com"

# What a member of this name holds in an example, in that parent or wherever it is; the first value of the type that
# its schema names.
MEMBERS: dict[str, tuple[Any, ...]] = {
    "publicNet.name": ("Public Net",),
    "publicNet.netUid": ("net_public",),
    "publicNet.uid": ("net_public",),
    "publicNet.id": (250,),
    "shard.name": ("Night Wing",),
    "preset.name": ("Friday Op",),
    "presets.name": ("Friday Op",),
    "assignmentList.action": ("assign",),
    "entry.source": ("removed",),
    "entries.source": ("removed",),
    "acars.sent.alertType": ("non-emergency",),
    "acars.sent.id": ("acars_5f0c3a9e12b84d676a1b2c3d",),
    "operation.closed.open": (False,),
    "ok": (True,),
    "changed": (True,),
    "enabled": (True,),
    "open": (True,),
    "operationOpen": (True,),
    "effective": (True,),
    "archived": (True,),
    "deleted": (True,),
    "globalPttEnabled": (True,),
    "acarsEnabled": (True,),
    "readyCheckEnabled": (True,),
    "delivered": (True,),
    "totalIsExact": (True,),
    "guildId": (GUILD,),
    "guildName": ("Night Wing",),
    "userId": (USER,),
    "assignedUserIds": (USER,),
    "displayName": ("Ann",),
    "roleId": (ROLE,),
    "roleIds": (ROLE,),
    "roles": (ROLE,),
    "transmitting": (USER, True),
    "tx": (True,),
    "nets": (1,),
    "netId": (1,),
    "netIds": (1,),
    "slot": (1,),
    "id": (1, "id_5f0c3a9e12b84d67"),
    "uid": (NET,),
    "netUid": (NET,),
    "netUids": (NET,),
    "relayTargetNetIds": (2,),
    "relayTargetNetUids": ("net_2bhd5kq7m3xwvn6tzyrp4csa",),
    "inboundRelayFromNetUids": ("net_2bhd5kq7m3xwvn6tzyrp4csa",),
    "netName": ("Strike Net",),
    "name": ("Strike Net",),
    "keyId": ("key_4fQ9mZ2xT7bN1cVk",),
    "keyName": ("planner",),
    "version": (42, "0.1.0"),
    "maxNets": (50,),
    "transport": ("ws",),
    "publicUrl": (HOST,),
    "method": ("POST",),
    "path": ("/api/v1/nets",),
    "status": (200,),
    "code": ("",),
    "requestId": ("5f0c3a9e12b84d67",),
    "address": ("203.0.113.7",),
    "reason": ("",),
    "tags": ("air",),
    "notes": ("Escort, two ships",),
    "senderName": ("Ops",),
    "text": ("Briefing in 5",),
    "senderId": ("key_4fQ9mZ2xT7bN1cVk",),
    "webhookId": ("wh_k3v7mq2xw5tn4bzr6jyd",),
    "eventId": ("5f0c3a9e-118",),
    "oldest": ("5f0c3a9e-20418",),
    "host": ("hooks.example.com",),
    "failures": (12,),
    "step": ("net.create",),
    "token": ("eyJnIjoiMTQifQ.dGhpcyBpcyBhbiBleGFtcGxl",),
    "statusUrl": (f"{HOST}/api/v1/embed/status?token=eyJnIjoiMTQifQ.dGhpcyBpcyBhbiBleGFtcGxl",),
    "widgetUrl": (f"{HOST}/api/v1/embed/widget?token=eyJnIjoiMTQifQ.dGhpcyBpcyBhbiBleGFtcGxl",),
    "lastCheckpointHash": ("9b74c9897bac770ffc029102a200c5de91f8d2cbd1f9b4d0ef5f1a0d0c3f6b12",),
    "nextCursor": ("",),
    "expiresAt": ("",),
    "blockedUntil": ("",),
    "durationMs": (8500,),
    "byUser": (),
    "ms": (73_400,),
    "totalMs": (73_400,),
    "uptimeSeconds": (5400,),
    "intervalSeconds": (15,),
}
KEYS = {"assignments": USER, "nets": NET}  # the keys of maps
TYPES: dict[str | None, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def example(schema: Schema, shapes: Shapes, name: str = "", parent: str = "") -> Any:
    """An example of what a schema describes, called `name` where it stands."""
    schema = shapes.resolve(schema)
    if "const" in schema:
        return schema["const"]
    kind: str | None = schema.get("type")
    for value in (
        *MEMBERS.get(f"{parent}.{name}", ()),
        *schema.get("examples", ()),
        *MEMBERS.get(name, ()),
    ):
        if _is(value, kind) and value in schema.get("enum", [value]):
            return value
    if "enum" in schema:
        return schema["enum"][0]
    for alternative in schema.get("anyOf") or schema.get("oneOf") or ():
        if alternative.get("type") != "null":
            return example(alternative, shapes, name, parent)
    if kind == "object":
        return _object(schema, shapes, name)
    if kind == "array":
        return [example(schema["items"], shapes, name, parent)] if "items" in schema else []
    return _plain(kind, schema, name)


def _is(value: Any, kind: str | None) -> bool:
    return isinstance(value, TYPES.get(kind, ())) and (kind == "boolean") == isinstance(value, bool)


def _object(schema: Schema, shapes: Shapes, name: str) -> dict[str, Any]:
    if "properties" in schema:
        always = schema.get("required", ())
        return {
            member: example(inner, shapes, member, name)
            for member, inner in schema["properties"].items()
            if member in always or "examples" in inner
        }
    values = schema.get("additionalProperties")
    return {KEYS.get(name, "key"): example(values, shapes, name)} if isinstance(values, dict) else {}


def _plain(kind: str | None, schema: Schema, name: str) -> Any:
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    if kind == "string":
        return AT if name.endswith("At") or name in ("at", "since") else ""
    return False if kind == "boolean" else None

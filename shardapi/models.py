"""The core's tables as Peewee models, and the guild as rows: a commit writes the rows that changed, nothing else."""

import msgspec
import peewee

from .guild import Assignment, Features, Guild, Net, PublicNet, Rule
from .store import Model, database, many, one, rows


class ApiKey(Model):
    id = peewee.TextField(primary_key=True)
    guild = peewee.TextField()
    kind = peewee.TextField()
    name = peewee.TextField()
    scopes = peewee.TextField()
    digest = peewee.BlobField()
    created_at = peewee.IntegerField()
    expires_at = peewee.IntegerField()
    last_used_at = peewee.IntegerField()
    revoked_at = peewee.IntegerField()


class Audit(Model):
    id = peewee.AutoField()
    guild = peewee.TextField()
    at = peewee.IntegerField()
    key_id = peewee.TextField()
    key_name = peewee.TextField()
    method = peewee.TextField()
    path = peewee.TextField()
    status = peewee.IntegerField()
    code = peewee.TextField()
    request_id = peewee.TextField()
    address = peewee.TextField()
    dry_run = peewee.BooleanField()
    reason = peewee.TextField()
    count = peewee.IntegerField()


class Idempotency(Model):
    guild = peewee.TextField()
    key_id = peewee.TextField()
    name = peewee.TextField()
    fingerprint = peewee.BlobField()
    status = peewee.IntegerField()
    body = peewee.BlobField()
    at = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("guild", "key_id", "name")


class Cursor(Model):
    guild = peewee.TextField()
    name = peewee.TextField()
    number = peewee.IntegerField()
    hold = peewee.BooleanField()

    class Meta:
        primary_key = peewee.CompositeKey("guild", "name")


class RevokedOperator(Model):
    guild = peewee.TextField()
    user = peewee.TextField()
    at = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("guild", "user")


class BlockedOperator(Model):
    guild = peewee.TextField()
    user = peewee.TextField()
    until = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("guild", "user")


def to_json(value: object) -> str:
    """A value as compact JSON text, as it is kept in a column."""
    return msgspec.json.encode(value).decode()


def guild_ids() -> list[str]:
    """Ids of the guilds in this store, the oldest first."""
    return [row[0] for row in rows("SELECT id FROM guild ORDER BY created_at, rowid")]


def add_guild(guild: Guild, now: int) -> None:
    """Write a guild that the store does not have; one that it has stays as it is."""
    values = (guild.id, guild.name, to_json(guild.features), to_json(guild.public_net), now)
    many(
        "INSERT INTO guild (id, name, version, updated_at, operation_open, features, public_net, created_at)"
        " VALUES (?, ?, 0, ?5, 0, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        [values],
    )


def config_version(guild_id: str) -> int:
    """The version of a guild's config, also as the running transaction leaves it."""
    version: int = one("SELECT version FROM guild WHERE id = ?", (guild_id,))[0]
    return version


def load_guild(guild_id: str) -> Guild:
    """The guild as the store has it, all of it at one version."""
    with database.atomic("DEFERRED"):
        return _load_guild(guild_id)


def _load_guild(guild_id: str) -> Guild:
    head = one(
        "SELECT name, version, updated_at, operation_open, features, public_net FROM guild WHERE id = ?",
        (guild_id,),
    )
    nets = {
        uid: Net(uid=uid, slot=slot, name=name, relays=msgspec.json.decode(relays, type=tuple[str, ...]))
        for uid, slot, name, relays in rows(
            "SELECT uid, slot, name, relays FROM net WHERE guild = ? ORDER BY slot", (guild_id,)
        )
    }
    members: dict[str, dict[str, Assignment]] = {}
    for net, user, manual, until in rows(
        "SELECT net, user, manual, until FROM assignment WHERE guild = ? ORDER BY net, user", (guild_id,)
    ):
        members.setdefault(net, {})[user] = Assignment(manual=bool(manual), until=until)
    rules = tuple(
        Rule(role_id=role, net_uids=msgspec.json.decode(uids, type=tuple[str, ...]))
        for role, uids in rows("SELECT role, nets FROM rule WHERE guild = ? ORDER BY place", (guild_id,))
    )
    return Guild(
        id=guild_id,
        name=head[0],
        version=head[1],
        updated_at=head[2],
        operation_open=bool(head[3]),
        features=msgspec.json.decode(head[4], type=Features),
        public_net=msgspec.json.decode(head[5], type=PublicNet),
        nets=nets,
        freed=dict(rows("SELECT slot, place FROM freed_slot WHERE guild = ?", (guild_id,))),
        members=members,
        rules=rules,
    )


def save_guild(before: Guild, after: Guild) -> None:
    """Write what differs between two states of a guild, inside the running transaction."""
    guild = after.id
    many(
        "UPDATE guild SET name = ?, version = ?, updated_at = ?, operation_open = ?, features = ?, public_net = ?"
        " WHERE id = ?",
        [
            (
                after.name,
                after.version,
                after.updated_at,
                after.operation_open,
                to_json(after.features),
                to_json(after.public_net),
                guild,
            )
        ],
    )
    if after.nets is not before.nets:
        _save_nets(before, after)
    if after.freed is not before.freed:
        many("DELETE FROM freed_slot WHERE guild = ?", [(guild,)])
        many("INSERT INTO freed_slot VALUES (?, ?, ?)", [(guild, *item) for item in after.freed.items()])
    if after.members is not before.members:
        for net in before.members.keys() | after.members.keys():
            _save_members(guild, net, before, after)
    if after.rules != before.rules:
        many("DELETE FROM rule WHERE guild = ?", [(guild,)])
        many(
            "INSERT INTO rule VALUES (?, ?, ?, ?)",
            [(guild, place, rule.role_id, to_json(rule.net_uids)) for place, rule in enumerate(after.rules)],
        )


def _save_nets(before: Guild, after: Guild) -> None:
    many(
        "DELETE FROM net WHERE guild = ? AND uid = ?",
        [(after.id, uid) for uid in before.nets if uid not in after.nets],
    )
    changed = (net for uid, net in after.nets.items() if before.nets.get(uid) is not net)
    many(
        "INSERT OR REPLACE INTO net VALUES (?, ?, ?, ?, ?)",
        [(after.id, net.uid, net.slot, net.name, to_json(net.relays)) for net in changed],
    )


def _save_members(guild: str, net: str, before: Guild, after: Guild) -> None:
    old, new = before.members.get(net, {}), after.members.get(net, {})
    if old is new:
        return
    gone = [(guild, net, user) for user in old if user not in new]
    many("DELETE FROM assignment WHERE guild = ? AND net = ? AND user = ?", gone)
    many(
        "INSERT OR REPLACE INTO assignment VALUES (?, ?, ?, ?, ?)",
        [(guild, net, user, one.manual, one.until) for user, one in new.items() if old.get(user) is not one],
    )

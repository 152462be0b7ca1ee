"""Bearer keys: made once, shown once, kept as digests; and the scopes they carry."""

import hashlib
import re
import secrets
import zlib
from collections.abc import Callable, Iterable

import msgspec

from . import clock
from .errors import MISSING_SCOPE, UNAUTHORIZED, ApiError
from .listeners import Listeners
from .models import ApiKey, to_json
from .writer import Writer

PUBLIC = "public"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PANEL = "panel"  # the kind of the owner's own actor, which has no secret
KINDS = {"owner": "scok_", "service": "scsk_", "shard": "scsh_"}
TOUCH_EVERY_MS = 60_000

# What each scope allows; a plugin adds its own beside its routes.
SCOPES = {
    "read:status": "status, features, public token",
    "read:roster": "connected operators",
    "read:roster:roles": "include Discord role IDs",
    "read:assignments": "stored assignments and rules",
    "read:events": "SSE stream and webhooks",
    "read:metrics": "JSON and Prometheus metrics",
    "read:audit": "recent Owner API activity",
    "write:assignments": "assign, bulk, temporary TTL",
    "write:nets": "create, rename, remove active nets",
    "write:archive": "local archive catalog and restore",
    "write:operation": "open or close the operation",
    "manage:features": "update shard feature flags and public net visibility",
    "write:rules": "role-to-net auto assignment",
    "write:presets": "save and apply op templates",
    "write:acars": "overlay broadcast alerts",
    "write:clients": "disconnect an operator",
}
BUNDLES = {
    "dashboard": ("read:status", "read:roster", "read:assignments", "read:events", "read:metrics"),
    "bot": (
        "read:status",
        "read:roster",
        "read:assignments",
        "read:events",
        "write:assignments",
        "write:nets",
        "write:operation",
        "write:rules",
        "write:acars",
    ),
    "ops": (
        "read:status",
        "read:roster",
        "read:roster:roles",
        "read:assignments",
        "read:events",
        "read:metrics",
        "write:assignments",
        "write:nets",
        "write:archive",
        "write:operation",
        "write:rules",
        "write:presets",
        "write:acars",
        "write:clients",
    ),
}

_SECRET = re.compile(r"sc(?:ok|sk|sh)_[0-9A-Za-z]{36}")


class Key(msgspec.Struct, frozen=True):
    """A key as the store has it; times in ms, 0 where there is none. The secret itself is nowhere."""

    id: str
    kind: str
    name: str
    guild: str
    scopes: frozenset[str]
    created_at: int
    expires_at: int
    last_used_at: int
    revoked_at: int

    def ended(self, now: int) -> bool:
        """Whether it opens nothing any more."""
        return bool(self.revoked_at) or 0 < self.expires_at <= now

    def need(self, scope: str) -> None:
        """Raises missing_scope unless the key carries it."""
        if scope not in self.scopes:
            raise MISSING_SCOPE(
                f"This key lacks the scope {scope}.",
                hint=f"Use a key that carries {scope}: {SCOPES.get(scope, 'see the reference')}.",
            )


def mint_secret(kind: str) -> str:
    """A new secret: its kind's prefix, 30 random base62 characters and their CRC-32 in base62."""
    body = "".join(secrets.choice(BASE62) for _ in range(30))
    return KINDS[kind] + body + _checksum(body)


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def well_formed(secret: str) -> bool:
    """Whether a secret's checksum holds: a mistyped key is told from an unknown one without the store."""
    return _SECRET.fullmatch(secret) is not None and _checksum(secret[5:35]) == secret[35:]


def digest(secret: str) -> bytes:
    """What the store keeps of a secret."""
    return hashlib.sha256(secret.encode()).digest()


class Keys:
    """The keys of one guild: those seen are in memory, the others are looked up; ended ones are told."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.guild_id = writer, writer.log.guild_id
        self.on_ended: Listeners[Key] = Listeners()
        self._known: dict[bytes, Key] = {}
        self._used: dict[str, int] = {}
        writer.on_foreign.append(self.reload)

    def find(self, secret: str, kind: str = "owner") -> Key | None:
        """The live key of this secret, kind and guild."""
        if not secret.startswith(KINDS[kind]):
            return None
        hashed = digest(secret)
        key = self._known.get(hashed)
        if key is None and well_formed(secret):
            key = self._look_up(hashed)
        if key is None or key.kind != kind or key.ended(clock.now()):
            return None
        self._used[key.id] = clock.now()
        return key

    def _look_up(self, hashed: bytes) -> Key | None:
        mine = (ApiKey.digest == hashed) & (ApiKey.guild == self.guild_id)
        row = self.writer.store.read(lambda: ApiKey.select().where(mine).first())
        if row is None:
            return None
        return self._known.setdefault(hashed, _key(row))

    def reload(self) -> None:
        """Read the known keys again, and tell which have ended."""
        fresh = self.writer.store.read(
            lambda: {
                bytes(row.digest): _key(row) for row in ApiKey.select().where(ApiKey.guild == self.guild_id)
            }
        )
        before, self._known = (
            self._known,
            {hashed: fresh[hashed] for hashed in self._known if hashed in fresh},
        )
        for hashed, key in before.items():
            now = self._known.get(hashed)
            if now is None or (now.revoked_at and not key.revoked_at):
                self._tell(key)

    def expire(self, now: int) -> None:
        """Tell which known keys have run out; again each time, because a stepped clock can revive them between."""
        for key in list(self._known.values()):
            if 0 < key.expires_at <= now and not key.revoked_at:
                self._tell(key)

    def _tell(self, key: Key) -> None:
        self.on_ended.tell(key)

    def create(
        self,
        name: str,
        scopes: Iterable[str],
        kind: str = "owner",
        expires_at: int = 0,
        record: Callable[[Key], object] = lambda key: None,
    ) -> tuple[Key, str]:
        """Make a key; returns it with its secret, which nobody can see again. `record` runs in the same write."""
        secret = mint_secret(kind)
        key = Key(
            "key_" + "".join(secrets.choice(BASE62) for _ in range(16)),
            kind,
            name,
            self.guild_id,
            frozenset(scopes),
            clock.now(),
            expires_at,
            0,
            0,
        )
        row = {
            "id": key.id,
            "guild": key.guild,
            "kind": kind,
            "name": name,
            "scopes": to_json(sorted(key.scopes)),
            "digest": digest(secret),
            "created_at": key.created_at,
            "expires_at": expires_at,
            "last_used_at": 0,
            "revoked_at": 0,
        }
        self.writer.write(lambda: (ApiKey.insert(row).execute(), record(key)))
        return key, secret

    def all(self) -> list[Key]:
        """Every key of the guild, the oldest first, ended ones too."""
        mine = ApiKey.select().where(ApiKey.guild == self.guild_id).order_by(ApiKey.created_at)
        return self.writer.store.read(lambda: [_key(row) for row in mine])

    def revoke(self, key_id: str, record: Callable[[], object] = lambda: None) -> bool:
        """End a key now; False if there is no such live key. `record` runs in the same write if there is."""
        live = (ApiKey.id == key_id) & (ApiKey.guild == self.guild_id) & (ApiKey.revoked_at == 0)

        def end() -> int:
            ended: int = ApiKey.update(revoked_at=clock.now()).where(live).execute()
            if ended:
                record()
            return ended

        done = self.writer.write(end)
        self.reload()
        return bool(done)

    def touches(self) -> list[tuple[int, str]]:
        """(last use, id) of the keys used since they were last asked for, at most once a minute each."""
        known = {key.id: (hashed, key) for hashed, key in self._known.items()}
        due = []
        for id_, at in list(self._used.items()):
            hashed, key = known.get(id_, (b"", None))
            if key is None or at - key.last_used_at >= TOUCH_EVERY_MS:
                due.append((at, id_))
                del self._used[id_]
                if key is not None:
                    self._known[hashed] = msgspec.structs.replace(key, last_used_at=at)
        return due


def _key(row: ApiKey) -> Key:
    scopes = frozenset(msgspec.json.decode(row.scopes, type=list[str]))
    return Key(
        row.id,
        row.kind,
        row.name,
        row.guild,
        scopes,
        row.created_at,
        row.expires_at,
        row.last_used_at,
        row.revoked_at,
    )


def bearer(header: str | None) -> str:
    """The credential of an Authorization header, "" if it is none."""
    if header is None or header[:7].lower() != "bearer ":
        return ""
    return header[7:].strip()


def refused() -> ApiError:
    """The one answer to every key that opens nothing here."""
    return UNAUTHORIZED(
        "This request needs a valid key of this shard.",
        hint="Send Authorization: Bearer scok_… ; keys are made with `shardapi keys create`.",
        headers=(("WWW-Authenticate", "Bearer"),),
    )

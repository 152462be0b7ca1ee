"""Operators as the store knows them: whose tokens are revoked, who is kept out, and who is connected."""

import os
from collections.abc import Callable

import msgspec

from . import clock, folder
from .eventlog import still_open
from .listeners import Listeners
from .models import BlockedOperator, RevokedOperator
from .presence import Identity
from .writer import Writer

EVERYONE = ""


class Connected(msgspec.Struct, frozen=True):
    """A connected user by the log's open joins; `since` in ms, `talking` holds uids of nets."""

    user_id: str
    display_name: str
    transport: str
    since: int
    service: bool
    talking: tuple[str, ...]


class Operators:
    """Who of one guild may not come in, kept in memory too; whatever ends that is told, from any process."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.guild_id = writer, writer.log.guild_id
        self.on_change: Listeners[[]] = Listeners()
        self._revoked: dict[str, int] = {}
        self._blocked: dict[str, int] = {}
        self.reload()
        writer.on_foreign.append(self.reload)

    # -- who may not come in

    def revoked(self, identity: Identity) -> bool:
        """Whether the token that an identity comes from is revoked."""
        if identity.service:
            return False
        at = self.revoked_at(identity.user_id)
        if identity.after is not None:  # its time may be that of a clock which ran ahead
            return identity.after < at
        return identity.issued_at <= at

    def blocked_until(self, user_id: str) -> int:
        """When a user may come in again (ms); 0 if they may now."""
        until = self._blocked.get(user_id, 0)
        return until if until > clock.now() else 0

    def issue_time(self, user_id: str) -> int:
        """When a token made now is issued (s): after what is revoked already, also within the same second."""
        return max(clock.now() // 1000, self.revoked_at(user_id) + 1)

    def revoked_at(self, user_id: str) -> int:
        """When a user's tokens were last revoked (s); -1 for never."""
        return max(self._revoked.get(user_id, -1), self._revoked.get(EVERYONE, -1))

    def revoke(self, user_id: str, record: Callable[[], object] = lambda: None) -> int:
        """Revoke the tokens that a user, or EVERYONE, has now; answers the time (s) up to which that is.

        `record` runs in the same write.
        """
        last = max(self._revoked.values(), default=0) if user_id == EVERYONE else self.revoked_at(user_id)
        # Never the same second twice: a token made after the first time would be older than the second.
        at = max(clock.now() // 1000, last + 1)
        row = {"guild": self.guild_id, "user": user_id, "at": at}
        self.writer.write(lambda: (RevokedOperator.insert(row).on_conflict_replace().execute(), record()))
        self.reload()
        return at

    def block(self, user_id: str, until: int) -> None:
        """Keep a user out until then (ms); runs inside a write, and `reload` makes it true."""
        mine = BlockedOperator.guild == self.guild_id
        BlockedOperator.delete().where(mine & (BlockedOperator.until <= clock.now())).execute()
        row = {"guild": self.guild_id, "user": user_id, "until": until}
        BlockedOperator.insert(row).on_conflict_replace().execute()

    def reload(self) -> None:
        """Read it all again, and tell if it has changed."""
        before = self._revoked, self._blocked
        self._revoked, self._blocked = self.writer.store.read(self._read)
        if (self._revoked, self._blocked) != before:
            self.on_change.tell()

    def _read(self) -> tuple[dict[str, int], dict[str, int]]:
        revoked = RevokedOperator.select().where(RevokedOperator.guild == self.guild_id)
        blocked = BlockedOperator.select().where(BlockedOperator.guild == self.guild_id)
        return {row.user: row.at for row in revoked}, {row.user: row.until for row in blocked}

    # -- who is connected

    def connected(self) -> list[Connected]:
        """Everyone whose join in the log has no leave yet, in the order they joined; nobody if no server runs."""
        handle = folder.lock(self.writer.store.folder)
        if handle is not None:
            os.close(handle)
            return []  # what is open was left so by a crash
        found: list[Connected] = []
        opened = self.writer.store.read(lambda: still_open(self.guild_id))
        talking: dict[str, list[str]] = {}
        for one in opened:
            if one.type == "ptt.start":
                talking.setdefault(one.data.user_id, []).append(one.data.net_uid)
        for one in opened:
            if one.type == "user.joined":
                joined = one.data
                found.append(
                    Connected(
                        joined.user_id,
                        joined.display_name,
                        joined.transport,
                        one.at,
                        joined.service is True,
                        tuple(talking.get(joined.user_id, ())),
                    )
                )
        return found

"""Who is signed in: sessions that end by themselves or are ended, by any process, and their streams with them."""

import hashlib
import secrets
from collections.abc import Callable
from functools import partial

import gevent
import msgspec

from shardapi import Shard, clock

from .models import PanelLink, PanelSession
from .settings import Settings

MINUTE_MS, DAY_MS = 60_000, 86_400_000
TOUCH_EVERY_MS = MINUTE_MS
LOOK_EVERY_SECONDS = 0.5
MOST_SESSIONS = 200  # of a guild; the one that was used longest ago makes room
MOST_AGENT = 200
# In this order, because most say that they are each other.
BROWSERS = ("Firefox", "Edg", "OPR", "HeadlessChrome", "Chrome", "Safari")
SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Macintosh", "CrOS", "Linux")


class Session(msgspec.Struct, frozen=True):
    """One browser that is signed in; times in ms."""

    id: str
    who: str
    way: str
    signed_in_at: int
    last_used_at: int
    address: str
    agent: str

    @property
    def browser(self) -> str:
        """What it calls itself, in two words; as it is where it is none that we know."""
        name = next((word for word in BROWSERS if f"{word}/" in self.agent), "")
        system = next((word for word in SYSTEMS if word in self.agent), "")
        return f"{name} on {system}" if name and system else self.agent

    @property
    def streams(self) -> str:
        """Whose the hub's streams of it are."""
        return f"panel:{self.id}"


def digest(secret: str) -> bytes:
    """What the store keeps of a secret."""
    return hashlib.sha256(secret.encode()).digest()


class Sessions:
    """The sessions of one guild, all in memory; the store has them for the next start and for other processes."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        settings = shard.settings(Settings)
        self.idle_ms = settings.idle_minutes * MINUTE_MS
        self.longest_ms = settings.session_days * DAY_MS
        self._known: dict[bytes, Session] = {}
        self.reload()
        shard.writer.on_foreign.append(self.reload)

    def ended(self, session: Session) -> bool:
        """Whether its time is over."""
        now = clock.now()
        return session.last_used_at + self.idle_ms <= now or session.signed_in_at + self.longest_ms <= now

    def find(self, secret: str) -> Session | None:
        """The session that a cookie's secret stands for, if it lives."""
        session = self._known.get(digest(secret)) if secret else None
        return None if session is None or self.ended(session) else session

    def alive(self, session: Session) -> bool:
        """Whether it has not been ended meanwhile."""
        return any(one.id == session.id for one in self._known.values()) and not self.ended(session)

    def all(self) -> list[Session]:
        """Those that live, the one used last first."""
        living = [one for one in self._known.values() if not self.ended(one)]
        return sorted(living, key=lambda one: -one.last_used_at)

    def begin(
        self, who: str, way: str, address: str, agent: str, instead: Session | None
    ) -> tuple[Session, str]:
        """A new session with a secret of its own, in the place of one that there is."""
        secret, now = secrets.token_urlsafe(32), clock.now()
        session = Session("ses_" + secrets.token_hex(8), who, way, now, now, address[:64], agent[:MOST_AGENT])
        kept = {"guild": self.shard.guild_id, "digest": digest(secret), "epoch": self.shard.events.epoch}
        gone = [one.id for one in self.all()[MOST_SESSIONS - 1 :]]
        if instead is not None:
            gone.append(instead.id)

        def work() -> None:
            self._delete(gone)
            PanelSession.insert({**msgspec.structs.asdict(session), **kept}).execute()

        self.shard.writer.write(work)
        self._known[digest(secret)] = session
        self._forget(gone)
        return session, secret

    def touch(self, session: Session, address: str) -> None:
        """Note that it is used, at most once a minute."""
        now = clock.now()
        if now - session.last_used_at < TOUCH_EVERY_MS:
            return
        used = msgspec.structs.replace(session, last_used_at=now, address=address[:64])
        for hashed, one in self._known.items():
            if one.id == session.id:
                self._known[hashed] = used
                break
        update = PanelSession.update(last_used_at=now, address=used.address).where(
            PanelSession.id == session.id
        )
        self.shard.spawn(partial(self._try, lambda: update.execute()))

    def end(self, session_id: str) -> bool:
        """End one; False if there is none of that id."""
        done: int = self.shard.writer.write(lambda: self._delete([session_id]))
        self._forget([session_id])
        return bool(done)

    def end_all(self, but: str = "") -> int:
        """End all, except one; returns how many."""
        gone = [one.id for one in self._known.values() if one.id != but]
        done: int = self.shard.writer.write(lambda: self._delete(gone))
        self._forget(gone)
        return done

    def _delete(self, ids: list[str]) -> int:
        mine = PanelSession.guild == self.shard.guild_id
        done: int = PanelSession.delete().where(mine & PanelSession.id.in_(ids)).execute() if ids else 0
        return done

    def _clear(self) -> None:
        for table in (PanelSession, PanelLink):
            table.delete().where(table.epoch != self.shard.events.epoch).execute()

    def _forget(self, ids: list[str]) -> None:
        for hashed, session in list(self._known.items()):
            if session.id in ids:
                del self._known[hashed]
                self.shard.hub.close_key(session.streams, "signed out")

    def reload(self) -> None:
        """Read them again; the streams of those that are gone close."""
        now = PanelSession.epoch == self.shard.events.epoch
        mine = PanelSession.select().where((PanelSession.guild == self.shard.guild_id) & now)
        fresh = self.shard.store.read(lambda: {bytes(row.digest): _session(row) for row in mine})
        before, self._known = self._known, fresh
        for hashed, session in before.items():
            if hashed not in fresh:
                self.shard.hub.close_key(session.streams, "signed out")
            elif session.last_used_at > fresh[hashed].last_used_at:
                fresh[hashed] = session

    def watch(self) -> None:
        """Delete what was before a restore, then end those whose time is over, for as long as it runs."""
        self._try(self._clear)
        while True:
            gevent.sleep(LOOK_EVERY_SECONDS)
            over = [one.id for one in self._known.values() if self.ended(one)]
            if over:
                self._forget(over)
                self._try(partial(self._delete, over))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            self.shard.writer.write(work)
        except Exception as error:  # the next one will do
            self.shard.problems.failed("panel", "task", "note a session", error)


def _session(row: PanelSession) -> Session:
    return Session(row.id, row.who, row.way, row.signed_in_at, row.last_used_at, row.address, row.agent)

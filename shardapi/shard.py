"""The shard: everything one guild's process holds, opened from the settings, started and retired by the worker."""

import logging
import os
import secrets
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import gevent
import msgspec

from . import clock, effects, folder, writes
from .auditlog import AuditLog
from .auth import Keys
from .central import EmbeddedCentral
from .config import Config, ConfigError
from .errors import ApiError
from .eventlog import EventLog, left_open
from .greenlets import Ended, Greenlet
from .guild import Features, Guild
from .hub import Hub
from .limits import Limit
from .models import add_guild, guild_ids
from .operators import Operators
from .plugins import Plugins
from .presence import Presence
from .problems import Problems, home, named, owner
from .process import Process
from .routes import Answer
from .stalls import Stalls
from .store import Store, create_private, many, one
from .timings import Timings
from .tokens import Tokens
from .upgrades import keep_before_upgrade
from .worker import vital
from .writer import Writer

log = logging.getLogger("shardapi")

VERSION = version("shardapi")
ALIVE_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 60.0
S = TypeVar("S")
A = TypeVar("A", bound=Answer)


class Shard:
    """One guild, open: what views, plugins and commands work with."""

    def __init__(self, config: Config, without: Collection[str] = ()) -> None:
        self.config = config
        folder.prepare(config.folder)
        self.plugins = Plugins(config, without)
        self.problems = Problems()
        self.stalls = Stalls(self.problems, self.plugins.modules)
        with folder.setting_up(config.folder):
            folder.check_whole(config.folder)
            self.store = Store(config.folder)
            self.store.before_upgrade = lambda: keep_before_upgrade(config)
            self.store.migrate("core", Path(__file__).with_name("migrations"))
            self.guild_id = self.store.execute(lambda: _open_guild(config))
            self.tokens = Tokens(signing_secrets(config))
        self.events = EventLog(self.store, self.guild_id)
        self.writer = Writer(self.store, self.events)
        self.presence = Presence(self.writer)
        self.operators = Operators(self.writer)
        self.central = EmbeddedCentral(
            config.central, self.writer, self.presence, self.tokens, self.operators
        )
        self.keys = Keys(self.writer)
        self.audit = AuditLog(self.writer, self.keys)
        self.hub = Hub(self.events)
        self.timings = Timings()
        self.limit = Limit("default", config.limits.default)
        self.auth_failures = Limit("auth_failures", config.limits.auth_failures)
        self.running_writes: dict[tuple[str, str], bytes] = {}
        self.started_at = clock.now()
        self.base_url = (config.server.public_url or f"http://{config.server.bind}").rstrip("/")
        self.serving = False
        self._snapshots: dict[str, tuple[Guild, int, bytes]] = {}
        self._lock: int | None = None
        self._tasks: list[gevent.Greenlet] = []
        self._contain_listeners()
        self.events.on_commit.append(self.hub.publish)
        self.keys.on_ended.append(lambda key: self.hub.close_key(key.id, "key ended"))
        self.writer.on_dropped.append(self._tell_gap)
        self.writer.on_long = self.stalls.held

    def _contain_listeners(self) -> None:
        writer = self.writer
        for listeners in (
            *(writer.on_change, writer.on_foreign, writer.on_dropped),
            *(self.events.on_commit, self.keys.on_ended, self.operators.on_change),
        ):
            listeners.problems, listeners.modules = self.problems, self.plugins.modules

    @property
    def guild(self) -> Guild:
        """The guild as the last commit left it."""
        return self.writer.guild

    def settings(self, kind: type[S]) -> S:
        """A plugin's settings, as its Settings struct."""
        found: S = self.plugins.settings[kind]
        return found

    def snapshot(self, name: str, make: Callable[[], A]) -> A:
        """An answer about live state, made anew only when the guild or who is connected has changed.

        For a view to return as it is: what comes is the answer as it goes over the wire.
        """
        return self._snapshot(name, make)  # type: ignore[return-value]

    def _snapshot(self, name: str, make: Callable[[], Answer]) -> bytes:
        kept = self._snapshots.get(name)
        if kept is not None and kept[0] is self.writer.guild and kept[1] == self.presence.version:
            return kept[2]
        answer = make()
        answer.guild_id = self.guild_id
        body = msgspec.json.encode(answer)
        self._snapshots[name] = self.writer.guild, self.presence.version, body
        return body

    def _tell_gap(self, dropped: int) -> None:
        log.warning("%d events could not be kept", dropped)
        self.hub.gap(self.events.gap_block(self.events.id_of(self.events.newest), self.events.newest))

    def meet_server(self) -> None:
        """Have `base_url` lead to the process that serves this folder, wherever that was told to listen."""
        if self.config.server.public_url:
            return
        process = Process.serving(self.store.folder)
        ports = [place for place in process.places() if "/" not in place] if process is not None else []
        if ports:
            self.base_url = f"http://{ports[0]}"

    # -- the worker's life

    def spawn(self, task: Callable[[], Any]) -> gevent.Greenlet:
        """Run a function in a greenlet of its own, which ends with this worker's turn at the shard."""
        self._tasks = [one for one in self._tasks if not one.ready()]
        plugin = owner(home(task), self.plugins.modules)
        self._tasks.append(Greenlet.spawn(self._contained, plugin, task) if plugin else Greenlet.spawn(task))
        return self._tasks[-1]

    def _contained(self, plugin: str, task: Callable[[], Any]) -> Any:
        try:
            return task()
        except Ended:
            raise
        except BaseException as error:
            self.problems.failed(plugin, "task", named(task), error)
            return None

    def start(self, worker: Any, tasks: list[Callable[[], None]]) -> None:
        """Begin to work; timers, gateway and tasks wait until no other process serves this data folder."""
        if not self.config.server.public_url:
            self.base_url = _url_of(worker.sockets[0].getsockname()) or self.base_url
        self.problems.begin()
        self.stalls.start()
        self.writer.on_uncertain = lambda: setattr(worker, "alive", False)
        vital(self.writer.watch())
        for task in (self.audit.run, self._expire_keys):
            vital(Greenlet.spawn(task))
        serving = Greenlet.spawn(self._serve, tasks, worker.serving)
        vital(serving)
        self._tasks.append(serving)

    def _serve(self, tasks: list[Callable[[], None]], announce: Callable[[], None]) -> None:
        while (lock := folder.lock(self.store.folder)) is None:
            gevent.sleep(0.05)
        self._lock = lock
        self.writer.refresh()
        self._close_what_a_crash_left_open()
        if self.store.read(lambda: effects.any_left(self.guild_id)):
            self.spawn(self._end_what_a_crash_interrupted)
        self.central.end_due()
        self.serving = True
        own = (self.central.run_timers, self.presence.keep_time, self._stay_alive, self._keep_house)
        for task in own:
            self._tasks.append(Greenlet.spawn(task))
            vital(self._tasks[-1])
        self._tasks += [Greenlet.spawn(task) for task in tasks]
        announce()

    def _close_what_a_crash_left_open(self) -> None:
        self.store.read(self.events.read_open)  # the worker before this one went on after we had read it
        events = self.store.read(lambda: left_open(self.guild_id))
        if events:
            log.warning(
                "the last run ended without a farewell: %d joins and transmissions closed", len(events)
            )
            try:
                self.writer.append(events)
            except ApiError:
                self.writer.post(events)  # held, in front of all that follows

    def _end_what_a_crash_interrupted(self) -> None:
        effects.keep(self.writer, lambda: effects.left_open(self.guild_id), lambda events: events)

    def _stay_alive(self) -> None:
        while True:
            gevent.sleep(ALIVE_SECONDS)
            if self.presence.users and not self.writer.troubled:
                self._try("note that the shard is alive", self._note_alive)

    def _note_alive(self) -> None:
        many("UPDATE guild SET alive_at = ? WHERE id = ?", [(clock.now(), self.guild_id)])

    def _expire_keys(self) -> None:
        while True:
            gevent.sleep(0.5)
            self.keys.expire(clock.now())

    def _keep_house(self) -> None:
        keep = self.config.events
        while True:
            gevent.sleep(HOUSEKEEPING_SECONDS)
            self._try("prune events", self.events.prune(keep.keep_hours, keep.keep_count))
            self._try("prune kept answers", writes.prune)
            self._try("prune the audit", self.audit.prune)
            self._try("checkpoint the catalogue", self.central.checkpoint)

    def _try(self, what: str, write: Callable[[], Any]) -> None:
        try:
            self.writer.write(write)
        except Exception as error:
            log.warning("could not %s: %s", what, error)

    def retire(self) -> None:
        """Close streams and sockets and let go of the folder; requests that still come are answered."""
        self.serving = False
        for task in self._tasks:
            task.kill(block=False)
        self.hub.close()
        self.presence.close("restart")
        self._try("write the last events", lambda: None)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def close(self) -> None:
        """Retire, write what waits, and close the store."""
        self.retire()
        try:
            self.audit.flush()
        except Exception as error:
            log.warning("the last audit rows are lost: %s", error)
        self.stalls.stop()
        self.writer.stop()
        self.store.close()


def signing_secrets(config: Config) -> list[str]:
    """The secrets that sign tokens, the newest first; made once in the data folder, one a line."""
    if config.signing_secret.strip():
        return config.signing_secret.split()
    path = config.folder / folder.SECRET
    create_private(path, secrets.token_urlsafe(48).encode() + b"\n")
    found = path.read_text("ascii").split()
    if not found:
        raise ConfigError(f"{path} is empty: put the secret back, or remove the file to have a new one made")
    return found


def _open_guild(config: Config) -> str:
    """The id of the guild to open, added to the store if it is new there."""
    known = guild_ids()
    guild_id = config.guild.id or (known[0] if known else _mint_guild_id())
    if not one("SELECT 1 FROM meta WHERE name = 'epoch'"):
        many("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", [(secrets.token_hex(4),)])
    if guild_id not in known:
        features = Features(max_nets=config.central.max_nets)
        add_guild(Guild(id=guild_id, name=config.guild.name or "Shard", features=features), clock.now())
    elif config.guild.name and one("SELECT name FROM guild WHERE id = ?", (guild_id,)) != (
        config.guild.name,
    ):
        many("UPDATE guild SET name = ? WHERE id = ?", [(config.guild.name, guild_id)])
    return guild_id


def _mint_guild_id() -> str:
    """A new id with the look of a Discord snowflake: milliseconds since 2015, then 22 random bits."""
    return str((clock.now() - 1_420_070_400_000) << 22 | secrets.randbits(22))


def _url_of(address: Any) -> str:
    """The URL of a listener, "" for a unix socket."""
    if not isinstance(address, tuple):
        return ""
    host, port = address[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"

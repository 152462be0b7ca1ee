"""The window: in the store, and in memory for the guard that looks at it with every command."""

import peewee
from msgspec import Struct
from msgspec.structs import replace

from shardapi import ErrorCode, Event, Model, Shard, clock
from shardapi.alerts import SendAlert
from shardapi.commands import Command
from shardapi.guild import Guild

MAINTENANCE = ErrorCode("maintenance", 503, "Maintenance")


class MaintenanceWindow(Model):
    """A guild's window; `serial` counts its changes."""

    guild = peewee.TextField(primary_key=True)
    serial = peewee.IntegerField()
    starts_at = peewee.IntegerField()
    ends_at = peewee.IntegerField()
    why = peewee.TextField()


class Span(Struct, frozen=True):
    """From when to when (ms) nothing is changed, and why; `ends_at` 0 is no window."""

    starts_at: int = 0
    ends_at: int = 0
    why: str = ""
    serial: int = 0

    def holds(self, now: int) -> bool:
        """Whether the time is in it."""
        return self.starts_at <= now < self.ends_at


class Window:
    """The window of one shard; what the store has counts, this is what was last read of it."""

    def __init__(self, shard: Shard) -> None:
        self.shard, self.span = shard, Span()
        self.refused = 0
        self.reload()
        # The command line changes it in another process.
        shard.writer.on_foreign.append(lambda: shard.spawn(self.reload))

    def reload(self) -> None:
        """Read it from the store."""
        found = self.shard.store.read(lambda: kept(self.shard.guild_id))
        if found.serial >= self.span.serial:  # else a later change was read by another greenlet meanwhile
            self.span = found

    def check(self, guild: Guild, command: Command) -> None:
        """Refuse what changes the guild while the window is on; alerts still go out, to say so."""
        now, span = clock.now(), self.span
        if isinstance(command, SendAlert) or not span.holds(now):
            return
        self.refused += 1
        end = clock.iso(span.ends_at)
        raise MAINTENANCE(
            f"Nothing is changed during maintenance{f': {span.why}' if span.why else '.'}",
            hint=f"Try again after {end}; whoever may write:maintenance can end it before.",
            headers=(("Retry-After", str(max(1, (span.ends_at - now + 999) // 1000))),),
            facts={"until": end},
        )


class WindowChanged(Struct, frozen=True, rename="camel"):
    """What the event says; times are "" where there is no window any more."""

    starts_at: str
    ends_at: str
    why: str


def kept(guild_id: str) -> Span:
    """The window in the store; runs inside `shard.store.read` or a write."""
    row = MaintenanceWindow.get_or_none(MaintenanceWindow.guild == guild_id)
    return Span() if row is None else Span(row.starts_at, row.ends_at, row.why, row.serial)


def keep(guild_id: str, wanted: Span) -> tuple[Span, bool]:
    """Have this window; runs inside a write. Answers it, and whether that changed anything."""
    before = kept(guild_id)
    after = replace(wanted, serial=before.serial)
    if after == before:
        return before, False
    after = replace(wanted, serial=before.serial + 1)
    row = {"guild": guild_id, "serial": after.serial, "starts_at": after.starts_at}
    row |= {"ends_at": after.ends_at, "why": after.why}
    MaintenanceWindow.insert(row).on_conflict_replace().execute()
    return after, True


def told(result: tuple[Span, bool]) -> list[Event]:
    """The event of a change."""
    span, changed = result
    said = WindowChanged(clock.iso(span.starts_at), clock.iso(span.ends_at), span.why)
    return [Event("maintenance.changed", said)] if changed else []

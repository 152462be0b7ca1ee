"""A command that is several: made up against the pending guild, decided one by one, told as one."""

from collections.abc import Sequence

from msgspec.structs import replace

from .commands import Change, Command
from .errors import ApiError
from .events import Event
from .guild import Guild


class Composite(Command, frozen=True, kw_only=True):
    """Commands that only the guild at hand can tell; each is granted, guarded and answered for like any other.

    Being a command it is pure: uids, and what it takes from the store, come in with it.
    """

    def steps(self, guild: Guild) -> Sequence[Command]:
        """What to do to this guild, in order."""
        raise NotImplementedError

    def told(self, guild: Guild, changes: Sequence[Change]) -> tuple[Event, ...]:
        """The events of the whole, in place of those of its steps; `guild` is the one before these changes."""
        raise NotImplementedError

    def retold(self, guild: Guild, results: Sequence[Change | ApiError]) -> list[Change | ApiError]:
        """The results of its steps, the last change with all the events there are."""
        changes = [result for result in results if isinstance(result, Change) and result.changed]
        if not changes:
            return list(results)
        events, last = self.told(guild, changes), changes[-1]
        return [
            replace(result, events=events if result is last else ()) if isinstance(result, Change) else result
            for result in results
        ]

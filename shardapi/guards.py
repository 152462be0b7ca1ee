"""Guards: what plugins may say against a command before it is decided."""

from collections.abc import Callable, Sequence

from .commands import Command
from .errors import ApiError, ErrorCode
from .greenlets import Ended
from .guild import Guild
from .problems import Problems, named

Check = Callable[[Guild, Command], None]


class Guard:
    """A plugin's function that refuses a command by raising ApiError; `errors` are the codes it refuses with.

    It is asked about every command at the shard's own door, real run and dry run alike, before central decides, with
    the guild as the commands before it have left it. It has to be fast: it runs while all else waits, so it answers
    from memory and a clock, and neither reads the store nor sleeps; it may be asked again about the same command, and
    changes nothing but what it counts. What it raises besides ApiError is told as a problem and refuses nothing.
    Central's own endings of what was temporary are not asked about, and a central that is not in this process knows
    nothing of guards.
    """

    def __init__(self, check: Check, errors: Sequence[ErrorCode] = ()) -> None:
        self.check, self.errors = check, tuple(errors)


class Asked:
    """A guard with the name of its plugin, its failures contained."""

    def __init__(self, plugin: str, guard: Guard, problems: Problems) -> None:
        self.plugin, self.guard, self.problems = plugin, guard, problems

    def __call__(self, guild: Guild, command: Command) -> None:
        """Ask it. Raises ApiError where it refuses."""
        try:
            self.guard.check(guild, command)
        except (ApiError, Ended):
            raise
        except BaseException as error:
            self.problems.failed(self.plugin, "guard", named(self.guard.check), error)

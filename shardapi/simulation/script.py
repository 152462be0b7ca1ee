"""A script: which operators there are and what they do at which second, as a file or as text.

    seed = 7                      # of everything the script leaves open; --seed wins

    [operators.viper]             # "viper" is the user id
    name = "Viper 1"              # the display name; without it, the user id
    roles = ["880000000000000001"]
    token = "..."                 # without it, one is minted from the shard's data

    [operators.raven]

    [[steps]]
    at = 0                        # seconds from the start
    join = ["viper", "raven"]     # one user id or a list

    [[steps]]
    at = 1.5
    talk = "viper"
    net = "Strike"                # its name, its uid or its slot
    seconds = 2.5                 # without it, as long as people talk

    [[steps]]
    at = 5
    chat = ["viper", "raven"]     # they take turns: one speaks, another answers
    net = "Strike"
    seconds = 30

    [[steps]]
    at = 36
    assign = "raven"              # and `unassign`: over the API, so they need a key
    net = "Recon"

    [[steps]]
    at = 40
    leave = "viper"               # at the end everyone leaves who has not

JSON says the same with the same names.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import msgspec

from . import speech

Action = Literal["join", "leave", "key", "release", "assign", "unassign"]
OVER_THE_API = ("assign", "unassign")
CHAT_SECONDS = 30.0

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
UserId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$(?!\n)")]
# Without UserId's pattern: several such fields in one struct crash msgspec 0.22 when the interpreter ends.
Users = str | tuple[str, ...]


class ScriptError(ValueError):
    """Raised for a script that cannot be played; the message is one line that says where."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one user does, so many seconds from the start; `net` is a name, a uid or a slot."""

    at: float
    do: Action
    user: str
    net: str = ""


class Actor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator of a script."""

    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    roles: tuple[str, ...] = ()
    token: str = ""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One [[steps]] table: when, and exactly one of the verbs."""

    at: Seconds
    join: Users | None = None
    leave: Users | None = None
    talk: Users | None = None
    chat: Users | None = None
    assign: Users | None = None
    unassign: Users | None = None
    net: str | int = ""
    seconds: Seconds | None = None

    def __post_init__(self) -> None:
        said = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(said) != 1:
            raise ValueError(f"say exactly one of {', '.join(VERBS)}")
        if (said[0] not in ("join", "leave")) != (self.net != ""):
            raise ValueError(f"{said[0]} needs {'no net' if self.net != '' else 'a net'}")
        if self.seconds is not None and said[0] not in ("talk", "chat"):
            raise ValueError(f"{said[0]} takes no time")

    @property
    def verb(self) -> str:
        return next(verb for verb in VERBS if getattr(self, verb) is not None)

    @property
    def users(self) -> tuple[str, ...]:
        users: Users = getattr(self, self.verb)
        return (users,) if isinstance(users, str) else users

    def steps(self, rng: Random) -> Iterator[Step]:
        """What the table stands for."""
        net = str(self.net)
        match self.verb:
            case "chat":
                length = CHAT_SECONDS if self.seconds is None else self.seconds
                for begin, end, user in speech.conversation(rng, self.users, length):
                    yield from self._talk(user, net, begin, end)
            case "talk":
                for user in self.users:
                    length = speech.utterance(rng) if self.seconds is None else self.seconds
                    yield from self._talk(user, net, 0, length)
            case verb:
                for user in self.users:
                    yield Step(at=self.at, do=verb, user=user, net=net)  # type: ignore[arg-type]

    def _talk(self, user: str, net: str, begin: float, end: float) -> Iterator[Step]:
        yield Step(at=self.at + begin, do="key", user=user, net=net)
        yield Step(at=self.at + end, do="release", user=user, net=net)


VERBS = ("join", "leave", "talk", "chat", "assign", "unassign")


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole script."""

    operators: dict[UserId, Actor]
    steps: tuple[Line, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        for number, line in enumerate(self.steps):
            for user in line.users:
                if user not in self.operators:
                    raise ValueError(f"steps[{number}]: there is no operator {user}")

    @property
    def needs_key(self) -> bool:
        """Whether a step goes over the API."""
        return any(line.verb in OVER_THE_API for line in self.steps)

    def plan(self, seed: int | None = None) -> list[Step]:
        """Every step in the order of time; the same seed makes the same plan."""
        rng = Random(self.seed if seed is None else seed)
        steps = [step for line in self.steps for step in line.steps(rng)]
        return sorted(steps, key=lambda step: step.at)


def read(path: Path) -> Script:
    """The script in a file. Raises ScriptError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return parse(text, str(path))


def parse(text: str, source: str = "the script") -> Script:
    """The script that a text is: JSON if it begins with a brace, else TOML. Raises ScriptError."""
    try:
        if text.lstrip().startswith("{"):
            tree: Mapping[str, Any] = msgspec.json.decode(text)
        else:
            tree = tomllib.loads(text)
        return msgspec.convert(tree, Script)
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, ValueError) as error:
        raise ScriptError(f"{source}: {error}") from None

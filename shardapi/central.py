"""Central: the authority that validates every change to the guild, and the only door to it."""

import heapq
import logging
import secrets
from base64 import b32encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import gevent
import msgspec
from msgspec.structs import replace

from . import catalogue, clock, journal
from .alerts import SendAlert
from .commands import Change, Command, CreateNet, EndTemporary, RestoreNet, SetFeatures, SetRules
from .composite import Composite
from .config import CentralSettings
from .errors import PRECONDITION_FAILED, ApiError
from .events import AssignmentsChanged, Event
from .guild import Frozen, Guild
from .operators import Operators
from .presence import Identity, Presence, Transmission
from .presets import ApplyPreset
from .tokens import BadToken, Tokens
from .writer import Draft, Job, Writer, stepped

log = logging.getLogger("shardapi.central")

OPERATOR = "operator"
TICK_SECONDS = 1.0
Guarding = Callable[[Guild, Command], None]  # raises ApiError to refuse


class Claims(Frozen, frozen=True, kw_only=True):
    """What an operator token says."""

    user_id: str
    display_name: str
    roles: tuple[str, ...] = ()
    guild_id: str
    iat: int
    exp: int
    after: int | None = None


class Outcome(NamedTuple):
    """What a submit did: for each command its change or its refusal, and the guild it led to.

    `commands` are those that were decided: in place of a composite its steps.
    """

    guild: Guild
    changed: bool
    results: list[Change | ApiError]
    commands: list[Command]

    @property
    def version(self) -> int:
        return self.guild.version


class Refused(ApiError):
    """Raised when an atomic submit is refused: the first refusal, with `results` for every one of its `commands`."""

    def __init__(
        self, first: ApiError, results: list[Change | ApiError], commands: Sequence[Command]
    ) -> None:
        super().__init__(first.kind, first.detail, first.hint, first.errors, first.headers, first.facts)
        self.results, self.commands = results, commands


class Submit(Job):
    """Commands that become true together: one transaction, one version, one config push."""

    def __init__(
        self,
        central: "EmbeddedCentral",
        commands: Sequence[Command],
        atomic: bool,
        record: Callable[[Outcome], Any] | None,
        if_match: Callable[[int], bool] | None,
        guards: Sequence[Guarding] = (),
        tell: Callable[[Outcome], Iterable[Event]] | None = None,
    ) -> None:
        self.central, self.commands, self.atomic, self.guards = central, commands, atomic, guards
        self.record, self.if_match, self.tell = record, if_match, tell
        self.outcome: Outcome | None = None
        self.stops: list[Transmission] = []

    def decide(self, draft: Draft) -> None:
        before = draft.guild
        self.outcome = decide(before, self.commands, self.atomic, self.if_match, draft.now, self.guards)
        self.stops = []
        if not self.outcome.changed:
            return
        presence = self.central.presence
        self.stops = presence.force(self.outcome.guild)
        draft.events.extend(presence.forced_events(self.stops))
        guild = before
        for command, result in zip(self.outcome.commands, self.outcome.results, strict=True):
            if isinstance(result, Change):
                draft.events.extend(result.events)
                draft.events.extend(self._moved(command, guild, result))
                guild = result.guild
        draft.guild = self.outcome.guild

    def _moved(self, command: Command, before: Guild, change: Change) -> list[Event]:
        """What only presence can tell of a change of rules: how many assignments of connected users it changed."""
        if not isinstance(command, SetRules) or not change.changed:
            return []
        if not any(command is one for one in self.commands):
            return []  # a step of a composite, which is told as one
        count = self.central.presence.moved_by_rules(before, change.guild)
        key_id = command.by or msgspec.UNSET
        data = AssignmentsChanged(source="rule", action="rules.set", key_id=key_id, count=count)
        return [Event("assignments.changed", data)] if count else []

    def write(self, draft: Draft) -> None:
        assert self.outcome is not None
        for result in self.outcome.results:
            if isinstance(result, Change) and result.archived is not None:
                catalogue.archive(draft.guild.id, result.archived, draft.now)
        self.result = self.outcome if self.record is None else self.record(self.outcome)
        draft.events.extend(self.tell(self.outcome) if self.tell is not None else ())

    def committed(self) -> None:
        self.central.presence.settle(self.stops)

    def failed(self) -> None:
        self.central.presence.release(self.stops)


def decide(
    before: Guild,
    commands: Sequence[Command],
    atomic: bool,
    if_match: Callable[[int], bool] | None,
    now: int,
    guards: Sequence[Guarding] = (),
) -> Outcome:
    """Apply commands one after another to a guild. Raises Refused if atomic and any is refused, by a guard too."""
    if if_match is not None and not if_match(before.version):
        raise moved_on(before.version)
    guild, results, steps = before, list[Change | ApiError](), list[Command]()
    for command in commands:
        own = command.steps(guild) if isinstance(command, Composite) else [command]
        after, found = _in_turn(own, guild, guards)
        results += command.retold(guild, found) if isinstance(command, Composite) else found
        steps += own
        guild = after
    first = next((result for result in results if isinstance(result, ApiError)), None)
    if atomic and first is not None:
        raise Refused(first, results, steps)
    return Outcome(stepped(before, guild, now), guild is not before, results, steps)


def _in_turn(
    commands: Sequence[Command], guild: Guild, guards: Sequence[Guarding]
) -> tuple[Guild, list[Change | ApiError]]:
    """The guild after those of these commands that are not refused, and what each did."""
    results: list[Change | ApiError] = []
    for command in commands:
        try:
            for guard in guards:
                guard(guild, command)
            change = command.apply(guild)
        except ApiError as error:
            results.append(error)
        else:
            guild = change.guild
            results.append(change)
    return guild, results


def moved_on(version: int) -> ApiError:
    """The refusal of a write that rests on another version of the config."""
    return PRECONDITION_FAILED(
        f"The config is at version {version}.",
        hint=f'Read it again, then decide again. If-Match names a version in quotes: "{version}".',
    )


class EmbeddedCentral:
    """The central that lives in the shard's own process: it grants what the settings say."""

    def __init__(
        self,
        settings: CentralSettings,
        writer: Writer,
        presence: Presence,
        tokens: Tokens,
        operators: Operators,
    ) -> None:
        self.settings, self.writer, self.presence, self.tokens = settings, writer, presence, tokens
        self.operators = operators
        self.guards: list[Guarding] = []
        self._deadlines: list[tuple[int, str, str]] = []
        writer.on_change.append(self._note_deadlines)
        self._note_all(writer.guild)

    @property
    def guild(self) -> Guild:
        """The guild as the last commit left it."""
        return self.writer.guild

    def submit(
        self,
        commands: Sequence[Command],
        *,
        atomic: bool = True,
        record: Callable[[Outcome], Any] | None = None,
        if_match: Callable[[int], bool] | None = None,
        tell: Callable[[Outcome], Iterable[Event]] | None = None,
    ) -> Any:
        """Make commands true and durable; answers what `record` made of the outcome in the same transaction.

        `record` may write rows, and raise to refuse it all; `tell` says which events are logged besides those of
        the commands. Without `record` the outcome is answered.
        Raises Refused when atomic, precondition_failed, store_unavailable, store_uncertain.
        """
        granted = self._granted(commands)
        return self.writer.run(Submit(self, granted, atomic, record, if_match, self.guards, tell))

    def preview(
        self,
        commands: Sequence[Command],
        *,
        atomic: bool = True,
        if_match: Callable[[int], bool] | None = None,
    ) -> Outcome:
        """What submit would do now, changing nothing; raises as it would."""
        outcome = decide(self.guild, self._granted(commands), atomic, if_match, clock.now(), self.guards)
        return outcome._replace(
            guild=outcome.guild if not outcome.changed else self._at_present(outcome.guild)
        )

    def _granted(self, commands: Sequence[Command]) -> list[Command]:
        """The commands with what central grants at most."""
        return [self._grant(command) for command in commands]

    def _grant(self, command: Command) -> Command:
        match command:
            case CreateNet() | RestoreNet() | SetFeatures() | ApplyPreset():
                return replace(command, ceiling=self.settings.max_nets)
            case SendAlert():
                return replace(command, premium=self.settings.premium)
        return command

    def _at_present(self, guild: Guild) -> Guild:
        return replace(guild, version=self.guild.version, updated_at=self.guild.updated_at)

    # -- operators

    def operator_token(
        self, user_id: str, display_name: str, roles: Sequence[str] = (), expires_days: float = 30
    ) -> str:
        """A token with which an operator's client connects to the gateway."""
        now = self.operators.issue_time(user_id)
        return self.tokens.sign(
            OPERATOR,
            {
                "userId": user_id,
                "displayName": display_name,
                "roles": list(roles),
                "guildId": self.guild.id,
                "iat": now,
                "exp": now + int(expires_days * 86400),
                "after": self.operators.revoked_at(user_id),
            },
        )

    def operator(self, token: str) -> Identity | None:
        """Whom an operator token stands for in this guild; raises BadToken."""
        try:
            said = msgspec.convert(self.tokens.read(OPERATOR, token), Claims)
        except msgspec.ValidationError:
            raise BadToken("the token does not say who it is for") from None
        if said.guild_id != self.guild.id:
            return None
        return Identity(said.user_id, said.display_name, said.roles, issued_at=said.iat, after=said.after)

    # -- temporary assignments

    def _note_deadlines(self, before: Guild, after: Guild) -> None:
        if after.members is before.members:
            return
        for net, users in after.members.items():
            old = before.members.get(net)
            if users is not old:
                for user, one in users.items():
                    if one.until and (old is None or old.get(user) is not one):
                        heapq.heappush(self._deadlines, (one.until, net, user))

    def _note_all(self, guild: Guild) -> None:
        for net, users in guild.members.items():
            for user, one in users.items():
                if one.until:
                    heapq.heappush(self._deadlines, (one.until, net, user))

    def end_due(self) -> None:
        """End the temporary assignments whose time has come, by the wall clock."""
        now, due = clock.now(), list[tuple[int, str, str]]()
        while self._deadlines and self._deadlines[0][0] <= now:
            due.append(heapq.heappop(self._deadlines))
        if not due:
            return
        try:
            over = [EndTemporary(uid=net, user_id=user, at=now) for _, net, user in due]
            self.writer.run(Submit(self, over, False, None, None))  # no guard is asked: it is over
        except ApiError as error:
            log.warning("temporary assignments could not be ended yet: %s", error)
            for deadline in due:
                heapq.heappush(self._deadlines, deadline)
            self.presence.look_again({user for _, _, user in due})  # over is over, written or not

    def run_timers(self) -> None:
        """Ends what falls due, for as long as it runs; a stepped clock is noticed within a second."""
        while True:
            self.end_due()
            wait = TICK_SECONDS
            if self._deadlines and not self.writer.troubled:
                wait = min(wait, max(0.005, (self._deadlines[0][0] - clock.now()) / 1000))
            gevent.sleep(wait)

    # -- the catalogue

    def checkpoint(self) -> None:
        """Take what the catalogue's journal has; runs inside a write, each minute."""
        journal.checkpoint(self.guild.id, clock.now())


def mint_uid() -> str:
    """A new net's uid: net_ and 24 lowercase base32 characters."""
    return "net_" + b32encode(secrets.token_bytes(15)).decode().lower()

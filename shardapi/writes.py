"""Write options, once for every write: dry run, idempotency key, precondition, audit reason."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from . import clock
from .auditlog import INSERT, MOST_REASON, row_of
from .central import Outcome, mint_uid, moved_on
from .commands import Command
from .effects import BEGUN, DONE, Effect, keep
from .errors import (
    IDEMPOTENCY_MISMATCH,
    IDEMPOTENCY_RUNNING,
    INVALID_VALUE,
    PRECONDITION_FAILED,
    ApiError,
    FieldError,
)
from .events import ConfigChanged, Event
from .models import Idempotency, config_version
from .routes import Call, Written
from .store import many

T = TypeVar("T")
W = TypeVar("W", bound=Written)

KEEP_MS = 86_400_000
MOST_ROWS, MOST_BYTES = 10_000, 16 * 1024 * 1024
MOST_NAME = 255
ENCODE = msgspec.json.Encoder().encode


class Rendered:
    """An answer as bytes, already on disk with its effect."""

    __slots__ = ("body", "replayed")

    def __init__(self, body: bytes, replayed: bool = False) -> None:
        self.body, self.replayed = body, replayed


class Rehearsed(Exception):
    """Raised at the end of a dry run's transaction, to take it back."""

    def __init__(self, answer: Written) -> None:
        super().__init__()
        self.answer = answer


class Write:
    """The write of one request: submit commands with it, or rows, and answer what came of it."""

    def __init__(self, call: Call) -> None:
        self.call, self.shard = call, call.shard
        environ = call.environ
        self.dry_run = _flag(call)
        self.name = _bounded(environ, "HTTP_IDEMPOTENCY_KEY", "Idempotency-Key", MOST_NAME)
        self.reason = _bounded(environ, "HTTP_X_AUDIT_LOG_REASON", "X-Audit-Log-Reason", MOST_REASON)
        self._if_match: str | None = environ.get("HTTP_IF_MATCH")
        self.recorded = False  # whether the audit row is part of the write
        self._fingerprint = b""
        self._running: tuple[str, str] | None = None
        self._minted: list[str] = []

    @property
    def by(self) -> str:
        """The id of the key that writes."""
        return self.call.key.id if self.call.key is not None else ""

    def mint(self) -> str:
        """A uid for a new net; a dry run's answer shows "" in its place."""
        return self.minted(mint_uid())

    def minted(self, value: str) -> str:
        """The same value, which was made for this write; a dry run's answer shows "" in its place."""
        self._minted.append(value)
        return value

    def submit(
        self,
        commands: Sequence[Command],
        answer: Callable[[Outcome], W],
        *,
        atomic: bool = True,
        events: Callable[[Outcome], Iterable[Event]] | None = None,
    ) -> W:
        """Make commands true; `answer` is called in their transaction and what it returns is kept with it.

        `events` says which are logged besides those of the commands.
        Hand what this returns to the caller as it is: of a write that was made it is the answer as it was kept.
        Raises central.Refused, which is the first refusal, when atomic.
        """
        if_match = self._matches if self._if_match is not None else None
        central = self.shard.central
        if self.dry_run:
            outcome = central.preview(commands, atomic=atomic, if_match=if_match)
            return self._dry(answer(outcome), outcome.changed, self.shard.guild.version)
        kept: W = central.submit(
            commands,
            atomic=atomic,
            if_match=if_match,
            record=lambda outcome: self._record(answer(outcome), outcome.changed, outcome.version),
            tell=events,
        )
        return kept

    def store(
        self,
        work: Callable[[], T],
        answer: Callable[[T], W],
        *,
        events: Callable[[T], Iterable[Event]] = lambda result: (),
        tag: Callable[[], str] | None = None,
    ) -> W:
        """Write rows that are no command; a dry run does it all and takes it back.

        `work` runs in the transaction and raises ApiError to refuse; of its result `answer` makes what is
        answered, which says whether anything changed, and `events` what is logged if so. `tag` gives the
        present entity tag of what is written ("" if there is none yet), for If-Match; without it If-Match
        names the config version.
        """
        made: list[W] = []

        def checked() -> T:
            if self._if_match is not None:
                self._check(config_version(self.shard.guild_id) if tag is None else tag())
            return work()

        def record(result: T) -> Rendered:
            made.append(answer(result))
            version = config_version(self.shard.guild_id)
            if self.dry_run:
                made[0].version = version
                raise Rehearsed(made[0])
            return self._record(made[0], made[0].changed, version)

        def tell(result: T) -> Iterable[Event]:
            return events(result) if made[0].changed else ()

        try:
            kept: W = self.shard.writer.write(checked, record, tell)
        except Rehearsed as done:
            return self._dry(made[0], done.answer.changed, done.answer.version)
        return kept

    def config_changed(self, action: str, uid: str = "", preset: str = "") -> Event:
        """The event of a write beside the config, which leaves its version as it is; made in the transaction."""
        data = ConfigChanged(
            action=action,
            version=config_version(self.shard.guild_id),
            key_id=self.by or UNSET,
            uid=uid or UNSET,
            preset=preset or UNSET,
        )
        return Event("config.changed", data, uid)

    def perform(
        self,
        answer: W,
        effect: Callable[[W], None],
        *,
        commands: Sequence[Command] = (),
        rows: Callable[[], None] = lambda: None,
        events: Callable[[W], Iterable[Event]] = lambda answer: (),
    ) -> W:
        """Do what lies outside the store, at most once, and keep what came of it.

        `answer` says what is planned. It is on disk, with `rows`, before `effect` runs and puts what came of it
        into the answer; then that answer is kept instead, and `events` of it are logged. If the process ends in
        between, the plan stands for what nobody can know.
        Raises central.Refused, precondition_failed, store_unavailable, store_uncertain; nothing was done then.
        """
        if_match = self._matches if self._if_match is not None else None
        central, shard = self.shard.central, self.shard
        if self.dry_run:
            central.preview(commands, if_match=if_match)
            return self._dry(answer, True, shard.guild.version)
        begun = Effect(shard.guild_id, self.by, self.name)

        def record(outcome: Outcome) -> Rendered:
            rows()
            rendered = self._record(answer, True, outcome.version, BEGUN)
            begun.begin(events(answer))
            return rendered

        planned = central.submit(commands, if_match=if_match, record=record)
        expected = list(events(answer))
        try:
            effect(answer)
        except Exception:
            self._keep(begun, planned.body, expected)
            raise
        done = Rendered(ENCODE(answer))
        self._keep(begun, done.body, list(events(answer)))
        return done  # type: ignore[return-value]  # as a view may

    def _keep(self, begun: Effect, body: bytes, events: Sequence[Event]) -> None:
        """Keep what came of an effect; while the store cannot write, a repeat of it counts as running."""
        work, tell = partial(begun.end, body), lambda ours: events if ours else ()
        try:
            self.shard.writer.write(work, tell=tell)
        except ApiError:
            keeping = self.shard.spawn(partial(keep, self.shard.writer, work, tell))
            if self._running is not None:
                keeping.link(partial(_over, self.shard.running_writes, self._running))
                self._running = None

    def _check(self, present: int | str) -> None:
        """Raises precondition_failed if If-Match names another version, or another tag than the present one."""
        if self._if_match is None or self._matches(present):
            return
        if isinstance(present, int):
            raise moved_on(present)
        raise PRECONDITION_FAILED(
            "It was changed since you read it.",
            hint="Read it again, then decide again. If-Match takes the ETag as it was answered, with its quotes.",
        )

    def _dry(self, answer: W, changed: bool, version: int) -> W:
        answer.changed, answer.version, answer.dry_run = changed, version, True
        if not self._minted:
            return answer
        plain = msgspec.to_builtins(answer)
        return msgspec.convert(_blanked(plain, frozenset(self._minted)), type(answer))

    def _record(self, answer: W, changed: bool, version: int, status: int = DONE) -> Rendered:
        """In the transaction: the answer with its audit and idempotency rows."""
        self.recorded = True
        answer.changed, answer.version = changed, version
        answer.guild_id = self.shard.guild_id
        body = ENCODE(answer)
        many(INSERT, [row_of(self.call, 200, "")])
        if self.name:
            if Idempotency.get_or_none(self._mine()) is not None:
                raise _in_progress()  # another process has done it since `begin`
            kept = answer.kept()
            stored = body if kept is answer else ENCODE(kept)
            row = (self.shard.guild_id, self.by, self.name, self._fingerprint, status, stored, clock.now())
            many("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)", [row])
        return Rendered(body)

    # -- precondition

    def _matches(self, present: int | str) -> bool:
        """Whether If-Match admits this version or tag; "" stands for what does not exist, which nothing matches."""
        assert self._if_match is not None
        tags = [tag.strip() for tag in self._if_match.split(",")]
        return present != "" and (f'"{present}"' in tags or tags == ["*"])

    # -- idempotency

    def begin(self) -> Rendered | None:
        """The kept answer of this very request, if it was made before; else it counts as running until `end`.

        Raises idempotency_mismatch, idempotency_running.
        """
        if not self.name or self.dry_run:
            return None
        who = (self.by, self.name)
        self._fingerprint = self._take_fingerprint()
        running: dict[tuple[str, str], bytes] = self.shard.running_writes
        if who in running:
            if running[who] != self._fingerprint:
                raise _mismatch()
            raise _in_progress()
        running[who] = self._fingerprint
        self._running = who
        row = self.shard.store.read(lambda: Idempotency.get_or_none(self._mine()))
        if row is None:
            return None
        if bytes(row.fingerprint) != self._fingerprint:
            raise _mismatch()
        if row.status == BEGUN:
            raise _in_progress()  # in another process, which has died if it stays so until we serve
        return Rendered(bytes(row.body), replayed=True)

    def _mine(self) -> Any:
        return (
            (Idempotency.guild == self.shard.guild_id)
            & (Idempotency.key_id == self.by)
            & (Idempotency.name == self.name)
            & (Idempotency.at > clock.now() - KEEP_MS)
        )

    def end(self) -> None:
        """The request is over."""
        if self._running is not None:
            del self.shard.running_writes[self._running]
            self._running = None

    def _take_fingerprint(self) -> bytes:
        call = self.call
        parts = [self.shard.guild_id, self.by, call.environ["REQUEST_METHOD"], call.path]
        parts.append(call.environ.get("QUERY_STRING", ""))
        return hashlib.sha256(json.dumps(parts).encode() + call.data).digest()


def _over(running: dict[tuple[str, str], bytes], who: tuple[str, str], _: Any) -> None:
    del running[who]


def _in_progress() -> Exception:
    return IDEMPOTENCY_RUNNING(
        "A request with this Idempotency-Key is in progress.", hint="Repeat it in a moment."
    )


def _mismatch() -> Exception:
    return IDEMPOTENCY_MISMATCH(
        "This Idempotency-Key was used for a different request.", hint="Use a new key for a new request."
    )


def _flag(call: Call) -> bool:
    if not call.environ.get("QUERY_STRING"):
        return False
    text = call.query().get("dryRun", ["false"])[-1].lower()
    if text not in ("true", "false"):
        problem = FieldError("dryRun", "Expected true or false")
        raise INVALID_VALUE(f'dryRun is true or false, not "{text[:40]}".', errors=(problem,))
    return text == "true"


def _bounded(environ: dict[str, Any], name: str, header: str, most: int) -> str:
    text = str(environ.get(name, "")).encode("latin-1").decode("utf-8", "replace")
    if len(text) > most:
        problem = FieldError(header, f"Expected at most {most} characters")
        raise INVALID_VALUE(f"{header} is over {most} characters.", errors=(problem,))
    return text


def _blanked(value: Any, minted: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: _blanked(one, minted) for name, one in value.items()}
    if isinstance(value, list):
        return [_blanked(one, minted) for one in value]
    return "" if isinstance(value, str) and value in minted else value


def prune() -> None:
    """Forget kept answers that are too old, or too many for their key; runs on the writing connection."""
    many("DELETE FROM idempotency WHERE at < ?", [(clock.now() - KEEP_MS,)])
    many(
        "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM (SELECT rowid,"
        " row_number() OVER newest AS place, sum(length(body)) OVER newest AS bytes FROM idempotency"
        " WINDOW newest AS (PARTITION BY guild, key_id ORDER BY at DESC)) WHERE place > ? OR bytes > ?)",
        [(MOST_ROWS, MOST_BYTES)],
    )

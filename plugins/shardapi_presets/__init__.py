"""/presets: operations kept by name, and made true in one step.

A preset adds and renames, and takes nothing away. Its nets come first, then features (a larger `maxNets` before the
nets, which may need the room), rules, assignments, and last the operation's state. A preset's rules are given to its
roles besides those they have. A restored net comes back with its relays, but with the preset's people, not those it was
archived with. `config.changed` tells an apply that changed anything, once, whatever it changed.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw
from werkzeug.routing import BaseConverter

from shardapi import (
    Answer,
    Call,
    Key,
    Routes,
    Shard,
    ShardApp,
    Write,
    Written,
    errors,
    hookimpl,
)
from shardapi.body import decode
from shardapi.central import Outcome, Refused
from shardapi.errors import ApiError
from shardapi.fields import clean_name

from . import models
from .bodies import ApplyBody, PresetBody
from .document import Draft, alike
from .plan import Plan, carried
from .shown import PresetShown
from .steps import Step, Taken

presets = Routes("presets")

SCOPE = "write:presets"
MOST_PRESETS = 500
TRIES = 5
APPLY = "/apply"
EXAMPLE = {
    "name": "Friday Op",
    "nets": [{"id": 1, "name": "Strike"}, {"id": 2, "name": "Air Wing"}],
    "assignments": [{"userId": "123456789012345678", "netId": 1}],
    "open": True,
}
NameInPath = Annotated[
    str,
    Meta(
        description="The preset's name, URL-encoded: %2F for a slash, %25 for %",
        examples=["Friday Op"],
    ),
]
ANYTHING = msgspec.json.Decoder(dict[str, Any])
ENCODE = msgspec.json.Encoder().encode


class PresetName(BaseConverter):
    """A part of a path that may hold slashes, at its beginning too."""

    regex = r"[\s\S]+"
    part_isolating = False
    weight = 200


class PresetsAnswer(Answer, kw_only=True):
    """Every preset, by name; `revision` grows with each change to one, and is the ETag."""

    revision: int
    presets: list[PresetShown]

    def etag(self, version: int) -> str:
        return str(self.revision)


class PresetSaved(Written, kw_only=True):
    """The preset as it is kept: every net with an id, every slot with its uid."""

    preset: PresetShown


class PresetRemoved(Written, kw_only=True):
    """The name of the preset that is no more."""

    name: str


class PresetApplied(Written, kw_only=True):
    """What each step came to: `applied` changed something, `skipped` were so already, `failed` were refused."""

    preset: str
    results: list[Step]
    applied: int
    skipped: int
    failed: int


class Moved(ApiError):
    """Raised where the preset, or what the archive has of its nets, is no longer what was planned with."""


@presets.get("/presets", scope=SCOPE, etag=True)
def read(shard: Shard) -> PresetsAnswer:
    """Every saved preset."""
    revision, documents = shard.store.read(lambda: models.listed(shard.guild_id))
    return PresetsAnswer(revision=revision, presets=_raw(*documents))


@presets.post(
    "/presets",
    scope=SCOPE,
    errors=[errors.NET_NOT_FOUND, errors.NET_MISMATCH, errors.NET_PROTECTED, errors.TOO_MANY_PRESETS],
    examples={"body": EXAMPLE, "answer": {"action": "preset.save", "version": 41}},
)
def save(body: PresetBody, write: Write, shard: Shard, key: Key, call: Call) -> PresetSaved:
    """Save a preset, new or in place of the one of that name; If-Match names the ETag of the list."""
    for scope in carried(body.rules, body.features):
        key.need(scope)
    sent, name, guild = _sent(call), clean_name(body.name), shard.guild_id

    def work() -> tuple[str, bool]:
        old = models.find(guild, name)
        before = None if old is None else ANYTHING.decode(old)
        document = _encoded(Draft(body, sent, models.slots(guild), before).document())
        if old is not None and alike(ANYTHING.decode(document), before or {}):
            return old, False
        if old is None and models.count(guild) >= MOST_PRESETS:
            raise errors.TOO_MANY_PRESETS(
                f"There are {MOST_PRESETS} presets, which is the most.", hint="Delete one first."
            )
        models.keep(guild, name, document)
        return document, True

    def answer(saved: tuple[str, bool]) -> PresetSaved:
        document, changed = saved
        return PresetSaved(action="preset.save", changed=changed, preset=_raw(document)[0])

    told = "preset.save"
    return write.store(
        work, answer, events=lambda _: [write.config_changed(told, preset=name)], tag=_tag(shard)
    )


@presets.delete(
    "/presets/<preset:name>",
    scope=SCOPE,
    errors=[errors.PRESET_NOT_FOUND, errors.METHOD_NOT_ALLOWED],
    examples={"answer": {"action": "preset.remove", "name": "Friday Op"}},
)
def delete(name: NameInPath, write: Write, shard: Shard, call: Call) -> PresetRemoved:
    """Delete a preset; what it was applied to stays as it is. If-Match names the ETag of the list."""
    guild, names = shard.guild_id, _meant(name, call)
    called_so = name.endswith(APPLY) and _uri(call).endswith(APPLY)
    if called_so and shard.store.read(lambda: models.find(guild, names[0])) is None:
        raise errors.METHOD_NOT_ALLOWED(
            "DELETE is not possible here.",
            hint="Use POST; a slash that is part of a name is %2F.",
            headers=(("Allow", "POST"),),
        )

    def work() -> str:
        for one in names:
            if models.find(guild, one) is not None:
                models.remove(guild, one)
                return one
        raise _unknown(names[0], models.closest(guild, names[0]))

    return write.store(
        work,
        lambda gone: PresetRemoved(action="preset.remove", changed=True, name=gone),
        events=lambda gone: [write.config_changed("preset.remove", preset=gone)],
        tag=_tag(shard),
    )


@presets.post(
    "/presets/<preset:name>/apply",
    scope=SCOPE,
    errors=[errors.PRESET_NOT_FOUND, errors.PRESET_REFUSED, errors.CONFLICT],
    examples={"body": {"partial": False}, "answer": {"action": "preset.apply", "preset": "Friday Op"}},
)
def apply(name: NameInPath, body: ApplyBody, write: Write, shard: Shard, key: Key) -> PresetApplied:
    """Make a preset true in one step: nets, features, rules, assignments, operation. A second apply changes nothing."""
    for _ in range(TRIES):
        plan = shard.store.read(lambda: _planned(shard.guild_id, name.strip()))
        for scope in plan.scopes():
            key.need(scope)
        try:
            return _apply(plan, body, write, shard)
        except Moved as error:
            last = error
    raise last


def _apply(plan: Plan, body: ApplyBody, write: Write, shard: Shard) -> PresetApplied:
    def answer(outcome: Outcome) -> PresetApplied:
        taken = Taken(plan.kept, outcome.commands, outcome.results)
        if not write.dry_run:
            _keep_uids(plan, taken, shard.guild_id)
        return _applied(plan.kept.name, taken.steps())

    try:
        return write.submit([plan.command(write.mint, write.by)], answer, atomic=not body.partial)
    except Refused as refused:
        raise _refused(plan.kept.name, Taken(plan.kept, refused.commands, refused.results)) from None


def _planned(guild_id: str, name: str) -> Plan:
    """A preset as it is now. Raises preset_not_found."""
    document = models.find(guild_id, name)
    if document is None:
        raise _unknown(name, models.closest(guild_id, name))
    return Plan(document, guild_id)


def _keep_uids(plan: Plan, taken: Taken, guild_id: str) -> None:
    """In the transaction: write new nets' uids into the preset. Raises Moved if the plan rests on what is past."""
    name = plan.kept.name
    if models.find(guild_id, name) != plan.document or plan.archived(guild_id) != plan.entries:
        raise Moved(errors.CONFLICT, "The preset is being changed.", hint="Try again in a moment.")
    made = taken.made()
    if made:
        models.keep(guild_id, name, _encoded(plan.with_uids(made)))


def _applied(name: str, steps: list[Step]) -> PresetApplied:
    applied = sum(step.changed for step in steps)
    failed = sum(not step.ok for step in steps)
    return PresetApplied(
        action="preset.apply",
        preset=name,
        results=steps,
        applied=applied,
        skipped=len(steps) - applied - failed,
        failed=failed,
    )


def _refused(name: str, taken: Taken) -> ApiError:
    steps = taken.undone()
    bad = [step for step in steps if not step.ok]
    return errors.PRESET_REFUSED(
        f"{len(bad)} of {len(steps)} steps cannot be made, so nothing was changed. {bad[0].error}",
        hint='See results; with {"partial": true} the others are made.',
        facts={"preset": name, "results": msgspec.to_builtins(steps)},
    )


def _unknown(name: str, close: str) -> ApiError:
    hint = (
        f"Did you mean {close}? Upper and lower case differ." if close else "GET /api/v1/presets lists them."
    )
    return errors.PRESET_NOT_FOUND(f"There is no preset {name}.", hint=hint)


def _tag(shard: Shard) -> Callable[[], str]:
    return lambda: str(models.revision(shard.guild_id))


def _sent(call: Call) -> dict[str, Any]:
    """The body with all that is in it. Raises malformed_json."""
    found: dict[str, Any] = decode(call.data, ANYTHING, call.environ.get("CONTENT_TYPE", ""))
    return found


def _encoded(document: dict[str, Any]) -> str:
    try:
        return ENCODE(document).decode()
    except RecursionError:
        raise errors.MALFORMED_JSON("The body is not valid JSON: it is nested too deeply.") from None


def _raw(*documents: str) -> Any:
    return [Raw(document.encode()) for document in documents]


def _meant(name: str, call: Call) -> list[str]:
    """The names that a path can mean: a slash at its end is the name's, else only the path's if it is not encoded."""
    names = [name, name[:-1]] if name.endswith("/") and _uri(call).endswith("/") else [name]
    return [stripped for one in names if (stripped := one.strip())] or [name]


def _uri(call: Call) -> str:
    """The path as it was sent."""
    return str(call.environ.get("RAW_URI", "")).partition("?")[0]


presets.add_url_rule("/presets/<preset:name>/apply/", "apply", apply, methods=["POST"])


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    app.url_map.converters["preset"] = PresetName
    return [presets]

"""The steps of a preset, one by one as they are answered."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from shardapi import ApiError
from shardapi.commands import (
    Change,
    Command,
    CreateNet,
    RenameNet,
    RestoreNet,
    SetFeatures,
    SetOperation,
    SetRules,
)
from shardapi.presets import AssignMany

from .plan import Kept, KeptNet

NAMES: dict[type[Command], str] = {
    CreateNet: "net.create",
    RestoreNet: "archive.restore",
    RenameNet: "net.rename",
    SetFeatures: "features.set",
    SetRules: "rules.set",
    AssignMany: "assign",
    SetOperation: "operation.set",
}
NETS = (CreateNet, RestoreNet, RenameNet)

Results = Sequence[Change | ApiError]


class Step(msgspec.Struct, rename="camel", kw_only=True):
    """What became of one step; `id` is what the preset calls the net, `skipped` are relays to nets that are gone."""

    step: str
    ok: bool = True
    changed: bool = False
    id: int | UnsetType = UNSET
    name: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    net_id: int | UnsetType = UNSET
    net_uid: str | UnsetType = UNSET
    open: bool | UnsetType = UNSET
    skipped: tuple[str, ...] | UnsetType = UNSET
    error: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class Taken:
    """The steps of an apply, whether they were made or refused."""

    def __init__(self, kept: Kept, commands: Sequence[Command], results: Results) -> None:
        self.commands, self.results = commands, results
        places = iter(enumerate(kept.nets))
        self.nets = [next(places) if isinstance(command, NETS) else None for command in commands]

    def made(self) -> dict[int, str]:
        """The uids of the nets that were created, by their place in the preset."""
        return {
            net[0]: command.uid
            for command, result, net in zip(self.commands, self.results, self.nets, strict=True)
            if net is not None and isinstance(command, CreateNet) and isinstance(result, Change)
        }

    def steps(self) -> list[Step]:
        """All of them, in order."""
        missing = {
            command.uid: net[1].name
            for command, result, net in zip(self.commands, self.results, self.nets, strict=True)
            if net is not None and isinstance(command, CreateNet) and isinstance(result, ApiError)
        }
        return [
            step
            for command, result, net in zip(self.commands, self.results, self.nets, strict=True)
            for step in _steps(command, result, net[1] if net is not None else None, missing)
        ]

    def undone(self) -> list[Step]:
        """The steps of a plan that was refused: nothing has changed, and no uid was minted."""
        new = {command.uid for command in self.commands if isinstance(command, CreateNet)}
        return [
            replace(step, changed=False, net_uid="" if step.net_uid in new else step.net_uid)
            for step in self.steps()
        ]


def _steps(
    command: Command, result: Change | ApiError, net: KeptNet | None, missing: dict[str, str]
) -> list[Step]:
    """The steps of a command: one, or one for each user."""
    step = Step(step=NAMES[type(command)])
    if net is not None:
        step.id, step.name = net.id, net.name
    if isinstance(command, SetOperation):
        step.open = command.open
    if isinstance(command, AssignMany):
        step.net_uid = command.uid
    if isinstance(result, ApiError):
        step.ok, step.error, step.code = False, result.detail, result.kind.code
        for uid, name in missing.items():
            if uid in result.detail:
                step.error = f"The net {name} could not be made."
        if step.net_uid in missing:
            step.net_uid = ""
    else:
        step.changed = result.changed
        step.skipped = result.skipped or UNSET
        if result.net is not None:
            step.net_id, step.net_uid = result.net.slot, result.net.uid
    return [step] if not isinstance(command, AssignMany) else _each(step, command, result)


def _each(step: Step, command: AssignMany, result: Change | ApiError) -> list[Step]:
    new = frozenset(result.user_ids if isinstance(result, Change) else ())
    return [replace(step, user_id=user, changed=user in new) for user in command.user_ids]

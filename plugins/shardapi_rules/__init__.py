"""/rules: which roles are on which nets by themselves.

Two rules for one role are one with the nets of both: clients that know one net a rule, by netId, send several. A rule
without nets is kept, and shown without a netId. Naming a net twice over, what is named must be the same: all of netIds
those of netUids, and netId one of them; else the write is refused, because one of the two is out of date.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shardapi import Answer, Body, Routes, Shard, ShardApp, Write, Written, errors, hookimpl
from shardapi.central import Outcome
from shardapi.commands import SetRules
from shardapi.errors import FieldError
from shardapi.fields import NetId, NetUid, RoleRule
from shardapi.guild import Guild, Rule

rules = Routes("rules")

MOST_RULES, MOST_NETS = 200, 50

Uids = Annotated[tuple[Annotated[NetUid, Meta(min_length=1)], ...], Meta(max_length=MOST_NETS)]
Slots = Annotated[tuple[NetId, ...], Meta(max_length=MOST_NETS)]


class RuleShown(msgspec.Struct, rename="camel", kw_only=True):
    """Everyone who holds the role is on these nets; `netId` is the first of them, absent if there is none."""

    role_id: str
    net_uids: tuple[str, ...]
    net_ids: list[int]
    net_id: Annotated[int, Meta(description="The first of netIds", examples=[1])] | UnsetType = UNSET


class RuleBody(RoleRule, kw_only=True):
    """A role, and its nets by netUids, which are preferred, by netIds or by netId."""

    net_uids: Uids | None = None
    net_ids: Slots | None = None
    net_id: NetId | None = None

    def slots(self, path: str) -> tuple[int, ...]:
        """Its nets by slot. Raises invalid_value if it names none in any way, net_mismatch if in ways that differ."""
        uids, ids = self.net_uids, self.net_ids
        if uids is None and ids is None and self.net_id is None:
            problem = FieldError(f"{path}.netUids", "Expected netUids, netIds or netId")
            raise errors.INVALID_VALUE(
                "A rule names its nets by netUids, netIds or netId.", errors=(problem,)
            )
        sizes = {len(set(given)) for given in (uids, ids) if given is not None}
        nowhere = self.net_id is not None and (ids is not None and self.net_id not in ids or uids == ())
        if len(sizes) > 1 or nowhere:
            detail = f"The rule of role {self.role_id} names different nets by netUids, netIds and netId."
            problem = FieldError(path, "Expected the same nets")
            raise errors.NET_MISMATCH(detail, hint="Send netUids alone.", errors=(problem,))
        if ids is not None:
            return ids
        return () if self.net_id is None else (self.net_id,)


class RulesBody(Body, kw_only=True):
    """All rules; those that are not among them are no more."""

    rules: Annotated[list[RuleBody], Meta(max_length=MOST_RULES)]


class RulesAnswer(Answer, kw_only=True):
    """The rules, in the order they were sent."""

    rules: list[RuleShown]


class RulesWritten(Written, kw_only=True):
    """The rules after the write."""

    rules: list[RuleShown]


@rules.get("/rules", scope="read:assignments", etag=True)
def read(shard: Shard) -> RulesAnswer:
    """Which roles are on which nets by themselves."""
    return RulesAnswer(rules=_shown(shard.guild))


@rules.post(
    "/rules",
    scope="write:rules",
    errors=[errors.NET_NOT_FOUND, errors.NET_MISMATCH, errors.NET_PROTECTED],
    examples={
        "body": {
            "rules": [{"roleId": "1505521308744679464", "netUids": ["net_jmqbkeg5s74cjkezqybwkhny"]}],
        },
        "answer": {"action": "rules.set"},
    },
)
def replace(body: RulesBody, write: Write) -> RulesWritten:
    """Replace all rules; connected operators move at once, and keep what they are assigned to by hand or for a time."""
    slots = tuple(rule.slots(f"rules[{place}]") for place, rule in enumerate(body.rules))
    named = tuple(Rule(role_id=rule.role_id, net_uids=rule.net_uids or ()) for rule in body.rules)

    def answer(outcome: Outcome) -> RulesWritten:
        return RulesWritten(action="rules.set", rules=_shown(outcome.guild))

    return write.submit([SetRules(rules=named, slots=slots, by=write.by)], answer)


def _shown(guild: Guild) -> list[RuleShown]:
    return [_rule(guild, rule) for rule in guild.rules]


def _rule(guild: Guild, rule: Rule) -> RuleShown:
    slots = [guild.nets[uid].slot for uid in rule.net_uids]
    return RuleShown(
        role_id=rule.role_id, net_uids=rule.net_uids, net_ids=slots, net_id=slots[0] if slots else UNSET
    )


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [rules]

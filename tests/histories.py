"""Random histories of a guild: a list of seeds, each of which makes a batch of commands that fits the guild."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Literal

from hypothesis import strategies as st

from shardapi.central import Outcome, Refused, decide
from shardapi.changes import FeatureChanges, OrgLinkChanges, PublicNetChanges
from shardapi.commands import (
    Archived,
    Assign,
    Command,
    CreateNet,
    EndTemporary,
    RemoveNet,
    RenameNet,
    RestoreNet,
    SetFeatures,
    SetOperation,
    SetPublicNet,
    SetRules,
    Unassign,
)
from shardapi.errors import ApiError
from shardapi.guild import Features, Guild, Rule

NOW = 1_800_000_000_000
CEILING = 6
NEW = Guild(id="1", features=Features(max_nets=4))
POOL = [f"net_{letter}" for letter in "abcdefgh"]
USERS = ["1", "2", "9007199254740993"]
ROLES = ["10", "11"]
NAMES = ["Strike", "Air", "Ground"]
SHOWS: list[Literal["show", "hide", "remove", "restore"]] = ["show", "hide", "remove", "restore"]

seeds = st.integers(0, 2**32 - 1)
histories = st.lists(seeds, min_size=10, max_size=40)


class Chance:
    """The choices of one batch, most of them possible in the guild they are made for."""

    def __init__(self, guild: Guild, seed: int) -> None:
        self.guild, self.random = guild, Random(seed)

    def uid(self) -> str:
        """A net's uid, mostly of one that is there."""
        here = [*self.guild.nets]
        return self.random.choice(here if here and self.random.random() < 0.85 else POOL)

    def uids(self, least: int) -> tuple[str, ...]:
        """Some nets."""
        return tuple({self.uid(): None for _ in range(self.random.randint(least, 2))})

    def net(self) -> dict[str, str | int]:
        """A net by uid, by slot, by both, or one that is nobody's to change."""
        slot = self.random.choice([net.slot for net in self.guild.nets.values()] or [1])
        either: list[dict[str, str | int]] = [{"uid": self.uid()}, {"slot": slot}]
        odd: list[dict[str, str | int]] = [
            {"uid": self.uid(), "slot": slot},
            {"slot": 250},
            {"uid": "net_global"},
        ]
        return self.random.choice(either if self.random.random() < 0.9 else odd)

    def entry(self) -> Archived:
        """Something out of the archive."""
        return Archived(
            uid=self.random.choice(POOL),
            name=self.name(),
            assigned_user_ids=tuple({self.user(): None for _ in range(self.random.randint(0, 2))}),
            relay_target_net_uids=self.uids(0),
            inbound_relay_from_net_uids=self.uids(0),
        )

    def some(self, **values: Any) -> dict[str, Any]:
        """Some of these, each as likely as not."""
        return {name: value for name, value in values.items() if self.coin()}

    def features(self) -> FeatureChanges:
        """Changes to any features."""
        slot: dict[str, Any] = {"net_id": self.random.randint(1, 3)}
        named = self.random.choice([{"net_uid": self.uid()}, {"net_uid": ""}, slot, {}])
        return FeatureChanges(
            **self.some(
                max_nets=self.random.choice([1, 3, 4, CEILING, CEILING + 1]),
                global_ptt_enabled=self.coin(),
                public_net=self.public_net(),
                org_link=OrgLinkChanges(**self.some(enabled=self.coin(), role_ids=self.gates()), **named),
            )
        )

    def public_net(self) -> PublicNetChanges:
        """Changes to the Public Net."""
        return PublicNetChanges(**self.some(enabled=self.coin(), name=self.name(), role_ids=self.gates()))

    def gates(self) -> tuple[str, ...]:
        return tuple(self.random.choice(ROLES) for _ in range(self.random.randint(0, 2)))

    def rules(self) -> SetRules:
        """Up to three rules; now and then for one role twice, without a net, or with nets named by slot."""
        rules, slots = list[Rule](), list[tuple[int, ...]]()
        for _ in range(self.random.randint(0, 3)):
            uids, by_slot = self.uids(0), self.random.random() < 0.3
            known = [self.guild.nets[uid].slot for uid in uids if uid in self.guild.nets]
            slots.append(tuple(known) if by_slot or self.random.random() < 0.1 else ())
            rules.append(Rule(role_id=self.random.choice(ROLES), net_uids=() if by_slot else uids))
        return SetRules(rules=tuple(rules), slots=tuple(slots) if self.coin() else ())

    def due(self) -> dict[str, str]:
        """An assignment, mostly one that is there."""
        known = [(net, user) for net, users in self.guild.members.items() for user in users]
        net, user = self.random.choice(known or [(self.uid(), self.user())])
        return {"uid": net, "user_id": user}

    def user(self) -> str:
        return self.random.choice(USERS)

    def name(self) -> str:
        return self.random.choice(NAMES)

    def time(self) -> int:
        return NOW + self.random.randint(-1000, 1000)

    def coin(self) -> bool:
        return self.random.random() < 0.5

    def command(self) -> Command:
        """Any command."""
        kinds: list[Callable[[], Command]] = [
            lambda: CreateNet(uid=self.random.choice(POOL), name=self.name()),
            lambda: RestoreNet(entry=self.entry(), assignments=self.coin(), relays=self.coin()),
            lambda: RenameNet(**self.net(), name=self.name()),  # type: ignore[arg-type]
            lambda: RemoveNet(**self.net()),  # type: ignore[arg-type]
            lambda: Assign(**self.net(), user_id=self.user()),  # type: ignore[arg-type]
            lambda: Assign(**self.net(), user_id=self.user(), until=self.time()),  # type: ignore[arg-type]
            lambda: Unassign(**self.net(), user_id=self.user()),  # type: ignore[arg-type]
            lambda: EndTemporary(**self.due(), at=self.time()),
            lambda: SetOperation(open=self.coin()),
            self.rules,
            lambda: SetFeatures(changes=self.features(), ceiling=CEILING),
            lambda: SetPublicNet(action=self.random.choice(SHOWS), changes=self.public_net()),
        ]
        return self.random.choice(kinds)()


def batch_for(guild: Guild, seed: int) -> tuple[list[Command], bool]:
    """One to three commands, and whether they are one step."""
    chance = Chance(guild, seed)
    commands = [chance.command() for _ in range(chance.random.choice([1, 1, 1, 2, 3]))]
    return commands, chance.coin()


def submit(guild: Guild, batch: Sequence[Command], atomic: bool = True) -> Outcome | None:
    """Decide a batch; None if it was refused as a whole."""
    try:
        return decide(guild, batch, atomic, None, NOW)
    except Refused as refused:
        assert atomic and len(refused.results) == len(batch)
        assert any(isinstance(result, ApiError) for result in refused.results)
        return None


def play(guild: Guild, history: list[int]) -> Iterator[tuple[Guild, list[Command], Outcome]]:
    """Each batch that was not refused, with the guild before it and what came of it."""
    for seed in history:
        batch, atomic = batch_for(guild, seed)
        outcome = submit(guild, batch, atomic)
        if outcome is not None:
            yield guild, batch, outcome
            guild = outcome.guild


def after(guild: Guild, *batch: Command) -> Guild:
    """The guild after commands none of which is refused."""
    return decide(guild, batch, True, None, NOW).guild

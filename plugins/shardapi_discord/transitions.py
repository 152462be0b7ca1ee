"""The events that tell how the messages to Discord fare."""

from typing import Any

from shardapi import Event, EventType
from shardapi.guild import Frozen


class DiscordDisabled(Frozen, frozen=True, kw_only=True):
    webhook: str
    failures: int


class DiscordEnabled(Frozen, frozen=True, kw_only=True):
    webhook: str


class DiscordGap(Frozen, frozen=True, kw_only=True):
    webhook: str
    oldest: str


class DiscordHeld(Frozen, frozen=True, kw_only=True):
    webhook: str
    failures: int


class DiscordReleased(Frozen, frozen=True, kw_only=True):
    webhook: str


class DiscordParked(Frozen, frozen=True, kw_only=True):
    webhook: str
    event_id: str


TYPES = [
    EventType("discord.disabled", DiscordDisabled, "Discord is told nothing more until that is enabled."),
    EventType("discord.enabled", DiscordEnabled, "Discord is told again, from where it was."),
    EventType("discord.gap", DiscordGap, "The log no longer holds what Discord was not told."),
    EventType("discord.held", DiscordHeld, "Discord has taken nothing for some minutes; messages wait."),
    EventType("discord.released", DiscordReleased, "Discord takes messages again."),
    EventType("discord.parked", DiscordParked, "Discord has refused to be told of an event."),
]


def told(what: str, facts: dict[str, Any]) -> Event | None:
    """The event of a transition; None for one that is none of ours."""
    type_ = next((one for one in TYPES if one.name == f"discord.{what}"), None)
    return Event(type_.name, type_.data(**facts)) if type_ is not None else None

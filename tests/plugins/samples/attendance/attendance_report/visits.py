"""Visits in the store; everything here runs inside `shard.store.read` or a write."""

from collections.abc import Iterable

import peewee
from msgspec import Struct

from shardapi import Logged, Model, clock
from shardapi.store import many, rows

UNKNOWN = "unknown"


class AttendanceVisit(Model):
    """One stay; `left_at` is 0 while it lasts."""

    id = peewee.AutoField()
    guild = peewee.TextField()
    user = peewee.TextField()
    name = peewee.TextField()
    joined_at = peewee.IntegerField()
    left_at = peewee.IntegerField()
    reason = peewee.TextField()


class Person(Struct, rename="camel"):
    """What one person's visits add up to; `seconds` is what of them lies within the time asked for."""

    user_id: str
    display_name: str
    visits: int
    seconds: int
    first_at: str
    last_at: str
    present: bool


def book(guild_id: str, events: Iterable[Logged]) -> int:
    """Begin and end visits as these events say; answers how many of them did."""
    booked = 0
    for event in events:
        if event.type not in ("user.joined", "user.left"):
            continue
        said = event.envelope
        data, at = said["data"], clock.ms(said["at"])
        if data.get("service"):
            continue
        booked += 1
        if event.type == "user.joined":
            AttendanceVisit.create(
                guild=guild_id,
                user=data["userId"],
                name=data["displayName"],
                joined_at=at,
                left_at=0,
                reason="",
            )
        else:
            _end(guild_id, data["userId"], at, data["reason"])
    return booked


def _end(guild_id: str, user_id: str, at: int, reason: str) -> None:
    mine = (AttendanceVisit.guild == guild_id) & (AttendanceVisit.user == user_id)
    query = AttendanceVisit.update(left_at=at, reason=reason).where(mine & (AttendanceVisit.left_at == 0))
    query.execute()


def lose_track(guild_id: str) -> None:
    """End what is open, when nobody knows: it counts for nothing."""
    many(
        "UPDATE attendance_visit SET left_at = joined_at, reason = ? WHERE guild = ? AND left_at = 0",
        [(UNKNOWN, guild_id)],
    )


def forget(guild_id: str, before: int) -> None:
    """Delete the visits that ended before a time (ms)."""
    many("DELETE FROM attendance_visit WHERE guild = ? AND left_at > 0 AND left_at < ?", [(guild_id, before)])


def people(guild_id: str, since: int, until: int, now: int) -> list[Person]:
    """Who was there between two times (ms), the longest first."""
    found = rows(
        "SELECT user, (SELECT name FROM attendance_visit AS last WHERE last.guild = visit.guild"
        " AND last.user = visit.user ORDER BY joined_at DESC LIMIT 1),"
        " count(*), sum(max(0, min(ended, ?) - max(joined_at, ?))),"
        " min(joined_at), max(ended), max(left_at = 0)"
        " FROM (SELECT *, iif(left_at, left_at, ?) AS ended FROM attendance_visit) AS visit"
        " WHERE guild = ? AND joined_at < ? AND ended >= ?"
        " GROUP BY user ORDER BY 4 DESC, user",
        (until, since, now, guild_id, until, since),
    )
    return [
        Person(user, name, count, ms // 1000, clock.iso(first), clock.iso(last), bool(present))
        for user, name, count, ms, first, last, present in found
    ]

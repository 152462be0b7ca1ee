"""/attendance: who was there, and for how long, as JSON and as a table for a spreadsheet."""

import csv
import io
from collections.abc import Callable
from typing import Annotated

import flask
from msgspec import Meta

from shardapi import Answer, Query, Routes, Shard, ShardApp, clock, errors, hookimpl
from shardapi.errors import FieldError

from . import visits
from .booking import Booking
from .settings import Settings as Settings
from .visits import Person

SCOPE = "read:attendance"
EXTENSION = "attendance"
HEADER = ("userId", "displayName", "visits", "seconds", "firstAt", "lastAt", "present")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one

routes = Routes("attendance", __name__, scopes={SCOPE: "who was there, and for how long"})


class SpanQuery(Query, kw_only=True):
    """The time to report on."""

    since: Annotated[
        str, Meta(description="From when, such as 2026-11-20T18:00:00Z; left out, from the start")
    ] = ""
    until: Annotated[str, Meta(description="Until when; left out, until now")] = ""


class AttendanceAnswer(Answer, kw_only=True):
    """Everyone who was there in that time, who stayed longest first."""

    since: str
    until: str
    people: list[Person]


@routes.get("/attendance", scope=SCOPE, errors=[errors.INVALID_VALUE])
def read(query: SpanQuery, shard: Shard) -> AttendanceAnswer:
    """Who was there in a time, how often, and for how long."""
    since, until, people = _report(query, shard)
    return AttendanceAnswer(since=clock.iso(since), until=clock.iso(until), people=people)


@routes.get(
    "/attendance.csv",
    scope=SCOPE,
    errors=[errors.INVALID_VALUE],
    media_type="text/csv",
    examples={"answer": ",".join(HEADER) + "\r\n"},
)
def read_csv(query: SpanQuery, shard: Shard) -> flask.Response:
    """The same as a table for a spreadsheet."""
    _, _, people = _report(query, shard)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(HEADER)
    table.writerows([_cell(value) for value in _row(person)] for person in people)
    headers = {"Content-Disposition": 'attachment; filename="attendance.csv"'}
    return flask.Response(text.getvalue(), headers=headers, content_type="text/csv; charset=utf-8")


def _report(query: SpanQuery, shard: Shard) -> tuple[int, int, list[Person]]:
    now = clock.now()
    since, until = _time(query.since, "since"), _time(query.until, "until") or now
    if since > until:
        problem = FieldError("since", "Expected a time before until")
        raise errors.INVALID_VALUE("since is after until.", errors=(problem,))
    return since, until, shard.store.read(lambda: visits.people(shard.guild_id, since, until, now))


def _time(text: str, name: str) -> int:
    try:
        return clock.ms(text)
    except (ValueError, OverflowError):
        problem = FieldError(name, "Expected a time such as 2026-11-20T18:00:00Z")
        raise errors.INVALID_VALUE(f"{name} is not a time.", errors=(problem,)) from None


def _row(person: Person) -> tuple[object, ...]:
    present = "yes" if person.present else "no"
    return (
        *(person.user_id, person.display_name, person.visits, person.seconds),
        *(person.first_at, person.last_at, present),
    )


def _cell(value: object) -> object:
    """A value that no spreadsheet takes for a formula: a name is chosen by whoever bears it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The routes, and what they keep for this shard."""
    booking = app.extensions[EXTENSION] = Booking(app.shard)
    app.extensions.setdefault("prometheus_collectors", []).append(booking.booked)
    return [routes]


@hookimpl
def shardapi_tasks(app: ShardApp) -> list[Callable[[], None]]:
    """Books what happens, and forgets what is old."""
    booking: Booking = app.extensions[EXTENSION]
    return [booking.follow, booking.forget]

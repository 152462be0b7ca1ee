"""/maintenance: a time in which nothing about the guild is changed, by anyone; who reads notices nothing."""

from collections.abc import Iterator
from typing import Annotated

import flask
from msgspec import Meta
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from shardapi import (
    Answer,
    Body,
    EventType,
    Guard,
    Routes,
    Shard,
    ShardApp,
    Write,
    Written,
    clock,
    errors,
    hookimpl,
)
from shardapi.errors import FieldError

from . import commands
from .settings import Settings as Settings
from .window import MAINTENANCE, Span, Window, WindowChanged, keep, told

EXTENSION = "maintenance"
YEAR_MS = 366 * 86_400_000
READ, WRITE = "read:maintenance", "write:maintenance"

routes = Routes(
    "maintenance",
    __name__,
    scopes={READ: "whether there is maintenance", WRITE: "begin and end maintenance"},
    cli_group="maintenance",
)
routes.cli.help = "See, begin or end maintenance."
for command in (commands.show, commands.start, commands.end):
    routes.cli.add_command(command)


class WindowAnswer(Answer, kw_only=True):
    """The window; its times are "" where there is none."""

    on: bool
    starts_at: str
    ends_at: str
    why: str


class WindowWritten(Written, kw_only=True):
    """The window as it is from now on."""

    starts_at: str
    ends_at: str
    why: str


class WindowBody(Body, kw_only=True):
    minutes: Annotated[int, Meta(ge=1, le=10_080, description="How long")]
    starts_at: Annotated[str, Meta(description="From when; left out, from now")] = ""
    why: Annotated[str, Meta(max_length=200, description="What those who are refused are told")] = ""


@routes.get("/maintenance", scope=READ)
def read() -> WindowAnswer:
    """Whether there is maintenance, and until when."""
    span = _window().span
    return WindowAnswer(
        on=span.holds(clock.now()),
        starts_at=clock.iso(span.starts_at),
        ends_at=clock.iso(span.ends_at),
        why=span.why,
    )


@routes.post(
    "/maintenance",
    scope=WRITE,
    errors=[errors.INVALID_VALUE],
    examples={"body": {"minutes": 30, "why": "New nets"}, "answer": {"action": "maintenance.set"}},
)
def start(body: WindowBody, write: Write, shard: Shard) -> WindowWritten:
    """Refuse changes for a while; a second call replaces the window."""
    longest = shard.settings(Settings).longest_minutes
    if body.minutes > longest:
        problem = FieldError("minutes", f"Expected at most {longest}")
        raise errors.INVALID_VALUE(f"A window has at most {longest} minutes.", errors=(problem,))
    starts_at = _time(body.starts_at) or clock.now()
    return _keep(Span(starts_at, starts_at + body.minutes * 60_000, body.why.strip()), write, shard)


@routes.delete("/maintenance", scope=WRITE, examples={"answer": {"action": "maintenance.set"}})
def end(write: Write, shard: Shard) -> WindowWritten:
    """Allow changes again, and forget a window that is to come."""
    return _keep(Span(), write, shard)


def _keep(span: Span, write: Write, shard: Shard) -> WindowWritten:
    def answer(result: tuple[Span, bool]) -> WindowWritten:
        after, changed = result
        return WindowWritten(
            action="maintenance.set",
            changed=changed,
            starts_at=clock.iso(after.starts_at),
            ends_at=clock.iso(after.ends_at),
            why=after.why,
        )

    written = write.store(lambda: keep(shard.guild_id, span), answer, events=told)
    _window().reload()  # before the answer: whoever has it finds it so
    return written


def _time(text: str) -> int:
    try:
        found = clock.ms(text)
    except (ValueError, OverflowError):
        problem = FieldError("startsAt", "Expected a time such as 2026-11-20T18:00:00Z")
        raise errors.INVALID_VALUE("startsAt is not a time.", errors=(problem,)) from None
    if found and abs(found - clock.now()) > YEAR_MS:
        problem = FieldError("startsAt", "Expected a time within a year from now")
        raise errors.INVALID_VALUE("startsAt is too far away.", errors=(problem,))
    return found


def _window() -> Window:
    window: Window = flask.current_app.extensions[EXTENSION]
    return window


class Collector:
    """The metrics, made for each scrape."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def collect(self) -> Iterator[Metric]:
        """Whether it is on, and how much it has refused."""
        on = self.window.span.holds(clock.now())
        yield GaugeMetricFamily("maintenance_on", "Whether changes are refused.", value=on)
        yield CounterMetricFamily(
            "maintenance_refusals", "Commands that were refused.", value=self.window.refused
        )


@hookimpl
def shardapi_events() -> list[EventType]:
    """What this plugin logs."""
    return [EventType("maintenance.changed", WindowChanged, "Maintenance was set or ended.")]


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    """The routes, and what they keep for this shard."""
    window = app.extensions[EXTENSION] = Window(app.shard)
    app.extensions.setdefault("prometheus_collectors", []).append(Collector(window))
    return [routes]


@hookimpl
def shardapi_guards(app: ShardApp) -> list[Guard]:
    """What refuses commands."""
    window: Window = app.extensions[EXTENSION]
    return [Guard(window.check, [MAINTENANCE])]

"""The events of a shard in a terminal, read from its store."""

import json
import os
import select
import signal
import sys
import zlib
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from ..eventlog import Logged
from ..events import matches
from ..shard import Shard
from .names import Names

LOOK_AGAIN_MS = 200
LOOK_BACK = 100_000  # for the last ones that are wanted
NEWEST = 2**63 - 1

# The first that matches; a terminal's own sixteen colours, which its owner chose to be readable.
COLOURS = (
    ("user.joined", "green"),
    ("user.left", "yellow"),
    ("ptt.start", "bright_cyan"),
    ("ptt.stop", "cyan"),
    ("operation.*", "bright_magenta"),
    ("acars.sent", "bright_red"),
    ("stream.gap", "bright_red"),
    ("*.disabled", "bright_red"),
    ("*", "blue"),
)
NET_COLOURS = (
    "bright_green",
    "bright_yellow",
    "bright_blue",
    "bright_magenta",
    "bright_cyan",
    "bright_white",
)
VERBS = {"assign": "assigned to", "unassign": "unassigned from"}


class Wanted(NamedTuple):
    """Which events to show: patterns of types, uids of nets, users by name or id; () is all."""

    types: Sequence[str] = ()
    nets: Sequence[str] = ()
    users: Sequence[str] = ()

    def admits(self, event: Logged, data: dict[str, Any], names: Names) -> bool:
        """Whether the event passes; one that names no net, or no user, does not where they are asked for."""
        if self.types and not matches(event.type, self.types):
            return False
        if self.nets:
            named = {event.net, *(names.uid_in(slot) for slot in data.get("nets", ()))}
            if named.isdisjoint(self.nets):
                return False
        if self.users:
            user_id = data.get("userId", "")
            known = {user_id.casefold(), names.user(user_id).casefold()}
            return bool(user_id) and any(user.casefold() in known for user in self.users)
        return True


def follow(shard: Shard, wanted: Wanted, last: int, go_on: bool, as_json: bool) -> None:
    """Print the last so many wanted events, then each new one until interrupted or until nobody reads any more.

    Raises net_not_found for a net to filter by that was never there.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing to tidy up
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    reader = select.poll()
    reader.register(sys.stdout, 0)
    names = Names(shard)
    wanted = wanted._replace(nets=[names.find(net) for net in wanted.nets])
    show = _as_json if as_json else Screen(names).show
    look_back = LOOK_BACK if any(wanted) else last
    place = shard.store.read(lambda: shard.events.place_before_last(look_back))
    past: deque[dict[str, Any]] | None = deque(maxlen=last)
    while True:
        while page := shard.events.page(place, NEWEST):
            place = page[-1].number
            for event in page:
                envelope = event.envelope
                names.note(event.type, envelope["data"])
                if wanted.admits(event, envelope["data"], names):
                    show(envelope) if past is None else past.append(envelope)
        for envelope in past or ():
            show(envelope)
        past = None
        if not go_on or reader.poll(LOOK_AGAIN_MS):
            return


def _as_json(envelope: dict[str, Any]) -> None:
    print(json.dumps(envelope, ensure_ascii=False), flush=True)


class Screen:
    """Events as lines for people: on a terminal in colour and in local time, elsewhere plain with the full time."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.terminal = sys.stdout.isatty()
        self.colour = self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._day = ""

    def show(self, envelope: dict[str, Any]) -> None:
        """Print one event."""
        at, type_ = self._time(envelope["at"]), envelope["type"]
        kind = click.style(f"{type_:20}", fg=_colour(type_))
        said = self._sentence(type_, envelope["data"])
        click.echo(f"{click.style(at, dim=True)}  {kind} {said}".rstrip(), color=self.colour)

    def _time(self, at: str) -> str:
        if not self.terminal:
            return at
        local = datetime.fromisoformat(at).astimezone()
        day = f"{local:%A, %d %B %Y}"
        if day != self._day:
            self._day = day
            click.echo(click.style(day, dim=True, bold=True), color=self.colour)
        return f"{local:%H:%M:%S}"

    # -- what an event says

    def _sentence(self, type_: str, data: dict[str, Any]) -> str:
        match type_, data:
            case "ptt.start", {"netUid": net}:
                return f"{self._who(data)} on {self._net(net)}"
            case "ptt.stop", {"netUid": net, "durationMs": length, "reason": reason}:
                why = "" if reason == "released" else click.style(f", {_word(reason)}", fg="yellow")
                return f"{self._who(data)} on {self._net(net)}, {length / 1000:.1f} s{why}"
            case "user.joined", {"nets": nets}:
                on = ", ".join(self._net(self.names.uid_in(slot) or str(slot)) for slot in nets)
                return f"{self._who(data)} on {on or 'no net'}"
            case "user.left", {"reason": reason}:
                return f"{self._who(data)}, {_word(reason)}"
            case "assignments.changed", {"action": action, "netUid": net}:
                who = self._who(data) if "userId" in data else f"{data.get('count', 0)} people"
                source = "" if data["source"] == "api" else f", {_word(data['source'])}"
                return f"{who} {VERBS.get(action, _word(action))} {self._net(net)}{source}{self._by(data)}"
            case "acars.sent", {"text": text, "senderName": sender, "routed": routed}:
                return f"{_word(sender)}: {_word(text)}, to {routed} clients{self._by(data)}"
            case "config.changed", {"action": action, "version": version}:
                about = self._net(data["uid"]) if "uid" in data else _word(data.get("preset", ""))
                what = " ".join(filter(None, (_word(action), about)))
                return f"{what}, version {version}{self._by(data)}"
        return self._facts(data)

    def _facts(self, data: dict[str, Any]) -> str:
        """An event whose type has no sentence of its own: whom and what it names, then the rest as it is."""
        known = {"userId", "displayName", "netId", "netUid", "keyId"}
        facts = [self._who(data)] if data.get("userId") else []
        facts += [self._net(data["netUid"])] if data.get("netUid") else []
        facts += [f"{name}={_word(value)}" for name, value in data.items() if name not in known]
        return "  ".join(facts) + self._by(data)

    def _who(self, data: dict[str, Any]) -> str:
        return click.style(_word(data.get("displayName") or self.names.user(data["userId"])), bold=True)

    def _net(self, uid: str) -> str:
        return click.style(
            _word(self.names.net(uid)), fg=NET_COLOURS[zlib.crc32(uid.encode()) % len(NET_COLOURS)]
        )

    def _by(self, data: dict[str, Any]) -> str:
        key = data.get("keyId")
        return click.style(f", by {_word(self.names.key(key))}", dim=True) if key else ""


def _colour(type_: str) -> str:
    return next(colour for pattern, colour in COLOURS if matches(type_, [pattern]))


def _word(value: Any) -> str:
    """A value as it may stand on a terminal: names are others' choice, control characters among them."""
    if isinstance(value, str) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=True)

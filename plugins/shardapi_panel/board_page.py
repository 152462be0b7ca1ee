"""The board as the server knows it: nets with who talks, everyone connected, and what happened last."""

import re
from datetime import datetime
from typing import Any

import flask
import msgspec

from shardapi import Shard, clock
from shardapi.guild import GLOBAL_SLOT, GLOBAL_UID

from .api import Refusal, api, this_shard
from .blueprint import panel
from .navigation import runs
from .needs import needs

LAST = 120  # numbers of the log that are looked at for the feed of a fresh page
TOLD = 25
FEW = 20  # nets that there is room to say more of; as board.js has it
GLOBAL_NAME = "Global"
WORK = ("assignments", "clients", "nets", "operation")  # plugins without which something cannot be done here


class Talker(msgspec.Struct):
    """Who talks on a net."""

    id: str
    name: str


class NetRow(msgspec.Struct):
    """A net with its people; who is on the Public Net and on the global one is not put there: they are `protected`."""

    uid: str
    slot: int
    name: str
    talkers: list[Talker]
    count: int
    protected: bool = False


class Person(msgspec.Struct):
    """Who is connected, on which slots, since when (ms); `nets` are the names of these."""

    id: str
    name: str
    slots: list[int]
    since: int
    service: bool
    nets: str


class Board(msgspec.Struct):
    """All of it; every event after `cursor` may be missing in it, and none before."""

    cursor: str
    at: int
    iso: str
    name: str
    open: bool
    version: int
    nets: list[NetRow]
    people: list[Person]
    roster_note: str = ""
    past: list[Any] = []


@panel.get("/board", endpoint="board")
@needs("status")
def show() -> str:
    """The page, with the events before it."""
    shard = this_shard()
    newest = shard.events.newest
    now = board()
    now.past = _past(shard, newest)
    return flask.render_template(
        "panel/board.html",
        board=now,
        members=_members(now) if len(now.nets) <= FEW else {},
        on=[one for one in WORK if runs(shard, one)],
    )


@panel.get("/board/state", endpoint="board_state")
def state() -> flask.Response:
    """The same for a page that is open: read when it may have missed something."""
    return flask.Response(msgspec.json.encode(board()), mimetype="application/json")


def board() -> Board:
    """The board as it is now."""
    shard = this_shard()
    cursor = shard.events.id_of(
        shard.events.newest
    )  # before anything is read: what comes after is told again
    status, (roster, note) = api().get("/status"), _roster()
    people = [_person(one, status["nets"]) for one in roster]
    people.sort(key=lambda one: (natural(one.name), one.id))
    known = {one.id: one.name for one in people}
    nets = [_net(one, known) for one in status["nets"]]
    if status["features"]["globalPttEnabled"]:
        nets.append(_global(shard, status["connected"], known))
    at = clock.now()
    return Board(
        cursor=cursor,
        at=at,
        iso=clock.iso(at),
        name=status["guildName"],
        open=status["operationOpen"],
        version=status["version"],
        nets=nets,
        people=people,
        roster_note=note,
    )


def _members(board: Board) -> dict[int, str]:
    """The names of who is on each net, by its slot; everyone is on the Public Net, and on the global one."""
    return {
        net.slot: ", ".join(
            one.name
            for one in board.people
            if net.slot in one.slots and not one.service and not net.protected
        )
        for net in board.nets
    }


def _roster() -> tuple[list[dict[str, Any]], str]:
    """Who is connected; a note in its place where the plugin that tells is off."""
    try:
        return api().get("/roster")["operators"], ""
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        return [], 'The plugin "roster" is off: enable it to see who is connected.'


def _net(one: dict[str, Any], known: dict[str, str]) -> NetRow:
    return NetRow(
        uid=one["uid"],
        slot=one["id"],
        name=one["name"],
        talkers=[Talker(user, known.get(user, user)) for user in one["transmitting"]],
        count=one["occupancy"],
        protected=one.get("protected", False),
    )


def _global(shard: Shard, connected: int, known: dict[str, str]) -> NetRow:
    """What is heard on every net, which /status has no entry for."""
    return NetRow(
        uid=GLOBAL_UID,
        slot=GLOBAL_SLOT,
        name=GLOBAL_NAME,
        talkers=[Talker(user, known.get(user, user)) for user in shard.presence.transmitting(GLOBAL_UID)],
        count=connected,
        protected=True,
    )


def _person(one: dict[str, Any], nets: list[dict[str, Any]]) -> Person:
    mine = [net for net in nets if net["id"] in one["nets"]]
    own = [net for net in mine if not net.get("protected")] or mine  # everyone is on the Public Net
    return Person(
        id=one["userId"],
        name=one["displayName"] or one["userId"],
        slots=one["nets"],
        since=int(datetime.fromisoformat(one["since"]).timestamp() * 1000),
        service=one["service"],
        nets=", ".join(net["name"] for net in own),
    )


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which "Anvil 2" comes before "Anvil 10"."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name.casefold())
    return [(0, int(number), "") if number else (1, 0, text) for number, text in parts]


def _past(shard: Shard, newest: int) -> list[Any]:
    """The last events, as the stream tells them."""
    logged = shard.events.page(max(0, newest - LAST), newest)
    return [one.envelope for one in logged if one.type != "ptt.start"][-TOLD:]

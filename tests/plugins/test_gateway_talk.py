"""Talking, in process: what ends a transmission, the nets that are no nets, and the roles of the newest token."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from shardapi import ShardApp, clock, presence
from shardapi.changes import FeatureChanges, PublicNetChanges
from shardapi.commands import (
    Assign,
    Command,
    CreateNet,
    RemoveNet,
    SetFeatures,
    SetOperation,
    SetPublicNet,
    SetRules,
    Unassign,
)
from shardapi.errors import STORE_UNAVAILABLE, ApiError
from shardapi.guild import GLOBAL_UID, PUBLIC_UID, Rule
from shardapi.presence import Identity, Message

NET = "net_" + "a" * 24
GATED = SetPublicNet(action="show", changes=PublicNetChanges(role_ids=("pilot",)))
LOUD = SetFeatures(changes=FeatureChanges(global_ptt_enabled=True))


class Phone:
    """A connection that keeps what it hears."""

    transport = "ws"

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.closed = ""

    def send(self, message: Message) -> bool:
        self.heard.append(json.loads(message.text))
        return True

    def close(self, reason: str, text: str = "") -> None:
        self.closed = reason

    def take(self) -> list[str]:
        """What it heard since it was last asked: types, with the reason of a stop and the nets of a config."""
        heard, self.heard = self.heard, []
        return [_short(one) for one in heard]


def _short(message: dict[str, Any]) -> str:
    said = message.get("assignments", message.get("data", {}).get("reason", ""))
    return f"{message['type']} {said}".strip()


Call = Callable[..., Phone]


@pytest.fixture
def call(app: ShardApp) -> Call:
    """Connects operators who join."""

    def connect(user: str, *roles: str, issued_at: int = 0, service: bool = False) -> Phone:
        phone = Phone()
        app.shard.presence.join(phone, Identity(user, user.title(), roles, service, issued_at))
        return phone

    return connect


@pytest.fixture(autouse=True)
def net(app: ShardApp) -> str:
    """A net, and the operation open."""
    submit(app, CreateNet(uid=NET, name="Strike"), SetOperation(open=True))
    return NET


def submit(app: ShardApp, *commands: Command) -> None:
    app.shard.central.submit(commands)


def logged(app: ShardApp, kind: str) -> list[dict[str, Any]]:
    """The data of all events of a type."""
    app.shard.writer.write(lambda: None)  # what waits goes first
    return [one.envelope["data"] for one in app.shard.events.page(0, 2**62) if one.type == kind]


# -- what ends a transmission

ENDS: dict[str, tuple[str, list[Command], Command, str]] = {
    "closing": (NET, [Assign(uid=NET, user_id="ann")], SetOperation(open=False), "operation_closed"),
    "removing": (NET, [Assign(uid=NET, user_id="ann")], RemoveNet(uid=NET), "net_removed"),
    "unassigning": (NET, [Assign(uid=NET, user_id="ann")], Unassign(uid=NET, user_id="ann"), "unassigned"),
    "the rules": (
        NET,
        [SetRules(rules=(Rule(role_id="pilot", net_uids=(NET,)),))],
        SetRules(rules=(Rule(role_id="medic", net_uids=(NET,)),)),
        "unassigned",
    ),
    "hiding the Public Net": (
        PUBLIC_UID,
        [GATED],
        SetPublicNet(action="hide"),
        "net_removed",
    ),
    "the Public Net's gates": (
        PUBLIC_UID,
        [GATED],
        SetPublicNet(action="show", changes=PublicNetChanges(role_ids=("medic",))),
        "unassigned",
    ),
    "switching global push-to-talk off": (
        GLOBAL_UID,
        [LOUD],
        SetFeatures(changes=FeatureChanges(global_ptt_enabled=False)),
        "net_removed",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_change_ends_a_transmission(name: str, app: ShardApp, call: Call) -> None:
    uid, before, change, reason = ENDS[name]
    submit(app, *before)
    phone = call("ann", "pilot")
    app.shard.presence.key_up(phone, uid)
    assert phone.take() == ["ptt.start"]
    submit(app, change)
    heard = phone.take()
    assert heard[0] == f"ptt.stop {reason}" and heard[1].startswith("config")
    (stop,) = logged(app, "ptt.stop")
    assert (stop["userId"], stop["netUid"], stop["reason"]) == ("ann", uid, reason)
    assert app.shard.presence.transmissions == {}


def test_a_transmission_ends_by_itself(app: ShardApp, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(app, Assign(uid=NET, user_id="ann"))
    phone = call("ann")
    app.shard.presence.key_up(phone, NET)
    app.shard.presence.time_out()
    assert phone.take() == ["ptt.start"]
    monkeypatch.setattr(presence, "TRANSMISSION_SECONDS", 0)
    app.shard.presence.time_out()
    assert phone.take() == ["ptt.stop timeout"]
    assert [one["reason"] for one in logged(app, "ptt.stop")] == ["timeout"]


def test_who_comes_back_and_talks_while_a_stop_is_written_is_on_the_air(app: ShardApp, call: Call) -> None:
    submit(app, Assign(uid=NET, user_id="ann"))
    here, phone = app.shard.presence, call("ann")
    here.key_up(phone, NET)
    stops = here.force(replace(app.shard.guild, operation_open=False))
    here.leave(phone, "closed")
    again = call("ann")
    here.key_up(again, NET)
    here.settle(stops)
    assert here.transmitting(NET) == ["ann"]
    here.key_down(again, NET)
    assert here.transmissions == {}


# -- nets that are no nets


def test_global_push_to_talk_is_heard_by_everyone(app: ShardApp, call: Call) -> None:
    ann, bob, recorder = call("ann"), call("bob"), call("recorder", service=True)
    with pytest.raises(ApiError) as refusal:
        app.shard.presence.key_up(ann, GLOBAL_UID)
    assert refusal.value.kind.code == "feature_off"
    submit(app, LOUD)
    app.shard.presence.key_up(ann, net_id=255)
    app.shard.presence.key_down(ann, net_id=255)
    for phone in (ann, bob, recorder):
        assert phone.take() == ["config []", "ptt.start", "ptt.stop released"]


@pytest.mark.parametrize(
    ("gates", "roles", "admitted"),
    [
        ((), (), True),
        (("pilot",), ("pilot",), True),
        (("pilot", "medic"), ("medic",), True),
        (("pilot",), (), False),
    ],
)
def test_the_gates_decide_who_is_on_the_public_net(
    gates: tuple[str, ...], roles: tuple[str, ...], admitted: bool, app: ShardApp, call: Call
) -> None:
    phone = call("ann", *roles)
    submit(app, SetPublicNet(action="show", changes=PublicNetChanges(role_ids=gates)))
    assert phone.take() == ["config [250]" if admitted else "config []"]
    assert app.shard.presence.occupancy(PUBLIC_UID) == admitted
    if not admitted:
        with pytest.raises(ApiError) as refusal:
            app.shard.presence.key_up(phone, PUBLIC_UID)
        assert refusal.value.kind.code == "not_on_net"


def test_a_listener_may_not_even_try(app: ShardApp, call: Call) -> None:
    submit(app, Assign(uid=NET, user_id="recorder"), SetOperation(open=False))
    with pytest.raises(ApiError) as refusal:
        app.shard.presence.key_up(call("recorder", service=True), NET)
    assert refusal.value.kind.code == "listen_only"


# -- the roles of the newest token


@pytest.fixture
def ruled(app: ShardApp) -> None:
    """Pilots are on the net."""
    submit(app, SetRules(rules=(Rule(role_id="pilot", net_uids=(NET,)),)))


def test_a_newer_token_puts_older_connections_on_its_nets(app: ShardApp, call: Call, ruled: None) -> None:
    first = call("ann", issued_at=1)
    call("ann", "pilot", issued_at=2)
    assert first.take() == ["config [1]"]
    assert app.shard.presence.occupancy(NET) == 1
    app.shard.presence.key_up(first, NET)


def test_a_newer_token_ends_what_its_roles_do_not_allow(app: ShardApp, call: Call, ruled: None) -> None:
    first = call("ann", "pilot", issued_at=1)
    app.shard.presence.key_up(first, NET)
    first.take()
    call("ann", issued_at=2)
    assert first.take() == ["ptt.stop unassigned", "config []"]
    assert [one["reason"] for one in logged(app, "ptt.stop")] == ["unassigned"]
    assert app.shard.presence.occupancy(NET) == 0


def test_an_older_token_changes_nothing(app: ShardApp, call: Call, ruled: None) -> None:
    first = call("ann", "pilot", issued_at=2)
    call("ann", issued_at=1)
    assert first.take() == []
    assert app.shard.presence.users["ann"].identity.roles == ("pilot",)


def test_the_same_roles_again_are_no_news(call: Call, ruled: None) -> None:
    first = call("ann", "pilot", issued_at=1)
    call("ann", "pilot", issued_at=2)
    assert first.take() == []


# -- a store that cannot write


def test_a_temporary_assignment_is_over_though_that_cannot_be_written(
    app: ShardApp, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = clock.now() + 60_000
    submit(app, Assign(uid=NET, user_id="ann", until=until))
    phone = call("ann")
    app.shard.presence.key_up(phone, NET)
    phone.take()

    def fail(*_: Any, **__: Any) -> None:
        raise STORE_UNAVAILABLE("The disk is full.")

    monkeypatch.setattr(clock, "now", lambda: until + 1)
    with monkeypatch.context() as broken:
        broken.setattr(app.shard.writer, "run", fail)
        app.shard.central.end_due()
        assert phone.take() == ["ptt.stop unassigned", "config []"]
        app.shard.central.end_due()
        assert phone.take() == []
    app.shard.central.end_due()
    assert phone.take() == ["config []"]
    (changed,) = [one for one in logged(app, "assignments.changed") if one["action"] == "unassign"]
    assert (changed["source"], changed["userId"]) == ("temporary", "ann")

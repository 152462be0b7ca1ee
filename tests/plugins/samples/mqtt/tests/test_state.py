"""Tests of the MQTT bridge that need no broker: what is told, and which settings are refused."""

import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from mqtt_bridge.state import GONE, state_of

from shardapi import ShardApp
from shardapi.commands import Assign
from shardapi.presence import Identity, Message

API = "/api/v1"


class Connection:
    """An operator's connection."""

    transport = "ws"

    def send(self, message: Message) -> bool:
        """Take it."""
        return True

    def close(self, reason: str, text: str = "") -> None:
        """End."""


def test_the_lamps_follow_the_keys(app: ShardApp, client: FlaskClient) -> None:
    net = client.post(f"{API}/nets", json={"name": "Strike"}).json["netUid"]  # type: ignore[index]
    client.post(f"{API}/operation", json={"open": True})
    app.shard.central.submit([Assign(uid=net, user_id="1")])
    presence, connection = app.shard.presence, Connection()
    presence.join(connection, Identity("1", "Ann"))

    def lamps() -> tuple[str, str, list[str]]:
        said = json.loads(state_of(app.shard)["talk"])
        assert said["online"] is True and said["nets"]["net_global"]["lamp"] == "OFF"
        return said["lamp"], said["nets"][net]["lamp"], said["nets"][net]["talking"]

    assert lamps() == ("OFF", "OFF", [])
    presence.key_up(connection, net)
    assert lamps() == ("ON", "ON", ["Ann"])
    presence.key_down(connection, net)
    assert lamps() == ("OFF", "OFF", [])
    presence.key_up(connection, net)
    presence.leave(connection, "gone")
    assert lamps() == ("OFF", "OFF", [])


def test_the_nets_are_listed_by_slot(app: ShardApp, client: FlaskClient) -> None:
    for name in ("One", "Two"):
        client.post(f"{API}/nets", json={"name": name})
    said = json.loads(state_of(app.shard)["nets"])
    assert [(net["netId"], net["name"], net["occupancy"]) for net in said] == [(1, "One", 0), (2, "Two", 0)]
    assert state_of(app.shard)["operation"] == b"closed"


def test_the_last_will_has_every_lamp_off() -> None:
    assert json.loads(GONE) == {"online": False, "lamp": "OFF", "nets": {}}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PASSWORD", "hunter2", "needs a username"),
        ("PREFIX", "a/#", "prefix"),
        ("PORT", "none", "port"),
        ("KEEPALIVE_SECONDS", "0", "keepalive_seconds"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    start_app: Callable[..., ShardApp], name: str, value: str, said: str
) -> None:
    with pytest.raises(Exception, match=said) as raised:
        start_app({f"SHARDAPI_PLUGINS__MQTT__{name}": value})
    assert "plugin mqtt" in str(raised.value) and "hunter2" not in str(raised.value)

"""The MQTT bridge before a real Mosquitto: lamps that are never wrong, whatever ends or is away."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from samples import Box, Broker, settings

from shardapi.testing import Operator, Server

pytestmark = pytest.mark.debian("mosquitto")

GONE = {"online": False, "lamp": "OFF", "nets": {}}


@pytest.fixture(scope="module")
def shard_settings(library: Path, broker: Broker) -> dict[str, str]:
    """A shard with all samples, which reach the broker."""
    return settings(library, broker)


@pytest.fixture
def box(broker: Broker, shard: Server) -> Iterator[Box]:
    """A button box that has heard of the shard."""
    with Box(broker, "shardapi") as box:
        box.until("talk", lambda said: said["online"])
        yield box


@pytest.fixture
def strike(shard: Server) -> Iterator[str]:
    """The uid of a net that user 1 is on, with the operation open."""
    shard.post("/operation", {"open": True})
    uid = str(shard.net()["netUid"])
    shard.post("/assignments", {"userId": "1", "netUid": uid, "action": "assign"})
    yield uid
    shard.delete(f"/nets/{uid}")


def test_the_lamp_follows_the_key(
    shard: Server, box: Box, strike: str, operator: Callable[..., Operator]
) -> None:
    ann = operator("1")
    for _ in range(3):
        ann.send(type="ptt.start", netUid=strike)
        box.lamp("ON", strike)
        box.lamp("ON")
        ann.send(type="ptt.stop", netUid=strike)
        box.lamp("OFF", strike)
    for _ in range(5):  # the gateway hears ten in five seconds
        ann.send(type="ptt.start", netUid=strike)
        ann.send(type="ptt.stop", netUid=strike)
    ann.send(type="ptt.start", netUid=strike)
    box.until("talk", lambda said: said["nets"][strike] == {"lamp": "ON", "talking": ["Ann"]})
    shard.post("/operation", {"open": False})
    box.until("operation", lambda said: said == "closed")
    box.lamp("OFF", strike)
    assert all(
        (said["lamp"] == "ON") == any(n["talking"] for n in said["nets"].values())
        for topic, said in box.told
        if topic == "talk"
    )


def test_the_nets_are_told(shard: Server, box: Box, strike: str, operator: Callable[..., Operator]) -> None:
    operator("1")
    box.until("nets", lambda said: [(n["name"], n["occupancy"]) for n in said] == [("Strike", 1)])
    shard.post("/nets/rename", {"netUid": strike, "name": "Air Wing"})
    box.until("nets", lambda said: said[0]["name"] == "Air Wing")


def test_the_lamp_goes_out_with_the_shard_and_is_right_when_it_is_back(
    shard: Server, broker: Broker, box: Box, strike: str
) -> None:
    ann = shard.operator("1")
    ann.send(type="ptt.start", netUid=strike)
    box.lamp("ON", strike)
    shard.kill()
    box.until("talk", lambda said: said == GONE)
    ann.close()
    with Box(broker, "shardapi") as late:
        assert late.until("talk", lambda said: True) == GONE
    shard.start()
    box.until("talk", lambda said: said["online"] and said["lamp"] == "OFF")
    ann = shard.operator("1")
    ann.send(type="ptt.start", netUid=strike)
    box.lamp("ON", strike)
    ann.close()
    box.lamp("OFF", strike)


def test_a_restart_puts_the_lamp_out(shard: Server, box: Box, strike: str) -> None:
    ann = shard.operator("1")
    ann.send(type="ptt.start", netUid=strike)
    box.lamp("ON", strike)
    before = len(box.told)
    shard.restart()
    box.until("talk", lambda said: len(box.told) > before and said["online"])
    told = [said for topic, said in box.told[before:] if topic == "talk"]
    assert not told[0]["online"] or told[0]["lamp"] == "OFF"
    assert told[-1]["lamp"] == "OFF"
    ann.close()


def test_a_broker_that_was_away_is_told_how_it_is(
    shard: Server, broker: Broker, box: Box, strike: str, operator: Callable[..., Operator]
) -> None:
    ann = operator("1")
    broker.stop()
    shard.wait(lambda: not shard.get("/mqtt").json()["connected"], "the broker to be missed")
    ann.send(type="ptt.start", netUid=strike)  # operators are not the worse for it
    ann.expect("ptt.start")
    problems = shard.wait(lambda: shard.get("/ready").json()["problems"], "the problem")
    assert [one["plugin"] for one in problems] == ["mqtt"]
    broker.start()
    with Box(broker, "shardapi") as fresh:
        fresh.lamp("ON", strike)
        ann.send(type="ptt.stop", netUid=strike)
        fresh.lamp("OFF", strike)
    assert shard.get("/mqtt").json()["connected"]


def test_a_wrong_password_is_told_and_shown_nowhere(
    start_shard: Callable[..., Server], broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("not-the-secret")
    shard = start_shard(env={"SHARDAPI_PLUGINS__MQTT__PASSWORD_FILE": str(tmp_path / "password")})
    shard.wait(lambda: shard.get("/mqtt").json()["problem"] == "Refused", "the refusal")
    assert shard.get("/mqtt").json()["connected"] is False
    shard.wait(lambda: any("Not authorized" in line for line in shard.log), "the log to tell it")
    shown = (
        "\n".join(shard.log) + str(shard.command("config", "check")) + str(shard.command("plugins", "list"))
    )
    assert "Not authorized" in shown and "not-the-secret" not in shown
    assert requests.get(f"{shard.url}/health", timeout=5).ok

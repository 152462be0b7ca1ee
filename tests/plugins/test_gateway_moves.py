"""Operators at a real shard whom rules and the Public Net's gates put on nets and take off them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shardapi.testing import Operator, Server

Connect = Callable[..., Operator]
STATE = ("/features", "/public-net", "/rules")


@pytest.fixture(autouse=True)
def shown(shard: Server) -> Iterator[None]:
    """The operation open and the Public Net shown, with a rule for nobody."""
    shard.post("/operation", {"open": True})
    shard.post("/public-net", {"name": "Rally", "roleIds": []})
    yield
    shard.post("/public-net/remove")
    shard.post("/rules", {"rules": []})


@pytest.mark.parametrize(
    ("path", "body", "reason", "left"),
    [
        ("/public-net/hide", None, "net_removed", []),
        ("/public-net/remove", {}, "net_removed", []),
        ("/features", {"features": {"publicNet": {"enabled": False}}}, "net_removed", []),
        ("/public-net", {"roleIds": ["medic"]}, "unassigned", ["net_public"]),
        ("/features", {"features": {"publicNet": {"roleIds": ["medic"]}}}, "unassigned", ["net_public"]),
    ],
)
def test_a_talker_whom_the_public_net_no_longer_takes_is_stopped_then_told(
    shard: Server,
    operator: Connect,
    path: str,
    body: dict[str, object] | None,
    reason: str,
    left: list[str],
) -> None:
    talker, medic = operator("talker", roles=["pilot"]), operator("medic", roles=["medic"])
    talker.send(type="ptt.start", netUid="net_public")
    assert medic.expect("ptt.start")["data"]["netId"] == 250
    talker.expect("ptt.start")
    assert shard.post(path, body).status_code == 200
    first, second = talker.receive(), talker.receive()
    assert (first["type"], first["data"]["reason"]) == ("ptt.stop", reason)
    assert (second["type"], second["assignments"]) == ("config", [])
    assert [net["uid"] for net in second["nets"] if net["uid"] == "net_public"] == left
    assert medic.expect("config")["assignments"] == ([250] if left else [])
    talker.send(type="ptt.start", netUid="net_public")
    assert talker.expect("error")["code"] == ("not_on_net" if left else "net_not_found")


def test_a_rule_moves_who_is_connected_in_one_push_and_who_comes_later(
    shard: Server, operator: Connect
) -> None:
    net, pilot = shard.net("Pilots"), operator("pilot", roles=["pilot"])
    own = [250, net["netId"]]
    written = shard.post("/rules", {"rules": [{"roleId": "pilot", "netId": net["netId"]}]}).json()
    config = pilot.receive()
    assert (config["type"], config["version"]) == ("config", written["version"])
    assert config["assignments"] == sorted(own)
    late = operator("late", roles=["pilot"])
    late.send(type="ptt.start", netUid=net["netUid"])
    assert pilot.expect("ptt.start")["data"]["userId"] == "late"
    shard.post("/rules", {"rules": []})
    assert late.expect("ptt.stop")["data"]["reason"] == "unassigned"
    assert late.expect("config")["assignments"] == [250] == pilot.expect("config")["assignments"]


def test_what_was_answered_is_there_after_a_crash(start_shard: Callable[..., Server], tmp_path: Path) -> None:
    shard = start_shard(tmp_path / "data")
    net = shard.net()
    shard.post("/features", {"features": {"maxNets": 7, "orgLink": {"netUid": net["netUid"]}}})
    shard.post("/public-net", {"name": "Rally", "roleIds": ["9007199254740993"]})
    shard.post("/rules", {"rules": [{"roleId": "1505521308744679464", "netUids": [net["netUid"]]}]})
    before = [shard.get(path).json() for path in STATE]
    shard.kill()
    shard.start()
    assert [shard.get(path).json() for path in STATE] == before
    assert before[0]["features"]["maxNets"] == 7 and before[1]["publicNet"]["name"] == "Rally"
    assert before[2]["rules"][0]["netIds"] == [net["netId"]]

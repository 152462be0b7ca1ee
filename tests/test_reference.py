"""The reference and the server agree line by line: in the OpenAPI document, and in what a valid call really does."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import pytest
import reference
import requests
from receivers import Receiver
from reference import Line, lines

from shardapi.testing import Operator, Server

ENDPOINTS, LATER, BESIDES = map(lines, (reference.ENDPOINTS, reference.LATER, reference.BESIDES))
SERVED = [*ENDPOINTS, *BESIDES]
SCHEMAS = "#/components/schemas/"
GUILD, UNLIMITED = "1300000000000000001", "1000000/minute"
UNPROMISED = {"Idempotent-Replayed"}  # on some answers only

Connect = Callable[..., Operator]
Exercise = Callable[[Server, Connect], requests.Response]
EXERCISES: dict[str, Exercise] = {}


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running shard that all calls of the reference are made at."""
    env = {
        "SHARDAPI_LIMITS__DEFAULT": UNLIMITED,
        "SHARDAPI_LIMITS__ACARS": UNLIMITED,
        "SHARDAPI_GUILD__ID": GUILD,
        "SHARDAPI_PLUGINS__WEBHOOKS__ALLOW_PRIVATE": '["127.0.0.1"]',
    }
    server = Server(tmp_path_factory.mktemp("shard"), env)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def document(shard: Server) -> dict[str, Any]:
    """The OpenAPI document as the shard answers it."""
    found: dict[str, Any] = shard.get("/openapi.json", key="").json()
    return found


def operation(document: dict[str, Any], line: Line) -> dict[str, Any]:
    """A call's operation, by the path as written; a parameter may have another name."""
    method, path = line.place
    same = [one for one in document["paths"] if _bare(one) == _bare(path)]
    assert len(same) == 1 and method.lower() in document["paths"][same[0]], f"{line} is not served"
    found: dict[str, Any] = document["paths"][same[0]][method.lower()]
    return found


def _bare(path: str) -> list[str]:
    return ["{}" if part.startswith("{") else part for part in path.split("/")]


# -- in the document


@pytest.mark.parametrize("line", SERVED, ids=str)
def test_a_line_of_the_reference_is_in_the_document_with_exactly_its_scope(
    document: dict[str, Any], line: Line
) -> None:
    expected = [] if line.scope in ("-", "token") else [{"ownerKey": [line.scope]}]
    assert operation(document, line)["security"] == expected


def test_the_document_has_nothing_that_the_reference_lacks(document: dict[str, Any]) -> None:
    served = {
        (method.upper(), *_bare(path)) for path, methods in document["paths"].items() for method in methods
    }
    expected = {(line.method, *_bare(line.place[1])) for line in SERVED}
    later = {(line.method, *_bare(line.place[1])) for line in LATER}
    assert not served & later, "served by now: move these lines up in reference.py, and exercise them"
    assert served == expected


def test_the_lines_are_those_of_the_reference() -> None:
    assert len(ENDPOINTS) + len(LATER) == 45  # its 44 rows, one of which has two methods
    assert len({str(line) for line in [*SERVED, *LATER]}) == len(SERVED) + len(LATER)


# -- at a live shard


@pytest.mark.parametrize("line", SERVED, ids=str)
def test_a_valid_call_does_what_the_reference_says(
    shard: Server, operator: Connect, document: dict[str, Any], line: Line
) -> None:
    answer = EXERCISES[str(line)](shard, operator)
    assert answer.status_code == 200, answer.text
    documented = operation(document, line)["responses"]["200"]
    assert documented["headers"].keys() - answer.headers.keys() <= UNPROMISED
    ((media_type, content),) = documented["content"].items()
    assert answer.headers["Content-Type"].split(";")[0] == media_type
    assert "example" in content
    if media_type != "application/json":
        assert not line.members
        return
    told = answer.json()
    if line.path != "/openapi.json":
        assert told["ok"] is True and told["guildId"] == GUILD
    for member in line.members:
        assert list(reach(told, member.split("."))), f"{member} is missing, or nothing is there to have it"
    schema = {**content["schema"], "components": document["components"]}
    for value in (told, content["example"]):
        jsonschema_rs.validator_for(schema).validate(value)
    if line.path != "/openapi.json":
        same_shape(content["schema"], content["example"], told, document)
    if line.method != "GET":
        assert told["changed"] is True
        assert told["action"] == content["example"]["action"] != ""


def reach(value: Any, path: list[str]) -> Iterator[Any]:
    """Every value that a member has, through the lists on the way; raises KeyError where one lacks it."""
    if not path:
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from reach(one, path)
    else:
        yield from reach(value[path[0]], path[1:])


def same_shape(
    schema: dict[str, Any], example: Any, told: Any, document: dict[str, Any], at: str = ""
) -> None:
    """The documented example of an answer has the members that a live one has, and no other, all the way down."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].removeprefix(SCHEMAS)]
    for alternative in schema.get("anyOf", ()):
        if example is not None and told is not None and alternative.get("type") != "null":
            return same_shape(alternative, example, told, document, at)
    if isinstance(example, dict) and "properties" in schema:
        optional = schema["properties"].keys() - set(schema.get("required", ()))
        assert example.keys() ^ told.keys() <= optional, (
            f"the example of {at or 'the answer'} has other members"
        )
        for name in example.keys() & told.keys():
            same_shape(
                schema["properties"].get(name, {}), example[name], told[name], document, f"{at}.{name}"
            )
    elif isinstance(example, list) and example and told:
        same_shape(schema.get("items", {}), example[0], told[0], document, f"{at}[]")
    elif isinstance(example, dict) and example and told:
        inner = schema.get("additionalProperties")
        if isinstance(inner, dict):
            same_shape(inner, *(next(iter(one.values())) for one in (example, told)), document, f"{at}{{}}")
    return None


def test_every_line_is_exercised() -> None:
    assert EXERCISES.keys() == {str(line) for line in SERVED}


# -- the calls


def exercise(line: str) -> Callable[[Exercise], Exercise]:
    """A valid call of this line, in a state that it makes itself, with what must have come of it."""

    def register(made: Exercise) -> Exercise:
        EXERCISES[line] = made
        return made

    return register


def net_of(shard: Server, uid: str) -> dict[str, Any] | None:
    """A net as /status has it."""
    return next((net for net in shard.get("/status").json()["nets"] if net["netUid"] == uid), None)


def assigned(shard: Server, user: str) -> list[int]:
    """The slots a user is assigned to, as /assignments has it."""
    found: list[int] = shard.get("/assignments").json()["assignments"].get(user, [])
    return found


def entry(shard: Server, **members: Any) -> str:
    """The uid of a new entry in the archive."""
    made: dict[str, Any] = shard.post("/archive", {"name": "Old Net", "tags": ["air"], **members}).json()
    return str(made["entry"]["uid"])


def preset(shard: Server, name: str) -> None:
    """Save a preset with a net and somebody on it."""
    nets, people = [{"id": 1, "name": name}], [{"userId": "5", "netId": 1}]
    saved = shard.post("/presets", {"name": name, "nets": nets, "assignments": people})
    assert saved.status_code == 200, saved.text


def token(shard: Server) -> dict[str, str]:
    """What a public page is told with."""
    return {"token": shard.get("/public-token").json()["token"]}


@exercise("GET /openapi.json")
def _(shard: Server, operator: Connect) -> requests.Response:
    return shard.get("/openapi.json", key="")


@exercise("GET /status")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net("Status")
    shard.post("/assignments", {"userId": "101", "netUid": net["netUid"]})
    shard.post("/operation", {"open": True})
    person = operator("101")
    person.send(type="ptt.start", netUid=net["netUid"])
    person.expect("ptt.start")
    answer = shard.get("/status")
    (shown,) = (one for one in answer.json()["nets"] if one["netUid"] == net["netUid"])
    assert (shown["occupancy"], shown["transmitting"], shown["tx"]) == (1, ["101"], True)
    return answer


@exercise("GET /roster")
def _(shard: Server, operator: Connect) -> requests.Response:
    operator("102", "Ben", ["7"])
    answer = shard.get("/roster")
    (shown,) = (one for one in answer.json()["operators"] if one["userId"] == "102")
    assert (shown["displayName"], shown["roles"]) == ("Ben", ["7"])
    without = shard.get("/roster", key=shard.key("read:roster")).json()
    assert not any("roles" in one for one in without["operators"])
    return answer


@exercise("GET /assignments")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net()
    shard.post("/assignments", {"userId": "103", "netUid": net["netUid"]})
    answer = shard.get("/assignments")
    assert answer.json()["assignments"]["103"] == [net["netId"]]
    return answer


@exercise("GET /features")
def _(shard: Server, operator: Connect) -> requests.Response:
    return shard.get("/features")


@exercise("GET /public-net")
def _(shard: Server, operator: Connect) -> requests.Response:
    return shard.get("/public-net")


@exercise("POST /assignments")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net()
    answer = shard.post("/assignments", {"userId": "104", "netUid": net["netUid"], "action": "assign"})
    assert assigned(shard, "104") == [net["netId"]]
    return answer


@exercise("POST /assignments/bulk")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net()
    items = [{"userId": user, "netUid": net["netUid"]} for user in ("105", "106")]
    answer = shard.post("/assignments/bulk", {"assignments": items})
    assert assigned(shard, "105") == assigned(shard, "106") == [net["netId"]]
    assert answer.json()["applied"] == 2
    return answer


@exercise("POST /assignments/temporary")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net()
    sent = {"userId": "107", "netUid": net["netUid"], "expiresMinutes": 30}
    answer = shard.post("/assignments/temporary", sent)
    assert assigned(shard, "107") == [net["netId"]]
    return answer


@exercise("POST /nets")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.post("/nets", {"name": "Strike Net"})
    made = net_of(shard, answer.json()["netUid"])
    assert made is not None and made["name"] == "Strike Net"
    return answer


@exercise("POST /nets/rename")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net()
    answer = shard.post("/nets/rename", {"netUid": net["netUid"], "name": "Air Wing"})
    renamed = net_of(shard, net["netUid"])
    assert renamed is not None and renamed["name"] == "Air Wing"
    return answer


@exercise("DELETE /nets/:ref")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net()
    answer = shard.delete(f"/nets/{net['netUid']}")
    assert net_of(shard, net["netUid"]) is None
    return answer


@exercise("POST /nets/remove")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net()
    answer = shard.post("/nets/remove", {"netUid": net["netUid"]})
    assert net_of(shard, net["netUid"]) is None
    return answer


@exercise("GET /archive")
def _(shard: Server, operator: Connect) -> requests.Response:
    uid = entry(shard, name="Escort of the convoy")
    answer = shard.get("/archive?q=conv&tag=air")
    assert [one["uid"] for one in answer.json()["entries"]] == [uid]
    return answer


@exercise("POST /archive")
def _(shard: Server, operator: Connect) -> requests.Response:
    sent = {"name": "Old Net", "notes": "Two ships", "tags": ["sea"], "assignedUserIds": ["5"]}
    answer = shard.post("/archive", sent)
    kept = shard.get(f"/archive/{answer.json()['entry']['uid']}").json()["entry"]
    assert {name: kept[name] for name in sent} == sent
    return answer


@exercise("GET /archive/sync/status")
def _(shard: Server, operator: Connect) -> requests.Response:
    before = shard.get("/archive/sync/status").json()["pendingOps"]
    entry(shard)
    answer = shard.get("/archive/sync/status")
    assert answer.json()["pendingOps"] != before
    return answer


@exercise("GET /archive/:uid")
def _(shard: Server, operator: Connect) -> requests.Response:
    uid = entry(shard)
    answer = shard.get(f"/archive/{uid}")
    assert answer.json()["entry"]["uid"] == uid
    return answer


@exercise("POST /archive/:uid")
def _(shard: Server, operator: Connect) -> requests.Response:
    uid = entry(shard)
    answer = shard.post(f"/archive/{uid}", {"notes": "Moved"})
    assert shard.get(f"/archive/{uid}").json()["entry"]["notes"] == "Moved"
    return answer


@exercise("PATCH /archive/:uid")
def _(shard: Server, operator: Connect) -> requests.Response:
    uid = entry(shard)
    answer = shard.request("PATCH", f"/archive/{uid}", {"tags": ["land"]})
    kept = shard.get(f"/archive/{uid}").json()["entry"]
    assert (kept["tags"], kept["name"]) == (["land"], "Old Net")
    return answer


@exercise("DELETE /archive/:uid")
def _(shard: Server, operator: Connect) -> requests.Response:
    uid = entry(shard)
    answer = shard.delete(f"/archive/{uid}")
    assert shard.get(f"/archive/{uid}").status_code == 404
    return answer


@exercise("POST /archive/:uid/restore")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net("Restored")
    shard.delete(f"/nets/{net['netUid']}")
    answer = shard.post(f"/archive/{net['netUid']}/restore")
    again = net_of(shard, net["netUid"])
    assert again is not None and again["name"] == "Restored" and again["id"] != net["netId"]
    return answer


@exercise("POST /operation")
def _(shard: Server, operator: Connect) -> requests.Response:
    shard.post("/operation", {"open": False})
    answer = shard.post("/operation", {"open": True})
    assert shard.get("/status").json()["operationOpen"] is True
    return answer


@exercise("POST /features")
def _(shard: Server, operator: Connect) -> requests.Response:
    shard.post("/features", {"features": {"globalPttEnabled": False}})
    answer = shard.post("/features", {"features": {"globalPttEnabled": True}})
    assert shard.get("/features").json()["features"]["globalPttEnabled"] is True
    return answer


def public_net(shard: Server) -> dict[str, Any]:
    """The Public Net as it is read."""
    found: dict[str, Any] = shard.get("/public-net").json()["publicNet"]
    return found


def _shown(shard: Server, path: str) -> requests.Response:
    shard.post("/public-net/remove")
    answer = shard.post(path, {"name": "Public Rally Net", "roleIds": ["123"]})
    assert public_net(shard) == {"enabled": True, "name": "Public Rally Net", "roleIds": ["123"]}
    assert net_of(shard, "net_public") is not None
    return answer


@exercise("POST /public-net")
def _(shard: Server, operator: Connect) -> requests.Response:
    return _shown(shard, "/public-net")


@exercise("POST /public-net/show")
def _(shard: Server, operator: Connect) -> requests.Response:
    return _shown(shard, "/public-net/show")


@exercise("POST /public-net/restore")
def _(shard: Server, operator: Connect) -> requests.Response:
    return _shown(shard, "/public-net/restore")


@exercise("POST /public-net/hide")
def _(shard: Server, operator: Connect) -> requests.Response:
    _shown(shard, "/public-net")
    answer = shard.post("/public-net/hide")
    assert public_net(shard) == {"enabled": False, "name": "Public Rally Net", "roleIds": ["123"]}
    return answer


@exercise("POST /public-net/remove")
def _(shard: Server, operator: Connect) -> requests.Response:
    _shown(shard, "/public-net")
    answer = shard.post("/public-net/remove", {})
    after = public_net(shard)
    assert (after["enabled"], after["roleIds"]) == (False, []) and after["name"] != "Public Rally Net"
    return answer


def _ruled(shard: Server, role: str) -> tuple[requests.Response, str]:
    net = shard.net("Ruled")["netUid"]
    return shard.post("/rules", {"rules": [{"roleId": role, "netUids": [net]}]}), net


@exercise("GET /rules")
def _(shard: Server, operator: Connect) -> requests.Response:
    _, net = _ruled(shard, "456")
    answer = shard.get("/rules")
    (rule,) = answer.json()["rules"]
    assert (rule["roleId"], rule["netUids"]) == ("456", [net])
    return answer


@exercise("POST /rules")
def _(shard: Server, operator: Connect) -> requests.Response:
    person = operator("108", roles=["457"])
    answer, net = _ruled(shard, "457")
    while (told := person.expect("config"))["version"] < answer.json()["version"]:
        pass  # the net's own
    assert net in [one["uid"] for one in told["nets"] if one["assigned"]]
    return answer


@exercise("GET /presets")
def _(shard: Server, operator: Connect) -> requests.Response:
    preset(shard, "Listed")
    answer = shard.get("/presets")
    assert "Listed" in [one["name"] for one in answer.json()["presets"]]
    return answer


@exercise("POST /presets")
def _(shard: Server, operator: Connect) -> requests.Response:
    name = "Friday Op"
    answer = shard.post("/presets", {"name": name, "nets": [{"name": "One", "id": 1}], "assignments": []})
    assert name in [one["name"] for one in shard.get("/presets").json()["presets"]]
    return answer


@exercise("DELETE /presets/:name")
def _(shard: Server, operator: Connect) -> requests.Response:
    preset(shard, "50 % / Gone")
    answer = shard.delete(f"/presets/{quote('50 % / Gone', safe='')}")
    assert "50 % / Gone" not in [one["name"] for one in shard.get("/presets").json()["presets"]]
    return answer


@exercise("POST /presets/:name/apply")
def _(shard: Server, operator: Connect) -> requests.Response:
    preset(shard, "Applied")
    answer = shard.post("/presets/Applied/apply")
    assert "Applied" in [net["name"] for net in shard.get("/status").json()["nets"]]
    assert shard.post("/presets/Applied/apply").json()["changed"] is False
    return answer


@exercise("POST /acars")
def _(shard: Server, operator: Connect) -> requests.Response:
    shard.post("/features", {"features": {"acarsEnabled": True}})
    person = operator("109")
    answer = shard.post("/acars", {"text": "Briefing in 5", "senderName": "Ops"})
    heard = person.expect("acars", id=answer.json()["id"])
    assert (heard["data"]["text"], heard["data"]["senderName"]) == ("Briefing in 5", "Ops")
    assert answer.json()["routed"] >= 1 and answer.json()["delivered"] is True
    return answer


@exercise("POST /clients/disconnect")
def _(shard: Server, operator: Connect) -> requests.Response:
    person = operator("110")
    answer = shard.post("/clients/disconnect", {"userId": "110"})
    person.expect("disconnect")
    assert answer.json()["disconnected"] == 1
    return answer


@exercise("GET /stream")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.get("/stream?types=config.changed", stream=True)
    with answer:
        made = shard.net("Streamed")["netUid"]
        block = ""
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            block += f"{line}\n"
            if made in line:
                break
    assert "\nevent: config.changed\ndata: {" in block
    return answer


@pytest.fixture(scope="module", autouse=True)
def receiver() -> Iterator[Receiver]:
    """Where webhooks are delivered."""
    with Receiver() as made:
        RECEIVERS[:] = [made]
        yield made


RECEIVERS: list[Receiver] = []


def webhook(shard: Server, event: str = "operation.*") -> str:
    """The id of a new webhook."""
    made = shard.post("/webhooks", {"url": RECEIVERS[0].url, "events": [event]})
    return str(made.json()["webhook"]["id"])


def delivered(shard: Server, id: str) -> requests.Response:
    """Its deliveries once there are some."""
    for is_open in (False, True, False):
        shard.post("/operation", {"open": is_open})
    found: requests.Response = shard.wait(
        lambda: (
            answer
            if len((answer := shard.get(f"/webhooks/{id}/deliveries")).json()["deliveries"]) > 1
            else None
        ),
        "deliveries",
    )
    return found


@exercise("GET /webhooks")
def _(shard: Server, operator: Connect) -> requests.Response:
    id = webhook(shard)
    answer = shard.get("/webhooks")
    assert id in [one["id"] for one in answer.json()["webhooks"]]
    assert {"user.joined", "webhook.disabled"} <= set(answer.json()["events"])
    return answer


@exercise("POST /webhooks")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.post("/webhooks", {"url": RECEIVERS[0].url, "events": ["operation.opened"]})
    assert answer.json()["secret"].startswith("whsec_")
    return answer


@exercise("DELETE /webhooks/:id")
def _(shard: Server, operator: Connect) -> requests.Response:
    id = webhook(shard)
    answer = shard.delete(f"/webhooks/{id}")
    assert id not in [one["id"] for one in shard.get("/webhooks").json()["webhooks"]]
    return answer


@exercise("GET /webhooks/:id/deliveries")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = delivered(shard, webhook(shard))
    assert {one["outcome"] for one in answer.json()["deliveries"]} == {"delivered"}
    return answer


@exercise("POST /webhooks/:id/test")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.post(f"/webhooks/{webhook(shard)}/test")
    assert (answer.json()["delivered"], answer.json()["status"]) == (True, 204)
    assert "webhook.test" in RECEIVERS[0].types
    return answer


@exercise("POST /webhooks/:id/enable")
def _(shard: Server, operator: Connect) -> requests.Response:
    id = webhook(shard)
    RECEIVERS[0].answers = lambda delivery: 410
    for is_open in (False, True):
        shard.post("/operation", {"open": is_open})
    states = lambda: {one["id"]: one["state"] for one in shard.get("/webhooks").json()["webhooks"]}  # noqa: E731
    shard.wait(lambda: states()[id] == "disabled", "the webhook to be disabled")
    RECEIVERS[0].answers = lambda delivery: 204
    answer = shard.post(f"/webhooks/{id}/enable")
    assert states()[id] == "delivering"
    return answer


@exercise("POST /webhooks/:id/rotate")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.post(f"/webhooks/{webhook(shard)}/rotate")
    assert answer.json()["secret"].startswith("whsec_")
    return answer


@exercise("POST /webhooks/:id/replay")
def _(shard: Server, operator: Connect) -> requests.Response:
    id = webhook(shard)
    first = delivered(shard, id).json()["deliveries"][-1]["id"]
    answer = shard.post(f"/webhooks/{id}/replay", {"since": first})
    assert answer.json()["since"] == first
    return answer


@exercise("GET /metrics")
def _(shard: Server, operator: Connect) -> requests.Response:
    net = shard.net("Metered")["netUid"]
    shard.post("/assignments", {"userId": "111", "netUid": net})
    shard.post("/operation", {"open": True})
    person = operator("111")
    person.send(type="ptt.start", netUid=net)
    person.expect("ptt.start")
    person.send(type="ptt.stop", netUid=net)
    person.expect("ptt.stop")

    def counted() -> requests.Response | None:
        answer = shard.get("/metrics?sinceMinutes=60")
        told = answer.json()
        users = [one["userId"] for one in told["talkTime"]["byUser"]]
        return answer if "111" in users and told["occupancy"]["samples"] else None

    answer: requests.Response = shard.wait(counted, "the transmission to be counted")
    return answer


@exercise("GET /metrics/prometheus")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.get("/metrics/prometheus")
    assert "\n# TYPE shardapi_" in answer.text
    return answer


@exercise("GET /audit")
def _(shard: Server, operator: Connect) -> requests.Response:
    made = shard.post("/nets", {"name": "Audited"}, headers={"X-Audit-Log-Reason": "to be seen"})
    answer = shard.get("/audit?limit=100")
    (row,) = (one for one in answer.json()["entries"] if one["requestId"] == made.headers["X-Request-Id"])
    assert (row["method"], row["path"], row["reason"]) == ("POST", "/api/v1/nets", "to be seen")
    return answer


@exercise("GET /public-token")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.get("/public-token")
    told = answer.json()
    for url in (told["statusUrl"], told["widgetUrl"]):
        assert url.startswith(shard.url) and requests.get(url, timeout=20).status_code == 200
    assert shard.get("/public-token").json()["token"] == told["token"]
    return answer


@exercise("POST /public-token/rotate")
def _(shard: Server, operator: Connect) -> requests.Response:
    old = shard.get("/public-token").json()
    answer = shard.post("/public-token/rotate")
    assert shard.get("/public-token").json()["token"] == answer.json()["token"] != old["token"]
    assert requests.get(old["statusUrl"], timeout=20).status_code == 410
    return answer


@exercise("GET /embed/status")
def _(shard: Server, operator: Connect) -> requests.Response:
    shard.net("Embedded")
    return shard.get("/embed/status", params=token(shard), key="")


@exercise("GET /embed/widget")
def _(shard: Server, operator: Connect) -> requests.Response:
    answer = shard.get("/embed/widget", params=token(shard), key="")
    assert "<html" in answer.text
    return answer

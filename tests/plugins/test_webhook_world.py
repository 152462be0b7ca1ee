"""Nothing is sent into the owner's network: hostile URLs and names, redirects, rebinding and proxies.

Canaries are at every address there is, and names are resolved by a real name server.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from outboxes import Desk, delivering, until
from targets import EMBEDDED, HOSTILE, METADATA, MISREAD, NAMES, PRIVATE
from world import Hit, World, resolved

from shardapi import ShardApp
from shardapi.outbox.line import Line
from shardapi.outbox.models import Row
from shardapi.outbox.schedule import Schedule
from shardapi.outbox.target import Gate, parse
from shardapi.outbox.vault import Secret
from shardapi.testing import Server

pytestmark = [pytest.mark.root, pytest.mark.debian("dnsmasq", "ip")]

MakeApp = Callable[..., ShardApp]
PUBLIC, PUBLIC6 = "1.2.3.4", "2a00:1450::1"
MOST_CALLS = {"LIMITS__DEFAULT": "1000000/minute"}
EVERYWHERE = {"PLUGINS__WEBHOOKS__ALLOW_PRIVATE": '["0.0.0.0/0", "::/0"]', **MOST_CALLS}
UNCONNECTABLE = ("//224.", "//255.", "[ff02", "[ff0e", "[fe80", "[febf")  # without a zone, or at all by TCP


@pytest.fixture(scope="module")
def every_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world that the tests of this module share."""
    with World(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def world(every_address: World) -> World:
    """The world, nothing having happened in it."""
    every_address.answer = (204, {})
    every_address.name({**NAMES, "public.test": [PUBLIC], "public6.test": [PUBLIC6]})
    every_address.clear()
    return every_address


def put(desk: Desk, urls: list[str]) -> dict[str, str]:
    """Webhooks that nobody judged, as a restored store may have them; their ids by URL."""
    secret = desk.box.vault.close([Secret("a secret of sixteen")])
    ids = {url: f"wh_{number:020}" for number, url in enumerate(urls)}
    for url, id_ in ids.items():
        row = Row(id_, url, secret, ("user.joined",), True, 1)
        desk.shard.writer.write(lambda row=row: desk.box.table.add(row, desk.shard.events.newest))  # type: ignore[misc]
    desk.box.wake()
    return ids


def tried(desk: Desk, ids: dict[str, str]) -> dict[str, Any]:
    """What became of the first attempt at each, by URL."""
    desk.box.schedule = Schedule()
    desk.begin().join(1)

    def states() -> dict[str, Any] | None:
        found = {one["id"]: one for one in desk.call("GET", "/webhooks")["webhooks"]}
        return (
            found if all(found[id_]["failures"] or found[id_]["lastStatus"] for id_ in ids.values()) else None
        )

    try:
        found = until(states, "for every webhook to be tried", 30)
    finally:
        desk.end()
    return {url: found[id_] for url, id_ in ids.items()}


def test_registration_refuses_hostile_targets_without_a_connection(world: World, make_app: MakeApp) -> None:
    desk = Desk(make_app(**MOST_CALLS))
    urls = [url.format(p=world.port) for url in HOSTILE]
    urls += [f"http://{name}:{world.port}/" for name in NAMES]
    urls += [f"http://{name.upper()}.:{world.port}/" for name in NAMES]
    accepted = []
    for url in urls:
        answer = desk.client.post("/api/v1/webhooks", json={"url": url})
        if answer.status_code != 400:
            accepted.append(url)
        else:
            assert (answer.json["code"], answer.json["errors"][0]["path"]) == ("invalid_value", "url")
    # These have no address, here as elsewhere; whether they get one is looked at again on each attempt.
    assert accepted == [f"http://localhost.:{world.port}/", "http://169.254.169.254.:80/"]
    assert world.hits == []


def test_a_name_without_an_address_is_accepted(world: World, make_app: MakeApp) -> None:
    desk = Desk(make_app(**MOST_CALLS))
    assert resolved("not-yet.test") == set()
    assert desk.state(desk.hook("http://not-yet.test/"))["state"] == "delivering"
    assert desk.state(desk.hook("http://public.test/"))["state"] == "delivering"


def test_the_sender_refuses_them_too(world: World, make_app: MakeApp) -> None:
    desk = Desk(make_app(**MOST_CALLS))
    urls = [url.format(p=world.port) for url in HOSTILE if url not in MISREAD]
    urls += [f"http://{name}:{world.port}/" for name in NAMES]
    ids = put(desk, urls)
    states = tried(desk, ids)
    errors = {state["lastError"] for state in states.values()}
    assert errors <= {"address_refused", "unresolved"}
    assert world.hits == []


def test_a_webhook_whose_url_is_taken_no_more_is_disabled(world: World, make_app: MakeApp) -> None:
    with delivering(make_app(**MOST_CALLS)) as desk:
        (id_,) = put(desk, [f"http://1.2.3.4@127.0.0.1:{world.port}/"]).values()
        until(lambda: not desk.state(id_)["enabled"], "for it to be disabled")
        assert desk.state(id_)["disabledReason"] == "url_refused"
        desk.call("POST", f"/webhooks/{id_}/enable")
        until(lambda: not desk.state(id_)["enabled"], "for it to be disabled again")
    assert world.hits == []


def test_canaries_notice_what_is_allowed_and_metadata_is_refused_even_then(
    world: World, make_app: MakeApp
) -> None:
    desk = Desk(make_app(**EVERYWHERE))
    reachable = [url for url in (*EMBEDDED, *PRIVATE) if not any(one in url for one in UNCONNECTABLE)]
    ids = put(desk, [*(url.format(p=world.port) for url in reachable), *METADATA, "http://metadata.test/"])
    states = tried(desk, ids)
    refused = {url for url, state in states.items() if state["lastError"] == "address_refused"}
    assert refused == {*METADATA, "http://metadata.test/"} - {"http://169.254.169.254.:80/"}
    assert {state["lastStatus"] for url, state in states.items() if url not in METADATA} >= {204}
    delivered = [url for url, state in states.items() if state["lastStatus"] == 204]
    assert len(delivered) == len(reachable)
    assert not world.addresses() & {"169.254.169.254", "fd00:ec2::254", "168.63.129.16"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_refusal_and_not_followed(world: World, make_app: MakeApp, status: int) -> None:
    with delivering(make_app(**MOST_CALLS)) as desk:
        for place in (f"http://127.0.0.1:{world.port}/", "http://169.254.169.254/", "//[::1]/", "/elsewhere"):
            world.clear()
            world.answer = (status, {"Location": place})
            hook = desk.hook(f"http://public.test:{world.port}/", "user.joined")
            desk.join(1)
            until(lambda: desk.state(hook)["parked"] == 1, "for it to be parked")  # noqa: B023
            assert desk.state(hook)["lastStatus"] == status
            assert len(world.got) == 5 and world.addresses() == {PUBLIC}
            desk.call("DELETE", f"/webhooks/{hook}")


def test_a_name_that_moves_into_the_network_is_refused_until_it_is_back(
    world: World, make_app: MakeApp
) -> None:
    world.answer = (204, {"Connection": "close"})
    with delivering(make_app(**MOST_CALLS)) as desk:
        hook = desk.hook(f"http://moving.test:{world.port}/", "user.joined")
        (first,) = desk.join(1)
        until(lambda: desk.state(hook)["lastError"] == "unresolved", "for the name to be looked up")
        world.name({"moving.test": [PUBLIC]})
        until(lambda: len(world.got) == 1, "for the first delivery")
        sent = [first]
        for inside in ("127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"):
            world.name({"moving.test": [inside]})
            sent += desk.join(2)
            until(lambda: desk.state(hook)["lastError"] == "address_refused", "for it to be refused")
            assert (
                desk.client.post(
                    "/api/v1/webhooks", json={"url": f"http://moving.test:{world.port}/"}
                ).status_code
                == 400
            )
            assert desk.call("POST", f"/webhooks/{hook}/test")["error"] == "address_refused"
            world.name({"moving.test": [PUBLIC]})
            until(lambda: len(world.got) == len(sent), "for what waited")  # noqa: B023
        assert [one["webhook-id"] for one in world.got] == sent
        assert world.hits and set(world.hits) == {Hit(PUBLIC, world.port)}
        assert {one["host"] for one in world.got} == {f"moving.test:{world.port}"}


def test_the_address_that_was_judged_is_the_one_connected_to(world: World) -> None:
    answers = [[PUBLIC], ["127.0.0.1"], [PUBLIC6], ["169.254.169.254"]]
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    for error in ("", "address_refused", "", "address_refused"):
        line = Line(parse(f"http://flips.test:{world.port}/"), Gate(resolve=resolve), "test")
        assert line.post(b"", b"{}", 5).error == error
        line.close()
    assert asked == ["flips.test"] * 4
    assert [hit.address for hit in world.hits] == [PUBLIC, PUBLIC6]


def test_a_kept_connection_stays_where_it_was_judged(world: World) -> None:
    line = Line(parse(f"http://moving.test:{world.port}/"), Gate(), "test")
    world.name({"moving.test": [PUBLIC]})
    assert line.post(b"", b"{}", 5).taken
    world.name({"moving.test": ["127.0.0.1"]})
    assert line.post(b"", b"{}", 5).taken
    assert world.hits == [Hit(PUBLIC, world.port)]
    line._opened = time.monotonic() - 301  # then the name is looked up again
    assert line.post(b"", b"{}", 5).error == "address_refused"
    assert world.hits == [Hit(PUBLIC, world.port)]


def test_a_server_asks_no_proxy_of_its_environment(world: World, start_shard: Callable[..., Server]) -> None:
    proxy = "http://9.9.9.9:80"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    server = start_shard(env={**dict.fromkeys(names, proxy), "NO_PROXY": "", "no_proxy": ""})
    for url in (f"http://public.test:{world.port}/a", f"http://public6.test:{world.port}/b"):
        made = server.post("/webhooks", {"url": url, "events": ["operation.*"]}).json()
        assert server.post(f"/webhooks/{made['webhook']['id']}/test").json()["delivered"] is True
    https = server.post("/webhooks", {"url": f"https://public.test:{world.port}/"}).json()["webhook"]["id"]
    assert server.post(f"/webhooks/{https}/test").json()["error"] in ("tls", "connection_failed")
    for name in NAMES:
        refusal = server.post("/webhooks", {"url": f"http://{name}:{world.port}/"})
        assert refusal.status_code == 400, name
    before = len(world.got)
    server.post("/operation", {"open": True})
    server.wait(lambda: len(world.got) == before + 2, "the deliveries")
    assert world.addresses() - {"127.0.0.1"} == {PUBLIC, PUBLIC6}

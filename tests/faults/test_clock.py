"""The wall clock steps back and forth under a running shard: deadlines are absolute, spans are not its business."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from websockets.exceptions import InvalidStatus

from shardapi.testing import Operator, Server

from . import store
from .clock import LIBRARY, Clock
from .reader import Reader

HOUR, DAY = 3600, 86400

pytestmark = pytest.mark.debian(LIBRARY)


class Faked(NamedTuple):
    """A shard and the clock it believes."""

    server: Server
    clock: Clock


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faked]:
    """A shard with an open operation that lives by a clock of ours."""
    folder = tmp_path_factory.mktemp("clock")
    clock = Clock(folder / "clock")
    server = Server(folder / "data", {**clock.env, "SHARDAPI_LIMITS__DEFAULT": "60/2 second"})
    try:
        server.start()
        server.post("/operation", {"open": True})
        yield Faked(server, clock)
    finally:
        server.kill()


@pytest.fixture
def faked(stage: Faked) -> Iterator[Faked]:
    """The same, the clock as the machine's."""
    worker = stage.server.worker_pid
    stage.clock.set(0)
    yield stage
    stage.clock.set(0)
    assert stage.server.worker_pid == worker


def ms(text: str) -> int:
    """A time on the wire as milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def assigned(server: Server, user: str) -> list[dict[str, Any]]:
    """Why a user is on nets."""
    entries = server.get("/assignments").json()["entries"]
    return [entry for entry in entries if entry["userId"] == user]


def told_of(server: Server, user: str) -> list[tuple[str, str]]:
    """What the log says of a user's assignments."""
    changes = [event.data for event in store.events(server.data_dir) if event.type == "assignments.changed"]
    return [(data["source"], data["action"]) for data in changes if data.get("userId") == user]


BEGUN, ENDED = ("temporary", "assign"), ("temporary", "unassign")


def test_temporary_assignment_ends_once_however_the_clock_steps(faked: Faked) -> None:
    server, clock = faked
    net = server.net()
    until = server.post("/assignments/temporary", {"userId": "t1", **uid(net), "minutes": 30}).json()[
        "expiresAt"
    ]
    operator = server.operator("t1", "Tom")
    for offset in (-DAY, 29 * 60, -HOUR, 0):
        clock.set(offset)
        time.sleep(1.1)  # a look at the clock each second
        assert [entry["expiresAt"] for entry in assigned(server, "t1")] == [until]
    assert told_of(server, "t1") == [BEGUN]

    clock.set(31 * 60)
    assert assigned(server, "t1") == []  # at once, before anyone has looked
    assert net["netId"] not in operator.expect("config", assignments=[])["assignments"]
    assert told_of(server, "t1") == [BEGUN, ENDED]
    assert [net for net in server.get("/status").json()["nets"] if net["occupancy"]] == []
    for offset in (-HOUR, 2 * HOUR, 0):
        clock.set(offset)
        time.sleep(1.1)
        assert assigned(server, "t1") == []
    assert told_of(server, "t1") == [BEGUN, ENDED]
    operator.close()


def test_later_end_of_a_temporary_assignment_holds_though_the_clock_stepped_back(faked: Faked) -> None:
    server, clock = faked
    asked = {"userId": "t2", **uid(server.net()), "minutes": 30}
    first = server.post("/assignments/temporary", asked).json()
    clock.set(-HOUR)
    second = server.post("/assignments/temporary", asked).json()
    assert (second["expiresAt"], second["changed"]) == (first["expiresAt"], False)
    clock.set(HOUR)
    server.wait(lambda: told_of(server, "t2") == [BEGUN, ENDED], "its end")


def test_temporary_assignment_that_fell_due_while_down_is_never_effective_and_ends_once(
    start_shard: Callable[..., Server], tmp_path: Path
) -> None:
    clock = Clock(tmp_path / "clock")
    server = start_shard(env={**clock.env, "SHARDAPI_LIMITS__DEFAULT": "1000000/minute"})
    net = server.net()
    server.post("/operation", {"open": True})
    server.post("/assignments", {"userId": "both", **uid(net)})
    for user in ("gone", "both"):
        server.post("/assignments/temporary", {"userId": user, **uid(net), "minutes": 10})
    server.post("/assignments/temporary", {"userId": "later", **uid(net), "minutes": 60})
    key, token = server.key(), server.command("operators", "token", "gone", "--name", "Gus")
    newest = store.newest(server.data_dir)
    server.kill()
    clock.set(11 * 60)

    seen: list[list[dict[str, Any]]] = []
    watched = threading.Event()

    def watch() -> None:  # from the first answer on
        while not watched.is_set():
            with suppress(requests.ConnectionError):
                answer = requests.get(
                    server.url + "/api/v1/assignments", headers={"Authorization": f"Bearer {key}"}, timeout=30
                )
                seen.append(answer.json()["entries"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        server.start()
        operator = Operator(server.url, token["token"], token["guildId"]).join()
        server.wait(lambda: seen, "an answer")
    finally:
        watched.set()
        watcher.join()
    expected = [("both", "manual"), ("later", "temporary")]
    assert seen
    assert all([(entry["userId"], entry["source"]) for entry in entries] == expected for entries in seen)
    assert operator.seen[-1]["config"]["assignments"] == []
    operator.send(type="ptt.start", **uid(net))
    assert operator.expect("error")["code"] == "not_on_net"
    operator.close()
    server.kill()
    server.start()
    changes = [
        event.data for event in store.events(server.data_dir, newest) if event.type == "assignments.changed"
    ]
    assert [(change["userId"], change["action"]) for change in changes] == [("gone", "unassign")]
    assert [entry["userId"] for entry in server.get("/assignments").json()["entries"]] == ["both", "later"]


def test_operator_tokens_last_by_the_wall_clock_with_a_minute_to_spare(faked: Faked) -> None:
    server, clock = faked
    said = server.command("operators", "token", "t3", "--name", "Tim", "--expires-days", "1")

    def enters() -> bool:
        try:
            Operator(server.url, said["token"], said["guildId"]).join().close()
        except InvalidStatus as refused:
            assert refused.response.status_code == 401
            return False
        return True

    steps = {0: True, -HOUR: True, -30 * DAY: True, DAY + 30: True, DAY + 90: False, DAY - 10: True}
    assert {offset: (clock.set(offset), enters())[1] for offset in steps} == steps


def test_key_expires_by_the_wall_clock_and_its_stream_with_it(faked: Faked) -> None:
    server, clock = faked
    made = server.command("keys", "create", "half", "--scope", "read:events", "--expires-days", "0.5")
    reader = Reader(server, made["secret"])
    try:
        for offset in (-DAY, DAY / 2 - 60, 0):
            clock.set(offset)
            time.sleep(0.6)  # a look at the clock each half second
        assert reader.connects == 1
        clock.set(DAY / 2 + 60)
        server.wait(lambda: reader.refusals, "the stream to be closed and not opened again")
        assert server.get("/audit", key=made["secret"]).status_code == 401
        clock.set(0)
        server.wait(lambda: reader.connects == 2, "the key to open it again")
        clock.set(DAY)
        refusals = reader.refusals
        server.wait(lambda: reader.refusals > refusals, "the stream to be closed again")
    finally:
        reader.close()


def test_limits_are_spans_and_do_not_care_for_the_clock(faked: Faked) -> None:
    server, clock = faked
    key = server.command("keys", "create", "limited", "--scope", "read:status")["secret"]

    session = requests.Session()  # one connection, so that the limit can be reached beside other tests

    def left() -> int:
        before = clock.now()
        answer = server.get("/status", key=key, session=session)
        reset = int(answer.headers["X-RateLimit-Reset"]) * 1000
        assert before - 1000 <= reset <= clock.now() + 4000
        return int(answer.headers["X-RateLimit-Remaining"]) if answer.ok else -1

    begun = time.monotonic()
    first = left()
    for offset in (HOUR, -HOUR, 0):
        clock.set(offset)
        now = left()
        assert now < first or time.monotonic() > begun + 2
        first = now
    clock.set(-DAY)
    server.wait(lambda: any(left() < 0 for _ in range(61)), "the limit to be spent")
    server.wait(lambda: left() == 59, "a new window")
    session.close()


def test_events_are_in_order_and_spans_are_true_whatever_their_times_say(faked: Faked) -> None:
    server, clock = faked
    net = server.net()
    server.post("/assignments", {"userId": "t4", **uid(net)})
    reader = Reader(server, server.key("read:events"))
    operator = server.operator("t4", "Tor")
    began = time.monotonic()
    try:
        for offset in (HOUR, -HOUR, DAY, 0):
            operator.send(type="ptt.start", **uid(net))
            operator.expect("ptt.start")
            clock.set(offset)
            time.sleep(1.1)  # a look at the clock each second: a step must not end a transmission
            assert [one["transmitting"] for one in server.get("/roster").json()["operators"]] == [True]
            operator.send(type="ptt.stop", **uid(net))
            operator.expect("ptt.stop")
            renamed = server.post("/nets/rename", {**uid(net), "name": f"At {offset}"})
            assert abs(parsedate_to_datetime(renamed.headers["Date"]).timestamp() * 1000 - clock.now()) < 5000
        operator.close()
        server.wait(
            lambda: reader.events and reader.events[-1]["type"] == "user.left", "the reader to see all"
        )
    finally:
        reader.close()
    assert [event["type"] for event in reader.events] == [
        "user.joined",
        *(["ptt.start", "ptt.stop", "config.changed"] * 4),
        "user.left",
    ]
    assert reader.numbers == sorted(reader.numbers)
    starts, stops = reader.of("ptt.start"), reader.of("ptt.stop")
    assert all(
        ms(start["at"]) <= ms(stop["at"])
        for start, stop in zip([*starts, reader.events[0]], [*stops, reader.events[-1]], strict=True)
    )
    spans = [event["data"]["durationMs"] for event in stops]
    assert all(1000 <= span <= (time.monotonic() - began) * 1000 for span in spans)
    offsets = [HOUR, -HOUR, DAY, 0]
    told = [ms(event["at"]) / 1000 - time.time() for event in reader.of("config.changed")]
    assert [round((at - offset) / 60) for at, offset in zip(told, offsets, strict=True)] == [0, 0, 0, 0]


def test_kept_answers_are_found_after_a_step(faked: Faked) -> None:
    server, clock = faked
    for number, offset in enumerate((-HOUR, HOUR, 23 * HOUR)):
        clock.set(0)
        first, second = (
            (
                clock.set(step),
                server.post("/nets", {"name": "Once"}, headers={"Idempotency-Key": f"k{number}"}),
            )[1]
            for step in (0, offset)
        )
        assert second.headers["Idempotent-Replayed"] == "true"
        assert first.json() == second.json()


def test_crash_before_the_clock_stepped_back_is_closed_in_order(
    start_shard: Callable[..., Server], tmp_path: Path
) -> None:
    clock = Clock(tmp_path / "clock")
    server = start_shard(env=clock.env)
    clock.set(HOUR)
    operator = server.operator("1", "Ann")
    server.wait(lambda: store.events(server.data_dir), "the log to tell it")
    clock.set(-HOUR)
    server.post("/operation", {"open": True})
    server.kill()
    operator.socket.close()
    server.start()
    joined, opened, left = store.events(server.data_dir)
    assert (left.type, left.data["reason"]) == ("user.left", "restart")
    assert left.at >= joined.at > opened.at


def uid(net: dict[str, Any]) -> dict[str, str]:
    """What names a net in a call."""
    return {"netUid": net["netUid"]}

"""Deliveries of webhooks: in order, held, set aside, parked, given up, and begun anew; each transition is told."""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from outboxes import IMPATIENT, LOOPBACK, QUICK, Desk, delivering, until, users
from receivers import Delivery, Receiver

from shardapi import ShardApp, clock
from shardapi.outbox.aside import Aside
from shardapi.outbox.hold import Hold
from shardapi.outbox.schedule import Schedule
from shardapi.testing import Server

MakeApp = Callable[..., ShardApp]


@pytest.fixture
def desk(make_app: MakeApp) -> Iterator[Desk]:
    """An outbox that delivers."""
    with delivering(make_app(**LOOPBACK)) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    with Receiver() as made:
        yield made


def user_of(delivery: Delivery) -> str:
    """Whose event was delivered, "" for one that is about nobody."""
    return str(delivery.event["data"].get("userId", ""))


def told(desk: Desk, prefix: str = "webhook.") -> list[tuple[str, dict[str, Any]]]:
    """What the log tells of webhooks, without their id and host."""
    found = (one.envelope for one in desk.shard.events.page(0, 2**62, 2**31))
    return [
        (one["type"], {k: v for k, v in one["data"].items() if k not in ("webhookId", "host")})
        for one in found
        if one["type"].startswith(prefix)
    ]


def test_events_arrive_in_their_order_as_the_stream_has_them(desk: Desk, receiver: Receiver) -> None:
    desk.hook(receiver.url, "user.*")
    ids = desk.join(*range(700))
    until(lambda: len(receiver.got) == 700)
    assert [one.id for one in receiver.got] == ids
    kept = desk.shard.events.page(0, desk.shard.events.newest, 2000)
    assert [one.body for one in receiver.got] == [one.line for one in kept if one.type == "user.joined"]
    assert receiver.got[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), ["user.joined", "operation.opened"]),
        (("*",), ["user.joined", "ptt.start", "operation.opened"]),
        (("ptt.*",), ["ptt.start"]),
        (("user.*", "operation.opened"), ["user.joined", "operation.opened"]),
    ],
)
def test_patterns_choose_what_is_delivered(
    desk: Desk, receiver: Receiver, patterns: tuple[str, ...], expected: list[str]
) -> None:
    from shardapi import Event
    from shardapi.events import PttStart

    desk.hook(receiver.url, *patterns)
    desk.join(1)
    said = PttStart(user_id="1", display_name="", net_id=1, net_uid="net_1")
    desk.shard.writer.append([Event("ptt.start", said, "net_1")])
    desk.toggle()
    until(lambda: len(receiver.got) == len(expected))
    assert receiver.types == expected


def test_what_happened_before_a_webhook_was_made_is_not_delivered(desk: Desk, receiver: Receiver) -> None:
    desk.join("before")
    desk.hook(receiver.url)
    desk.join("after")
    until(lambda: receiver.got)
    assert users(receiver) == ["after"]


def test_fifty_webhooks_read_the_log_together(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(50):
        desk.hook(receiver.url, "user.*")
    until(lambda: len(desk.box.senders) == 50)
    pages: list[int] = []
    read = desk.shard.events.page
    monkeypatch.setattr(desk.shard.events, "page", lambda *place: (pages.append(place[0]), read(*place))[1])
    desk.join(*range(20))
    until(lambda: len(receiver.got) == 1000)
    assert len(pages) <= 2


# -- a receiver that does not answer


@pytest.mark.parametrize("answer", [500, 503, 599, 408, 425, 429, 0])
def test_a_receiver_that_cannot_is_waited_for_and_nothing_is_lost(
    desk: Desk, answer: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shardapi.outbox")
    with Receiver() as probe:
        url, port = probe.url, probe.port
        probe.answers = lambda delivery: answer
        id = desk.hook(url + "?token=secret-in-the-query", "user.*")
        if answer:
            desk.join("first")
            until(lambda: len(probe.got) == 3)
    if not answer:
        desk.join("first")
    until(lambda: desk.state(id)["state"] == "held")
    desk.join(*range(10))
    held = until(lambda: (now := desk.state(id))["lastStatus"] == 0 and now)
    assert held["enabled"] and held["failures"] >= 1 and held["nextAttemptAt"] and held["failingSince"]
    assert held["lastError"] == "connection_refused"
    with Receiver(port=port) as receiver:
        until(lambda: len(receiver.got) == 11)
        assert users(receiver) == ["first", *map(str, range(10))]
    until(lambda: desk.state(id)["failures"] == 0)
    assert desk.state(id)["state"] == "delivering"
    said = [record.getMessage() for record in caplog.records]
    assert any("is held" in line for line in said) and any("answers again" in line for line in said)
    assert "secret-in-the-query" not in "".join(said)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that endpoints were set to wait: what a busy machine adds is not in them."""
    noted, wait = list[float](), Hold.wait

    def noting(self: Hold, seconds: float) -> None:
        noted.append(seconds)
        wait(self, seconds)

    monkeypatch.setattr(Hold, "wait", noting)
    return noted


def test_tries_follow_the_schedule_and_a_hold_of_minutes_is_told_once(desk: Desk, waits: list[float]) -> None:
    desk.box.schedule = QUICK
    with Receiver(lambda delivery: 500) as receiver:
        desk.hook(receiver.url, "user.*")
        desk.join(1)
        until(lambda: len(receiver.got) == 6)
        gaps = [b.at - a.at for a, b in itertools.pairwise(receiver.got)]
        for gap, waited, wait in zip(gaps, waits, QUICK.waits, strict=False):
            assert wait * 0.8 <= waited <= wait * 1.2
            assert waited <= gap
        assert len({one.id for one in receiver.got}) == 1
        assert [what for what, _ in told(desk)] == ["webhook.held"]
        receiver.answers = lambda delivery: 204
        until(lambda: len(told(desk)) == 2)
    assert told(desk) == [("webhook.held", {"failures": 5}), ("webhook.released", {})]


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("0.3", 0.3), ("0", 0.01), ("-5", 0.02), ("soon", 0.02), ("nan", 0.02)]
)
def test_retry_after_is_honoured(desk: Desk, waits: list[float], retry_after: str, seconds: float) -> None:
    desk.box.schedule = QUICK
    answers = iter([(429, {"Retry-After": retry_after}, b"")])
    with Receiver(lambda delivery: next(answers, 204)) as receiver:
        desk.hook(receiver.url, "user.*")
        desk.join(1)
        until(lambda: len(receiver.got) == 2)
        gap = receiver.got[1].at - receiver.got[0].at
    (waited,) = waits
    assert seconds * 0.8 <= waited <= seconds * 1.2
    assert waited <= gap


def test_a_receiver_that_takes_events_is_not_waited_for_whatever_it_says_of_limits(desk: Desk) -> None:
    full = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "3000"}
    with Receiver(lambda delivery: (204, full, b"")) as receiver:
        id = desk.hook(receiver.url, "user.*")
        for user in range(3):
            desk.join(user)
            until(lambda: len(receiver.got) == user + 1)  # noqa: B023
        assert desk.state(id)["nextAttemptAt"] == ""


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("7200", 3600.0), ("inf", 3600.0), ("0", 1.0), ("90", 90.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 1.0)],
)
def test_retry_after_has_bounds(asked: str, seconds: float) -> None:
    assert Schedule().asked(asked) == seconds


def test_the_schedule_is_that_of_the_contract() -> None:
    schedule = Schedule()
    for failed, wait in enumerate((5, 30, 120, 300, 600, 600, 600), 1):
        waits = {schedule.wait(failed) for _ in range(200)}
        assert wait * 0.8 <= min(waits) < wait < max(waits) <= wait * 1.2
    assert sum(schedule.waits[:4]) == 455  # five tries over about eight minutes


# -- refusals of one event


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 422])
def test_an_event_that_is_refused_is_parked_after_five_tries_and_the_queue_goes_on(
    desk: Desk, status: int
) -> None:
    def answers(delivery: Delivery) -> Any:
        return (status, {"Location": "http://127.0.0.1:1/"}, b"") if user_of(delivery) == "2" else 204

    with Receiver(answers) as receiver:
        id = desk.hook(receiver.url, "user.*")
        ids = desk.join(1, 2, 3)
        until(lambda: users(receiver)[-1:] == ["3"])
        assert users(receiver) == ["1", *["2"] * 5, "3"]
        until(lambda: desk.state(id)["parked"] == 1)
        (parked,) = desk.deliveries(id)["parked"]
        assert (parked["id"], parked["tries"], parked["status"]) == (ids[1], 5, status)
        assert told(desk) == [("webhook.parked", {"eventId": ids[1]})]
        outcomes = [one["outcome"] for one in desk.deliveries(id)["deliveries"]]
        assert outcomes == ["delivered", *["refused"] * 5, "delivered"]

        receiver.answers = lambda delivery: 204
        assert desk.call("POST", f"/webhooks/{id}/replay")["parked"] == 1
        until(lambda: users(receiver)[-1] == "2" and desk.state(id)["parked"] == 0)
        assert receiver.got[-1].id == ids[1]
        assert receiver.got[-1].body == receiver.got[1].body


def test_an_event_that_breaks_the_receiver_is_parked_once_the_next_one_is_taken(desk: Desk) -> None:
    with Receiver(lambda delivery: 500 if user_of(delivery) == "poison" else 204) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join("poison", 1, 2)
        until(lambda: desk.state(id)["parked"] == 1)
        until(lambda: users(receiver)[-1] == "2")
        assert users(receiver) == [*["poison"] * 5, "1", "2"]
        assert desk.deliveries(id)["parked"][0]["status"] == 500
    assert desk.state(id)["enabled"]


def test_the_next_event_is_not_tried_before_the_receiver_wants_it(desk: Desk) -> None:
    broken = (503, {"Retry-After": "0.4"}, b"")
    with Receiver(lambda delivery: broken if user_of(delivery) == "poison" else 204) as receiver:
        desk.hook(receiver.url, "user.*")
        desk.join("poison", 1)
        until(lambda: users(receiver)[-1:] == ["1"])
        assert users(receiver) == [*["poison"] * 5, "1"]
        assert min(b.at - a.at for a, b in itertools.pairwise(receiver.got)) >= 0.39


def test_a_receiver_that_is_broken_is_not_taken_for_an_event_that_breaks_it(desk: Desk) -> None:
    with Receiver(lambda delivery: 500) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(1, 2, 3)
        until(lambda: len(receiver.got) == 14)
        assert set(users(receiver)) == {"1", "2"}
        assert users(receiver)[:13] == [*["1"] * 5, "2", *["1"] * 5, "2", "1"]
        receiver.answers = lambda delivery: 204
        until(lambda: desk.state(id)["state"] == "delivering")
        until(lambda: {"1", "2", "3"} <= set(users(receiver)[-4:]))
        gevent.sleep(0.05)
    desk.settle()
    taken = [one for one in desk.deliveries(id)["deliveries"] if one["outcome"] == "delivered"]
    assert len(taken) + desk.state(id)["parked"] == 3


# -- without order


def test_without_order_eight_are_in_flight_and_one_that_waits_holds_up_nobody(desk: Desk) -> None:
    import threading

    gate, flying = threading.Event(), []

    def answers(delivery: Delivery) -> int:
        if int(user_of(delivery)) < 8:
            flying.append(user_of(delivery))
            gate.wait(10)
        return 204

    with Receiver(answers) as receiver:
        desk.hook(receiver.url, "user.*", ordered=False)
        desk.join(*range(100))
        until(lambda: len(flying) == 8)
        gevent.sleep(0.1)
        assert len(flying) == 8 and receiver.got == []
        gate.set()
        until(lambda: len(receiver.got) == 100)
        assert sorted(map(int, users(receiver))) == list(range(100))


def test_without_order_a_refused_event_is_tried_again_beside_the_others(desk: Desk) -> None:
    desk.box.schedule = QUICK
    with Receiver(lambda delivery: 400 if user_of(delivery) == "bad" else 204) as receiver:
        id = desk.hook(receiver.url, "user.*", ordered=False)
        desk.join("bad", *range(50))
        until(lambda: len(set(users(receiver))) == 51 and len(receiver.got) >= 51)
        assert users(receiver).count("bad") < 5
        until(lambda: desk.state(id)["parked"] == 1)
        assert users(receiver).count("bad") == 5
        assert len(receiver.got) == 55


def test_without_order_a_dead_receiver_gets_one_try_at_a_time(desk: Desk) -> None:
    desk.box.schedule = QUICK
    with Receiver(lambda delivery: 503) as receiver:
        id = desk.hook(receiver.url, "user.*", ordered=False)
        desk.join(*range(30))
        until(lambda: desk.state(id)["failures"] >= 10)
        assert len(receiver.got) <= 11
        receiver.answers = lambda delivery: 204
        until(lambda: len(set(users(receiver))) == 30 and desk.state(id)["state"] == "delivering")


def test_what_is_kept_aside_may_be_taken_while_it_is_read(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(make_app(**LOOPBACK))
    id = desk.hook("http://127.0.0.1:9/", ordered=False)
    desk.join(1, 2)
    first, second = desk.shard.events.page(0, 2**62)[-2:]
    for event in (first, second):
        desk.box.persist(lambda event=event: desk.box.table.park(id, event, 1, 400, "refused", 1))
    aside, read = Aside(desk.box, id), desk.shard.store.read
    one, other = aside.due()
    one.out = other.out = True

    def taken_meanwhile(work: Callable[[], Any]) -> Any:
        found = read(work)
        monkeypatch.setattr(desk.shard.store, "read", read)
        aside.taken(one)
        return found

    monkeypatch.setattr(desk.shard.store, "read", taken_meanwhile)
    aside.look()
    assert aside.due() == []
    desk.box.persist(lambda: desk.box.table.unpark(id, other.number))  # of which it hears after it has read
    aside.look()
    assert aside.due() == []
    aside.taken(other)
    other.out = False
    assert aside.due() == [] and not aside.until()


def test_what_a_webhook_that_was_deleted_has_not_taken_is_not_kept(make_app: MakeApp) -> None:
    desk = Desk(make_app(**LOOPBACK))
    id = desk.hook("http://127.0.0.1:9/")
    desk.join(1)
    event = desk.shard.events.page(0, 2**62)[-1]
    desk.call("DELETE", f"/webhooks/{id}")
    desk.box.persist(lambda: desk.box.table.park(id, event, 5, 400, "refused", 0))
    assert desk.shard.store.read(lambda: desk.box.table.parked(id, 10)) == []


# -- giving up


def test_gone_disables_at_once_and_enabling_goes_on_where_it_was(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(lambda delivery: 410 if user_of(delivery) == "2" else 204) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(1, 2, 3)
        state = until(lambda: (now := desk.state(id))["state"] == "disabled" and now)
        assert (state["enabled"], state["disabledReason"], state["lastStatus"]) == (False, "gone", 410)
        assert told(desk) == [("webhook.disabled", {"failures": 1})]
        until(lambda: any("is disabled" in record.getMessage() for record in caplog.records))
        desk.join(4)
        gevent.sleep(0.05)
        assert users(receiver) == ["1", "2"]

        receiver.answers = lambda delivery: 204
        assert desk.call("POST", f"/webhooks/{id}/enable")["changed"] is True
        until(lambda: len(receiver.got) == 5)
        assert users(receiver) == ["1", "2", "2", "3", "4"]
        assert desk.call("POST", f"/webhooks/{id}/enable")["changed"] is False
    assert [what for what, _ in told(desk)] == ["webhook.disabled", "webhook.enabled"]


def test_five_days_of_failure_disable_whatever_the_clock_did_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, skew, now = 86_400_000, 0, clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + skew)
    desk.box.schedule = Schedule(waits=(0.01,) * 5)
    with Receiver(lambda delivery: 503) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(1)
        until(lambda: desk.state(id)["failures"] >= 6)
        since = desk.state(id)["failingSince"]
        skew = 4 * day
        seen = len(receiver.got)
        until(lambda: len(receiver.got) >= seen + 3)
        assert desk.state(id)["failingSince"] == since
        skew = -30 * day  # it begins to count anew, where the clock says it is
        until(lambda: desk.state(id)["failingSince"] < since)
        skew = -26 * day
        seen = len(receiver.got)
        until(lambda: len(receiver.got) >= seen + 3)
        assert desk.state(id)["enabled"]
        skew = -24 * day
        state = until(lambda: (found := desk.state(id))["state"] == "disabled" and found)
        assert state["disabledReason"] == "failing"
        seen = len(receiver.got)
        gevent.sleep(0.1)
        assert len(receiver.got) == seen
    assert [what for what, _ in told(desk, "webhook.disabled")] == ["webhook.disabled"]


@pytest.mark.parametrize("before", [1, 4])
def test_one_failure_after_a_step_of_the_clock_is_no_five_days(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    desk.box.schedule, skew, now = Schedule(waits=(0.05,) * 5), 0, clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + skew)
    with Receiver(lambda delivery: 503 if len(receiver.got) <= before else 204) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(1)
        until(lambda: len(receiver.got) == before)
        skew = 30 * 86_400_000
        until(lambda: len(receiver.got) == before + 2 and desk.state(id)["failures"] == 0)
        assert desk.state(id)["enabled"]


def test_days_without_an_event_are_no_days_of_failure(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now, skew = clock.now, 0
    monkeypatch.setattr(clock, "now", lambda: now() + skew)
    desk.box.schedule = Schedule(waits=(0.01,) * 5)
    with Receiver(lambda delivery: 400) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(1)
        until(lambda: desk.state(id)["parked"] == 1)
        state = until(lambda: not (found := desk.state(id))["failingSince"] and found)
        assert (state["enabled"], state["failures"], state["lastStatus"]) == (True, 5, 400)
        receiver.answers = lambda delivery: 503
        skew = 6 * 86_400_000
        desk.join(2)
        until(lambda: desk.state(id)["failures"] >= 15)
        assert desk.state(id)["state"] == "held"
        skew += 6 * 86_400_000
        until(lambda: desk.state(id)["disabledReason"] == "failing")


def test_failures_of_a_clock_that_was_not_set_yet_do_not_count(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.box.schedule, now, skew = Schedule(waits=(0.01,) * 5), clock.now, 0
    monkeypatch.setattr(clock, "now", lambda: now() + skew)
    with Receiver(lambda delivery: 503) as receiver:
        id = desk.hook(receiver.url, "user.*")
        skew = -now() + 60_000  # a minute after the beginning of time, as on a machine without a battery
        desk.join(1)
        until(lambda: len(receiver.got) >= 5)
        skew = 0
        seen = len(receiver.got)
        until(lambda: len(receiver.got) >= seen + 5)
        assert desk.state(id)["enabled"]


def test_a_server_logs_each_turn_for_the_better_too(start_shard: Callable[..., Server]) -> None:
    answers: Iterator[Any] = iter([(503, {"Retry-After": "0"}, b""), 204, 410])
    with Receiver(lambda delivery: next(answers, 204)) as receiver:
        server = start_shard(env={f"SHARDAPI_{name}": value for name, value in LOOPBACK.items()})
        body = {"url": receiver.url, "events": ["operation.*"]}
        id = server.post("/webhooks", body).json()["webhook"]["id"]
        for open_, said in ((True, "answers again"), (False, "is disabled")):
            server.post("/operation", {"open": open_})
            server.wait(lambda: any(id in line and said in line for line in server.log), said)  # noqa: B023
        server.post(f"/webhooks/{id}/enable")
        told = f"webhook {id} (127.0.0.1) is enabled"
        server.wait(lambda: any(f"INFO     {told}" in line for line in server.log), told)


# -- gaps and replays


def test_what_the_log_no_longer_holds_is_told(desk: Desk) -> None:
    with Receiver(lambda delivery: 410 if user_of(delivery) == "0" else 204) as receiver:
        id = desk.hook(receiver.url)
        desk.join(0)
        until(lambda: desk.state(id)["state"] == "disabled")
        desk.join(*range(1, 200))
        desk.shard.writer.write(desk.shard.events.prune(24, 20))
        receiver.answers, oldest = lambda delivery: 204, desk.shard.events.id_of(desk.shard.events.oldest)
        desk.call("POST", f"/webhooks/{id}/enable")
        until(lambda: "webhook.gap" in receiver.types)
        assert users(receiver)[:1] == ["0"]
        assert users(receiver)[1:] == [str(user) for user in range(180, 200)][-len(users(receiver)) + 1 :]
        assert told(desk, "webhook.gap") == [("webhook.gap", {"oldest": oldest})]
        assert desk.state(id)["lastGapAt"]


def test_events_that_could_not_be_kept_at_all_are_told(desk: Desk, receiver: Receiver) -> None:
    desk.hook(receiver.url)
    desk.join(1)
    until(lambda: users(receiver) == ["1"])
    desk.shard.writer.dropped = 3
    desk.join(2)
    until(lambda: "webhook.gap" in receiver.types)
    assert len(told(desk)) == 1


def test_an_enabled_webhook_keeps_the_log_from_forgetting(desk: Desk) -> None:
    with Receiver(lambda delivery: 503) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(*range(300))
        until(lambda: desk.state(id)["state"] == "held")
        desk.shard.writer.write(desk.shard.events.prune(24, 20))
        receiver.answers = lambda delivery: 204
        until(lambda: users(receiver)[-1] == "299")
        assert list(dict.fromkeys(users(receiver))) == [str(user) for user in range(300)]
    desk.box.flush()
    desk.shard.writer.write(desk.shard.events.prune(24, 20))
    assert desk.shard.events.span <= 21


def test_a_webhook_that_wants_nothing_of_it_holds_nothing(desk: Desk, receiver: Receiver) -> None:
    id = desk.hook(receiver.url, "acars.*")
    desk.join(*range(300))
    until(lambda: id in desk.box.senders and not desk.box.senders[id].behind)
    desk.box.flush(everything=True)
    desk.shard.writer.write(desk.shard.events.prune(24, 20))
    assert desk.shard.events.span <= 20
    assert not told(desk, "webhook.gap") and not receiver.got


def test_replay_sends_again_what_came_after_an_event_or_a_time(desk: Desk, receiver: Receiver) -> None:
    id = desk.hook(receiver.url, "user.*")
    ids = desk.join(1, 2, 3)
    until(lambda: len(receiver.got) == 3)
    assert desk.call("POST", f"/webhooks/{id}/replay", {"since": ids[0]})["since"] == ids[0]
    until(lambda: len(receiver.got) == 5)
    assert [one.id for one in receiver.got] == [*ids, *ids[1:]]
    at = receiver.got[0].event["at"]
    desk.call("POST", f"/webhooks/{id}/replay", {"since": at})
    until(lambda: len(receiver.got) == 8)
    assert users(receiver)[5:] == ["1", "2", "3"]


def test_a_replay_never_leaves_out_what_has_not_been_delivered(desk: Desk) -> None:
    with Receiver(lambda delivery: 503) as receiver:
        id = desk.hook(receiver.url, "user.*")
        ids = desk.join(1, 2, 3)
        until(lambda: desk.state(id)["state"] == "held")
        desk.call("POST", f"/webhooks/{id}/replay", {"since": ids[2]})
        receiver.answers = lambda delivery: 204
        until(lambda: users(receiver)[-1] == "3")
        assert list(dict.fromkeys(users(receiver))) == ["1", "2", "3"]


def test_a_replay_brings_back_what_was_parked_though_the_log_has_forgotten_it(desk: Desk) -> None:
    with Receiver(lambda delivery: 400 if user_of(delivery) == "1" else 204) as receiver:
        id = desk.hook(receiver.url, "user.*")
        ids = desk.join(0, 1, 2)
        until(lambda: desk.state(id)["parked"] == 1 and users(receiver)[-1] == "2")
        body = receiver.got[1].body
        desk.join(*range(100, 150))
        until(lambda: users(receiver)[-1] == "149")
        desk.box.flush()
        desk.shard.writer.write(desk.shard.events.prune(24, 10))
        receiver.answers = lambda delivery: 204
        answer = desk.call("POST", f"/webhooks/{id}/replay", {"since": ids[0]})
        assert answer["parked"] == 1
        seen = len(receiver.got)
        until(lambda: receiver.got[seen:] and users(receiver)[-1] == "149")
        assert receiver.got[seen].body == body
        assert desk.state(id)["parked"] == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_tried_again_is_listed_and_counted_until_it_is_taken_or_parked(
    desk: Desk, ordered: bool
) -> None:
    with Receiver(lambda delivery: 400) as receiver:
        id = desk.hook(receiver.url, "user.*", ordered=ordered)
        ids = desk.join(1, 2, 3)
        until(lambda: desk.state(id)["parked"] == 3)
        assert desk.state(id)["retrying"] == 0
        desk.box.schedule = Schedule(waits=(600.0,))
        desk.call("POST", f"/webhooks/{id}/replay")
        until(lambda: [one["tries"] for one in desk.deliveries(id)["retrying"]] == [1] * 3)
        listed = desk.deliveries(id)
        assert (listed["parked"], listed["webhook"]["parked"], listed["webhook"]["retrying"]) == ([], 0, 3)
        assert [one["id"] for one in listed["retrying"]] == ids
        assert {one["status"] for one in listed["retrying"]} == {400}
        assert all(clock.ms(one["nextAttemptAt"]) > clock.now() for one in listed["retrying"])
        assert desk.state(id)["retrying"] == 3
        figures = desk.client.get("/api/v1/metrics/prometheus").text
        assert f'shardapi_webhooks_retrying_events{{id="{id}"}} 3.0' in figures


def test_an_event_that_waits_for_no_order_is_listed_from_its_first_refusal(desk: Desk) -> None:
    desk.box.schedule = Schedule(waits=(600.0,))
    with Receiver(lambda delivery: 400) as receiver:
        id = desk.hook(receiver.url, "user.*", ordered=False)
        (first,) = desk.join(1)
        (aside,) = until(lambda: desk.deliveries(id)["retrying"])
        assert (aside["id"], aside["tries"], aside["type"]) == (first, 1, "user.joined")
        receiver.answers = lambda delivery: 204
        desk.box.schedule = IMPATIENT  # of which no wait is as long as that one
        desk.box.senders[id].look_aside()
        until(lambda: desk.state(id)["retrying"] == 0 and len(receiver.got) == 2)
        assert desk.deliveries(id)["retrying"] == desk.deliveries(id)["parked"] == []


# -- secrets, tests


def test_a_rotated_secret_and_the_one_before_sign_for_a_day(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from standardwebhooks import Webhook, WebhookVerificationError

    made = desk.call("POST", "/webhooks", {"url": receiver.url, "events": ["user.*"]})
    id, first = made["webhook"]["id"], made["secret"]
    second = desk.call("POST", f"/webhooks/{id}/rotate")["secret"]
    rotated = desk.call("POST", f"/webhooks/{id}/rotate", {"secret": "plain words sign too"})
    third, until_then = rotated["secret"], rotated["previousUntil"]
    assert (third, rotated["changed"]) == ("plain words sign too", True)
    again = desk.call("POST", f"/webhooks/{id}/rotate", {"secret": third})
    assert (again["changed"], again["previousUntil"]) == (False, until_then)
    last = desk.shard.store.read(desk.box.table.all)[0].secret
    until(lambda: id in desk.box.senders and desk.box.senders[id].row.secret == last)
    desk.join(1)
    until(lambda: len(receiver.got) == 1)
    (one,) = receiver.got
    for secret in (first, second):
        Webhook(secret).verify(one.body, one.headers)
    Webhook(third.encode()).verify(one.body, one.headers)
    later = clock.now() + 24 * 3_600_000 + 1000
    monkeypatch.setattr(clock, "now", lambda: later)
    desk.join(2)
    until(lambda: len(receiver.got) == 2)
    assert len(receiver.got[1].headers["webhook-signature"].split()) == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(receiver.got[1].body, receiver.got[1].headers)


def test_a_test_is_delivered_to_a_disabled_webhook_too_and_tells_what_came_of_it(desk: Desk) -> None:
    with Receiver(lambda delivery: 410) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(1)
        until(lambda: desk.state(id)["state"] == "disabled")
        tested = desk.call("POST", f"/webhooks/{id}/test")
        assert (tested["delivered"], tested["status"], tested["error"]) == (False, 410, "refused")
        receiver.answers = lambda delivery: (200, {}, b"what the receiver says is nobody's business")
        tested = desk.call("POST", f"/webhooks/{id}/test")
        assert (tested["delivered"], tested["status"], tested["error"]) == (True, 200, "")
        event = receiver.got[-1].event
        assert (event["type"], event["data"]) == ("webhook.test", {"webhookId": id})
        assert event["id"] == receiver.got[-1].id != receiver.got[-2].id
        newest = desk.deliveries(id)["deliveries"][0]
        assert (newest["type"], newest["outcome"]) == ("webhook.test", "delivered")
        assert "nobody" not in str(desk.deliveries(id))


def test_a_successful_test_wakes_a_webhook_that_is_held(desk: Desk) -> None:
    desk.box.schedule = Schedule()
    with Receiver(lambda delivery: 503) as receiver:
        id = desk.hook(receiver.url, "user.*")
        desk.join(1)
        until(lambda: desk.state(id)["state"] == "held")
        receiver.answers = lambda delivery: 204
        desk.call("POST", f"/webhooks/{id}/test")
        until(lambda: users(receiver)[-1:] == ["1"] and desk.state(id)["state"] == "delivering")


# -- going on


@pytest.mark.parametrize("ordered", [True, False])
def test_deliveries_go_on_where_they_were_without_the_last_second_of_the_store(
    make_app: MakeApp, ordered: bool
) -> None:
    app = make_app(**LOOPBACK)
    with Receiver() as receiver:
        with delivering(app) as desk:
            desk.box.flush = lambda: None  # type: ignore[method-assign]
            desk.hook(receiver.url, "user.*", ordered=ordered)
            desk.join(*range(40))
            until(lambda: len(receiver.got) == 40)
            desk.settle()
        with delivering(make_app(**LOOPBACK)) as desk:
            desk.join("next")
            until(lambda: "next" in users(receiver))
    assert len(receiver.got) == 41


def test_a_hold_goes_on_after_a_restart(make_app: MakeApp) -> None:
    with Receiver(lambda delivery: 503) as receiver:
        with delivering(make_app(**LOOPBACK)) as desk:
            desk.box.schedule = Schedule(waits=(600.0,))  # longer than the restart takes
            id = desk.hook(receiver.url, "user.*")
            desk.join(1)
            before = until(lambda: (now := desk.state(id))["state"] == "held" and now)
            desk.box.flush()
        with delivering(make_app(**LOOPBACK)) as desk:
            until(lambda: id in desk.box.senders)
            after = desk.state(id)
            gevent.sleep(0.1)
    assert len(receiver.got) == 1
    for member in ("state", "failures", "failingSince", "nextAttemptAt", "lastStatus"):
        assert after[member] == before[member]


def test_a_secret_nobody_can_read_any_more_disables_and_rotation_mends_it(
    make_app: MakeApp, receiver: Receiver
) -> None:
    with delivering(make_app(**LOOPBACK, SIGNING_SECRET="a" * 64)) as desk:
        id = desk.hook(receiver.url, "user.*")
    with delivering(make_app(**LOOPBACK, SIGNING_SECRET=f"{'b' * 64} {'a' * 64}")) as desk:
        desk.join(1)
        until(lambda: users(receiver) == ["1"])
        desk.settle()
    with delivering(make_app(**LOOPBACK, SIGNING_SECRET="c" * 64)) as desk:
        until(lambda: desk.state(id)["disabledReason"] == "secret_unreadable")
        answer = desk.client.post(f"/api/v1/webhooks/{id}/test")
        assert (answer.status_code, answer.json["code"]) == (409, "conflict")
        desk.call("POST", f"/webhooks/{id}/rotate")
        desk.call("POST", f"/webhooks/{id}/enable")
        desk.join(2)
        until(lambda: users(receiver) == ["1", "2"])


def test_once_a_shard_has_run_with_a_new_signing_secret_the_old_one_can_be_let_go(
    make_app: MakeApp, receiver: Receiver
) -> None:
    old, new = "a" * 64, "b" * 64
    with delivering(make_app(**LOOPBACK, SIGNING_SECRET=old)) as desk:
        id = desk.hook(receiver.url, "user.*")
    for turn, secrets in enumerate((f"{new} {old}", new)):
        with delivering(make_app(**LOOPBACK, SIGNING_SECRET=secrets)) as desk:
            desk.join(turn)
            until(lambda: len(receiver.got) == turn + 1)  # noqa: B023
            assert desk.state(id)["enabled"]
            desk.settle()

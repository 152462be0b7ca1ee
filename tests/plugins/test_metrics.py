"""GET /metrics: talk time, who was connected and how full the nets were, of this process, in bounded memory."""

from itertools import pairwise
from typing import Any

import gevent
import pytest
from apps import API, Listener, client_of, join, problem, said
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shardapi_metrics.observer
import shardapi_metrics.occupancy
import shardapi_metrics.talk
from shardapi import Event, ShardApp, clock
from shardapi.clock import iso
from shardapi.events import PttStop
from shardapi.guild import GLOBAL_UID, PUBLIC_UID
from shardapi.testing import Server
from shardapi_metrics import EXTENSION
from shardapi_metrics.talk import DAY_MS, MINUTE_MS, Spell, TalkTime, summed

METRICS = f"{API}/metrics"


@pytest.fixture
def nets(client: FlaskClient) -> list[dict[str, Any]]:
    """Two nets, and the operation open."""
    said(client.post(f"{API}/operation", json={"open": True}))
    return [said(client.post(f"{API}/nets", json={"name": name})) for name in ("Strike", "Air")]


@pytest.fixture
def ann(client: FlaskClient, app: ShardApp, nets: list[dict[str, Any]]) -> Listener:
    """Ann, connected and on both nets."""
    for net in nets:
        said(client.post(f"{API}/assignments", json={"userId": "1", "netUid": net["netUid"]}))
    return join(app, "1")


def settle(app: ShardApp) -> None:
    """Wait until what has happened is in the log."""
    app.shard.writer.write(lambda: None)


def talked(app: ShardApp, user: str, net: dict[str, Any], ms: int, ago: int = 0, name: str = "Ann") -> None:
    """Log a transmission that ended so many milliseconds ago."""
    stop = PttStop(
        user_id=user,
        display_name=name,
        net_id=net["netId"],
        net_uid=net["netUid"],
        reason="released",
        duration_ms=ms,
    )
    app.shard.writer.append([Event("ptt.stop", stop, net["netUid"], clock.now() - ago)])


def metrics(client: FlaskClient, **query: Any) -> dict[str, Any]:
    return said(client.get(METRICS, query_string=query))


def test_a_new_shard_has_seen_nothing(app: ShardApp, client: FlaskClient) -> None:
    answer = metrics(client)
    assert answer == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "startedAt": iso(app.shard.started_at),
        "uptimeSeconds": answer["uptimeSeconds"],
        "connected": {"current": 0, "peak": 0},
        "talkTime": {"totalMs": 0, "byUser": [], "byNet": []},
        "occupancy": {"intervalSeconds": 15, "samples": []},
    }
    assert answer["uptimeSeconds"] in range(60)


def test_the_scope_is_read_metrics(app: ShardApp) -> None:
    for path in (METRICS, f"{METRICS}/prometheus"):
        problem(client_of(app, "read:status").get(path), "missing_scope")
        assert client_of(app, "read:metrics").get(path).status_code == 200
        problem(app.test_client().get(path), "unauthorized")


@pytest.mark.parametrize("value", ["0", "1441", "-1", "1.5", "", "an hour", "60m", "١", "null", "9" * 400])
def test_a_window_out_of_bounds_is_refused(client: FlaskClient, value: str) -> None:
    refused = problem(client.get(METRICS, query_string={"sinceMinutes": value}), "invalid_value")
    assert "sinceMinutes" in refused["errors"][0]["path"]


@pytest.mark.parametrize(
    "query", ["sinceMinutes=1", "sinceMinutes=1440", "sinceMinutes=0&sinceMinutes=5", "since=0"]
)
def test_a_window_within_bounds_is_taken(client: FlaskClient, query: str) -> None:
    said(client.get(f"{METRICS}?{query}"))


# -- talk time


def test_talk_time_is_told_by_user_and_by_net(
    app: ShardApp, client: FlaskClient, nets: list[dict[str, Any]], ann: Listener
) -> None:
    app.shard.started_at -= 10 * MINUTE_MS
    talked(app, "2", nets[1], 4000, name="Bob")
    talked(app, "1", nets[0], 1000)
    talked(app, "1", nets[1], 2000)
    assert metrics(client)["talkTime"] == {
        "totalMs": 7000,
        "byUser": [
            {"userId": "2", "displayName": "Bob", "ms": 4000, "transmissions": 1},
            {"userId": "1", "displayName": "Ann", "ms": 3000, "transmissions": 2},
        ],
        "byNet": [
            {"netId": 2, "netUid": nets[1]["netUid"], "name": "Air", "ms": 6000, "transmissions": 2},
            {"netId": 1, "netUid": nets[0]["netUid"], "name": "Strike", "ms": 1000, "transmissions": 1},
        ],
    }


def test_a_transmission_counts_while_it_runs_and_once_when_it_has_ended(
    app: ShardApp, client: FlaskClient, ann: Listener
) -> None:
    app.shard.presence.key_up(ann, net_id=1)
    gevent.sleep(0.02)
    running = metrics(client)["talkTime"]["byUser"]
    assert running[0]["ms"] >= 20 and running[0]["transmissions"] == 1
    app.shard.presence.key_down(ann, net_id=1)
    settle(app)
    ended = metrics(client)["talkTime"]["byUser"]
    assert ended[0]["ms"] >= running[0]["ms"] - 1 and ended[0]["transmissions"] == 1


def test_only_the_window_counts(app: ShardApp, client: FlaskClient, nets: list[dict[str, Any]]) -> None:
    app.shard.started_at -= 100 * MINUTE_MS
    talked(app, "1", nets[0], 1000, ago=50 * MINUTE_MS)
    talked(app, "1", nets[0], 2 * MINUTE_MS, ago=4 * MINUTE_MS)  # reaches into the last five minutes by one
    talked(app, "1", nets[0], 500)
    found = {since: metrics(client, sinceMinutes=since)["talkTime"]["byNet"][0] for since in (1, 5, 60)}
    assert (found[1]["ms"], found[1]["transmissions"]) == (500, 1)
    assert found[5]["ms"] == pytest.approx(MINUTE_MS + 500, abs=5000) and found[5]["transmissions"] == 2
    assert (found[60]["ms"], found[60]["transmissions"]) == (2 * MINUTE_MS + 1500, 3)


def test_what_was_before_this_process_does_not_count(
    app: ShardApp, client: FlaskClient, nets: list[dict[str, Any]]
) -> None:
    talked(app, "1", nets[0], 1000, ago=5 * MINUTE_MS)  # as when the end of a crashed run is written
    assert metrics(client)["talkTime"]["totalMs"] == 0


def test_a_clock_that_is_set_back_makes_nothing_negative(
    app: ShardApp, client: FlaskClient, ann: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.shard.presence.key_up(ann, net_id=1)
    app.shard.presence.key_down(ann, net_id=1)
    app.shard.presence.key_up(ann, net_id=1)
    settle(app)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now - 3_600_000)
    answer = metrics(client)
    assert answer["uptimeSeconds"] >= 0
    assert all(one["ms"] >= 0 for one in answer["talkTime"]["byUser"])


def test_the_last_name_of_a_user_is_shown(
    app: ShardApp, client: FlaskClient, nets: list[dict[str, Any]]
) -> None:
    app.shard.started_at -= MINUTE_MS
    talked(app, "1", nets[0], 10)
    ann = join(app, "1", name="Anna")
    assert metrics(client)["talkTime"]["byUser"][0]["displayName"] == "Anna"
    app.shard.presence.leave(ann, "closed")
    settle(app)
    assert metrics(client)["talkTime"]["byUser"][0]["displayName"] == "Anna"


def test_a_net_keeps_its_last_name_and_has_no_slot_when_it_is_gone(
    app: ShardApp, client: FlaskClient, nets: list[dict[str, Any]]
) -> None:
    app.shard.started_at -= MINUTE_MS
    uid = nets[0]["netUid"]
    talked(app, "1", nets[0], 10)
    said(client.post(f"{API}/nets/rename", json={"netUid": uid, "name": "Hammer"}))
    assert metrics(client)["talkTime"]["byNet"][0]["name"] == "Hammer"
    said(client.delete(f"{API}/nets/{uid}"))
    assert metrics(client)["talkTime"]["byNet"] == [
        {"netId": 0, "netUid": uid, "name": "Hammer", "ms": 10, "transmissions": 1}
    ]


@pytest.mark.parametrize(
    ("uid", "slot", "name"), [(PUBLIC_UID, 250, "Public Net"), (GLOBAL_UID, 255, "Global")]
)
def test_the_protected_nets_are_named(
    app: ShardApp, client: FlaskClient, uid: str, slot: int, name: str
) -> None:
    app.shard.started_at -= MINUTE_MS
    talked(app, "1", {"netId": slot, "netUid": uid}, 10)
    found = metrics(client)["talkTime"]["byNet"][0]
    assert (found["netId"], found["netUid"], found["name"]) == (slot, uid, name)


spells = st.lists(
    st.tuples(st.integers(0, 880_000), st.integers(0, 60_000), st.sampled_from("AB"), st.sampled_from("xy")),
    max_size=90,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for ten transmissions and twenty sums."""
    monkeypatch.setattr(shardapi_metrics.talk, "EXACT", 10)
    monkeypatch.setattr(shardapi_metrics.talk, "MOST", 20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=spells)
def test_nothing_is_lost_when_sums_are_put_together(
    small: None, said: list[tuple[int, int, str, str]]
) -> None:
    talk, began = TalkTime(), 1_000_000_000
    expected: dict[str, list[int]] = {}
    ended = began
    for pause, ms, user, net in said:
        ended += pause + ms
        talk.add(Spell(ended - ms, ended, user, net, ms))
        sums = expected.setdefault(user, [0, 0])
        sums[0], sums[1] = sums[0] + ms, sums[1] + 1
        assert len(talk.recent) <= 10 and talk.sums <= 20
        assert talk.sums == sum(len(cell.said) for cell in talk.cells)
        assert all(one.ended <= other.began for one, other in pairwise(talk.cells))
    found = summed(talk.within(began - DAY_MS, ended), "user")
    assert {user: list(sums) for user, sums in found.items()} == expected
    assert list(found) == sorted(found, key=lambda user: (-found[user][0], user))


def test_a_day_of_more_pairs_than_there_is_room_for_is_summed_in_longer_spans(small: None) -> None:
    talk = TalkTime()
    for number in range(240):  # each of four pairs, every six minutes of a day
        at = DAY_MS + number * 6 * MINUTE_MS
        talk.add(Spell(at - 1000, at, "AB"[number % 2], "xy"[number // 2 % 2], 1000))
        assert talk.sums <= 20
    assert summed(talk.within(DAY_MS - 1, 2 * DAY_MS), "user") == {"A": (120_000, 120), "B": (120_000, 120)}
    (half,) = {round(ms, -4) for ms, _ in summed(talk.within(DAY_MS * 3 // 2, 2 * DAY_MS), "net").values()}
    assert half == 60_000


def test_more_pairs_than_six_hours_have_room_for_forget_the_oldest(small: None) -> None:
    talk = TalkTime()
    for number in range(1000):
        talk.add(Spell(number, number + 1, f"user-{number}", "x", 1))
        assert talk.sums <= 20
    assert "user-999" in summed(talk.within(0, 2000), "user")


def test_what_ends_out_of_turn_is_put_where_it_belongs(small: None) -> None:
    talk = TalkTime()
    for minute in (60, 5, 30, 6, 90, *range(91, 101)):
        talk.add(Spell(minute * MINUTE_MS - 10, minute * MINUTE_MS, "A", "x", 10))
    assert [cell.began // MINUTE_MS for cell in talk.cells] == [5, 30, 60, 90]
    assert summed(talk.within(0, 50 * MINUTE_MS), "user") == {"A": (30, 3)}


def test_what_is_over_a_day_old_is_let_go(small: None) -> None:
    talk = TalkTime()
    for ended in (1, 2, 3, *range(2 * DAY_MS, 2 * DAY_MS + 10)):
        talk.add(Spell(ended - 1, ended, "1", "x", 1))
    assert talk.cells == [] and talk.sums == 0 and len(talk.recent) == 10


def test_names_are_forgotten_with_what_they_said(
    app: ShardApp, nets: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, small: None
) -> None:
    observer = app.extensions[EXTENSION].observer
    monkeypatch.setattr(observer, "_most_names", 50)
    monkeypatch.setattr(shardapi_metrics.observer, "MOST_NAMES", 50)
    for number in range(200):
        talked(app, f"user-{number}", nets[0], 1, name=f"Name {number}")
    observer.catch_up()
    assert (observer.name_of("user-0"), observer.name_of("user-199")) == ("", "Name 199")
    assert len(observer._users) <= 100


# -- who is connected


def test_the_peak_is_of_people_and_stays(app: ShardApp, client: FlaskClient) -> None:
    first, second, again = join(app, "1"), join(app, "2"), join(app, "2")
    join(app, "listener", service=True)
    for connection in (again, second):
        app.shard.presence.leave(connection, "closed")
    assert metrics(client)["connected"] == {"current": 1, "peak": 2}
    app.shard.presence.leave(first, "closed")
    assert metrics(client)["connected"] == {"current": 0, "peak": 2}


def test_samples_tell_how_full_the_nets_were(
    app: ShardApp, client: FlaskClient, nets: list[dict[str, Any]], ann: Listener
) -> None:
    occupancy = app.extensions[EXTENSION].occupancy
    occupancy.take()
    said(client.post(f"{API}/assignments", json={"userId": "1", "netId": 1, "action": "unassign"}))
    occupancy.take()
    first, second = metrics(client)["occupancy"]["samples"]
    uids = [net["netUid"] for net in nets]
    assert (first["connected"], first["nets"]) == (1, dict.fromkeys(uids, 1))
    assert (second["connected"], second["nets"]) == (1, {uids[0]: 0, uids[1]: 1})
    assert first["at"] <= second["at"]


def test_samples_out_of_the_window_are_left_out(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    for minutes in (90, 30, 0):
        with monkeypatch.context() as past:
            past.setattr(clock, "now", lambda minutes=minutes: now - minutes * MINUTE_MS)
            app.extensions[EXTENSION].occupancy.take()
    found = {since: metrics(client, sinceMinutes=since)["occupancy"]["samples"] for since in (1, 60, 1440)}
    assert {since: len(samples) for since, samples in found.items()} == {1: 1, 60: 2, 1440: 3}


def test_a_day_of_samples_is_kept_and_no_more(app: ShardApp) -> None:
    occupancy = app.extensions[EXTENSION].occupancy
    for _ in range(shardapi_metrics.occupancy.KEPT + 10):
        occupancy.take()
    assert len(occupancy.within(0, 2**62)) == shardapi_metrics.occupancy.KEPT == 24 * 60 * 4


def test_a_running_shard_takes_samples_from_its_start(shard: Server) -> None:
    samples = shard.wait(lambda: shard.get("/metrics").json()["occupancy"]["samples"], "a sample")
    assert samples[0]["connected"] == 0

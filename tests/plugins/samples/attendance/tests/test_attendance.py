"""Tests of the attendance report, in process: batches of the log are given to it by hand."""

from collections.abc import Callable
from typing import Any

import attendance_report
import pytest
from attendance_report import visits
from flask.testing import FlaskClient

from shardapi import Event, Follower, ShardApp, clock
from shardapi.events import UserJoined, UserLeft

PATH = "/api/v1/attendance"
NOON = 1_900_000_000_000
MINUTE = 60_000


def joined(user: str, at: int, name: str = "Ann", service: bool = False) -> Event:
    """An operator came."""
    data = UserJoined(user_id=user, display_name=name, transport="ws", nets=(), service=service)
    return Event("user.joined", data, "", at)


def left(user: str, at: int, name: str = "Ann") -> Event:
    """An operator went."""
    return Event(
        "user.left", UserLeft(user_id=user, display_name=name, transport="ws", reason="gone"), "", at
    )


@pytest.fixture
def log(app: ShardApp) -> Callable[..., None]:
    """Log events and have them booked."""
    follower: Follower = app.shard.events.follow("attendance", hold=True)
    booking = app.extensions[attendance_report.EXTENSION]

    def log(*events: Event, missed: bool = False) -> None:
        app.shard.writer.write(lambda: None, tell=lambda _: events)
        booking.take(follower, next(iter(follower)), missed)

    return log


@pytest.fixture
def report(client: FlaskClient) -> Callable[..., list[dict[str, Any]]]:
    """The people of the report."""

    def report(**query: str) -> list[dict[str, Any]]:
        answer = client.get(PATH, query_string=query)
        assert answer.status_code == 200, answer.text
        return answer.json["people"]  # type: ignore[index,no-any-return]

    return report


def test_visits_add_up(log: Any, report: Any) -> None:
    log(joined("1", NOON), left("1", NOON + MINUTE), joined("2", NOON))
    log(
        joined("1", NOON + 2 * MINUTE, "Anna"), left("1", NOON + 4 * MINUTE, "Anna"), left("2", NOON + MINUTE)
    )
    until = clock.iso(NOON + 10 * MINUTE)
    first, second = report(until=until)
    assert (first["userId"], first["displayName"], first["visits"], first["seconds"]) == ("1", "Anna", 2, 180)
    assert (second["userId"], second["seconds"], second["present"]) == ("2", 60, False)
    assert (first["firstAt"], first["lastAt"]) == (clock.iso(NOON), clock.iso(NOON + 4 * MINUTE))


def test_only_what_lies_in_the_time_counts(log: Any, report: Any) -> None:
    log(joined("1", NOON), left("1", NOON + 10 * MINUTE))
    for since, until, seconds in ((2, 5, 180), (-5, 1, 60), (9, 20, 60), (0, 10, 600)):
        span = {"since": clock.iso(NOON + since * MINUTE), "until": clock.iso(NOON + until * MINUTE)}
        assert [person["seconds"] for person in report(**span)] == [seconds]
    assert report(since=clock.iso(NOON + 11 * MINUTE), until=clock.iso(NOON + 12 * MINUTE)) == []


def test_who_is_still_there_is_present(log: Any, report: Any) -> None:
    log(joined("1", clock.now() - 5000))
    (person,) = report()
    assert person["present"] and 5 <= person["seconds"] < 60


def test_a_service_listener_attends_nothing(log: Any, report: Any) -> None:
    log(joined("svc", NOON, service=True), joined("1", NOON), left("1", NOON + MINUTE))
    assert [person["userId"] for person in report(until=clock.iso(NOON + MINUTE))] == ["1"]


def test_a_visit_whose_end_is_lost_counts_for_nothing(log: Any, report: Any) -> None:
    log(joined("1", NOON))
    log(joined("2", NOON), missed=True)
    people = report(since=clock.iso(NOON - MINUTE), until=clock.iso(NOON + 2 * MINUTE))
    assert {person["userId"]: (person["seconds"], person["present"]) for person in people}["1"] == (0, False)


def test_a_write_that_fails_books_nothing_and_moves_nothing(
    app: ShardApp, log: Any, report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Follower, "done", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            log(joined("1", clock.now()))
    assert report() == []
    follower = app.shard.events.follow("attendance", hold=True)
    app.extensions["attendance"].take(follower, next(iter(follower)))
    assert [person["visits"] for person in report()] == [1]


def test_the_table_is_safe_to_open(log: Any, client: FlaskClient) -> None:
    log(joined("1", NOON, '=HYPERLINK("http://evil")'), left("1", NOON + MINUTE))
    answer = client.get(f"{PATH}.csv", query_string={"until": clock.iso(NOON + MINUTE)})
    assert answer.mimetype == "text/csv" and "attendance.csv" in answer.headers["Content-Disposition"]
    head, row = answer.text.splitlines()
    assert head == ",".join(attendance_report.HEADER)
    assert row.startswith('1,"\'=HYPERLINK(""http://evil"")",1,60,')


@pytest.mark.parametrize("query", [{"since": "soon"}, {"until": "9" * 30}, {"since": "2040-01-01T00:00:00Z"}])
@pytest.mark.parametrize("path", [PATH, f"{PATH}.csv"])
def test_a_time_that_is_none_is_refused(client: FlaskClient, path: str, query: dict[str, str]) -> None:
    answer = client.get(path, query_string=query)
    assert answer.status_code == 400 and answer.json is not None
    assert answer.json["code"] == "invalid_value" and answer.json["errors"][0]["path"] in query


def test_it_has_a_scope_of_its_own(app: ShardApp) -> None:
    _, secret = app.shard.keys.create("reader", ["read:roster"])
    headers = {"Authorization": f"Bearer {secret}"}
    for path in (PATH, f"{PATH}.csv"):
        refused = app.test_client().get(path, headers=headers)
        assert refused.status_code == 403 and "read:attendance" in refused.text


def test_old_visits_are_forgotten(app: ShardApp, log: Any, report: Any) -> None:
    log(joined("1", NOON), left("1", NOON + MINUTE), joined("2", NOON + MINUTE))
    app.shard.writer.write(lambda: visits.forget(app.shard.guild_id, NOON + 2 * MINUTE))
    assert [person["userId"] for person in report(until=clock.iso(NOON + 2 * MINUTE))] == ["2"]

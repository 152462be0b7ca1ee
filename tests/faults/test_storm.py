"""Everyone reconnects at once after a crash: all are taken in, and HTTP is answered meanwhile."""

import resource
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from shardapi.testing import Server

from . import store
from .crowd import KNOWN, Crowd, on_nets
from .pairs import Tally, of_log
from .storm import Caller, Storm

PEOPLE = {"ci": 300, "soak": 2000}
SECONDS = {"ci": 30.0, "soak": 30.0}
ANSWER_SECONDS = {"ci": 10.0, "soak": 5.0}  # on a connection of its own, behind all that came before


@pytest.fixture(autouse=True)
def descriptors(size: str) -> Iterator[None]:
    """As many as may be had, here and in the server that is started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > PEOPLE[size] + 200, f"{hard} descriptors are too few"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("undisturbed")
def test_storm_of_reconnects_after_a_crash_is_taken_in_while_http_is_answered(
    start_shard: Callable[..., Server], size: str, figure: Callable[[str, float, str], None]
) -> None:
    server, count = start_shard(env=KNOWN), PEOPLE[size]
    users = [str(10**17 + number) for number in range(count)]
    on_nets(server, users)
    with Crowd(server) as crowd:
        crowd.enter(users)
        server.wait(lambda: joins(server) == count, "the log to know everyone")
        server.kill()
        crowd.forget()
        storm, starting = Storm(crowd, users), threading.Thread(target=server.start)
        with Caller(server) as caller:
            starting.start()
            while not caller.took:
                storm.go_on()
            began = time.monotonic()
            while not storm.over:
                assert time.monotonic() < began + 3 * SECONDS[size]
                storm.go_on()
            took = time.monotonic() - began
            crowd.idle(1.0)
        starting.join()
        figure("storm.seconds-until-all-are-in", took, f"<= {SECONDS[size]}")
        figure("storm.tries", storm.tries, f">= {count}")
        figure("storm.turned-away", sum(storm.failures.values()), "== 0")
        figure("storm.http-failures", len(caller.bad), "== 0")
        figure("storm.http-calls", len(caller.took), ">= 10")
        figure("storm.http-slowest-seconds", max(caller.took[1:]), f"<= {ANSWER_SECONDS[size]}")
        there = sorted(one["userId"] for one in server.get("/roster").json()["operators"])
        figure("storm.missing-on-the-roster", len(set(users) ^ set(there)), "== 0")
        assert len(there) == len(crowd.joined) == count and not caller.bad and not storm.failures
        server.wait(lambda: joins(server) >= 2 * count, "all arrivals to be logged")
        tally = Tally(of_log(store.events(server.data_dir)), users)
        figure("storm.joins-more-than-once", tally.joins - 2 * count, "== 0")
        assert tally.reasons == {("user.left", "restart"): count}
        assert not tally.unpaired_joins + tally.negative


def joins(server: Server) -> int:
    """How many the log tells of."""
    return int(store.value(server.data_dir, "SELECT count(*) FROM event WHERE type = 'user.joined'"))

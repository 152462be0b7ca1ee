"""Operators on the air while everything breaks: whoever came has left once, whoever spoke has stopped once."""

from collections.abc import Callable

from shardapi.testing import Server

from . import store
from .crowd import KNOWN, Crowd, on_nets
from .day import HEARTBEAT, Day
from .pairs import Tally, of_log, of_stream
from .reader import Reader
from .test_restart import alive_at

Figure = Callable[[str, float, str], None]

LIVES = {"ci": 6, "soak": 150}
BEAT = {"ci": 0.5, "soak": 1.0}  # seconds; the real one is 8
GHOST_SECONDS, REAL_BEAT = 30.0, 8.0
CROWD = {"ci": 200, "soak": 200}


def roster(server: Server) -> list[str]:
    """Who is there, as the API says."""
    return sorted(one["userId"] for one in server.get("/roster").json()["operators"])


def at_rest(server: Server, crowd: Crowd, reader: Reader) -> tuple[list[str], list[str]]:
    """Who is there and who is shown, while nobody came or went and the reader had seen all.

    A machine that is busy answers pings late, so that somebody is sent off at any time.
    """
    while True:
        newest = store.newest(server.data_dir)
        there, shown = sorted({peer.user for peer in crowd.joined}), roster(server)
        crowd.idle(0.5)
        server.wait(lambda newest=newest: reader.numbers[-1:] >= [newest], "the reader to have seen all")
        still = sorted({peer.user for peer in crowd.joined})
        if still == there and store.newest(server.data_dir) == newest == reader.numbers[-1]:
            return there, shown


def test_day_of_kills_cuts_and_half_open_peers_pairs_up_and_leaves_no_ghost(
    start_shard: Callable[..., Server], size: str, figure: Figure
) -> None:
    server = start_shard(env={**KNOWN, HEARTBEAT: str(BEAT[size])})
    epoch = store.value(server.data_dir, "SELECT value FROM meta WHERE name = 'epoch'")
    reader = Reader(server, server.key(), f"{epoch}-0")
    try:
        with Crowd(server) as crowd:
            day = Day(server, crowd, seed=3)
            ends = [day.kill_worker, day.kill_everything, day.hang_up, day.stop, day.kill_while_it_retires]
            for life in range(LIVES[size]):
                day.life(day.chance.randrange(20, 200))
                ends[life % len(ends)]()
            if size == "soak":
                server.env[HEARTBEAT] = str(REAL_BEAT)
                day.stop()
            day.life(200)
            for _ in range(5):
                day.lose()
            crowd.idle(GHOST_SECONDS * float(server.env[HEARTBEAT]) / REAL_BEAT)
            there, shown = at_rest(server, crowd, reader)
            figure("day.ghosts", len(set(shown) ^ set(there)), "== 0")
            told, logged = of_stream(reader.events), of_log(store.events(server.data_dir))
    finally:
        reader.close()
    tally = Tally(told, there)
    figure("day.joins", tally.joins, f">= {10 * LIVES[size]}")
    figure("day.transmissions", tally.transmissions, f">= {10 * LIVES[size]}")
    figure("day.stream-resumed", reader.connects - 1, f">= {LIVES[size] - 1}")
    figure("day.half-open-peers", day.lost, f">= {LIVES[size] // 2}")
    figure("day.unpaired-joins-and-leaves", tally.unpaired_joins, "== 0")
    figure("day.unpaired-transmissions", tally.unpaired_transmissions, "== 0")
    figure("day.negative-spans", tally.negative, "== 0")
    figure("day.events-told-otherwise-than-logged", len(told) - len(logged), "== 0")
    assert told == logged
    reasons = {reason for type_, reason in tally.reasons if type_ == "user.left"}
    assert reasons >= {"closed", "timeout", "restart"}
    stops = {reason for type_, reason in tally.reasons if type_ == "ptt.stop"}
    assert stops >= {"released", "disconnect", "restart"}
    if size == "soak":  # in a short day by chance
        assert reasons == {"closed", "timeout", "restart", "disconnect"}
        assert stops >= {"operation_closed", "unassigned"}
    server.stop()
    assert store.whole(server.data_dir)


def test_killed_with_everyone_on_the_air_all_have_stopped_and_left_before_anything_else(
    start_shard: Callable[..., Server], size: str, figure: Figure
) -> None:
    server, count = start_shard(env=KNOWN), CROWD[size]
    users = [str(10**17 + number) for number in range(count)]
    net = on_nets(server, users)[0]
    with Crowd(server) as crowd:
        for peer in crowd.enter(users):
            crowd.send(peer, type="ptt.start", netUid=net["netUid"])
        crowd.until(lambda: len(store.events(server.data_dir)) >= before(server) + 2 * count)
        server.kill()
        crowd.forget()
        alive, newest = alive_at(server), store.newest(server.data_dir)
        server.start()
        assert roster(server) == []
        crowd.enter(users)
        figure("sigkill.back-on-the-roster", len(roster(server)), f"== {count}")
        server.wait(lambda: store.newest(server.data_dir) >= newest + 3 * count, "all arrivals to be logged")
        after = store.events(server.data_dir, newest)
        stops, lefts, rest = after[:count], after[count : 2 * count], after[2 * count :]
        for type_, ends in (("ptt.stop", stops), ("user.left", lefts)):
            told = {(end.data["userId"], end.type, end.data["reason"], end.at) for end in ends}
            missing = {(user, type_, "restart", alive) for user in users} - told
            figure(f"sigkill.{type_}-missing-or-late", len(missing), "== 0")
        assert {event.type for event in rest} == {"user.joined"}
        tally = Tally(of_log(store.events(server.data_dir)), users)
        assert (tally.joins, tally.transmissions) == (2 * count, count)
        assert not tally.unpaired_joins + tally.unpaired_transmissions + tally.negative


def before(server: Server) -> int:
    """How many events there are that tell of no operator."""
    return sum(not event.type.startswith(("user.", "ptt.")) for event in store.events(server.data_dir))

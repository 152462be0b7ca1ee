"""GET /stream as readers see it: the bytes, resuming, filters, limits, and when it ends."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import requests

from shardapi import clock
from shardapi.app import ShardApp
from shardapi.events import Event, EventType, OperationChanged
from shardapi.testing import Server

OPENING = re.compile(rb": events of guild \d+\nretry: ([2-5]\d{3})\n")
EVENT = re.compile(
    rb'id: (?P<id>[0-9a-f]+-\d+)\nevent: (?P<type>[a-z.]+)\ndata: (?P<data>\{"id":"(?P=id)","type":"(?P=type)",'
    rb'"guildId":"\d+","at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","data":\{[^\n]*\}\})\n\n'
)


class Reader:
    """A stream, read as bytes."""

    def __init__(self, server: Server, query: str = "", last: str | None = None, **options: Any) -> None:
        headers = {} if last is None else {"Last-Event-ID": last}
        self.answer = server.get(f"/stream{query}", headers=headers, stream=True, **options)
        self.read = b""

    def until(self, end: bytes) -> bytes:
        """All from the beginning until it ends so."""
        while not self.read.endswith(end):
            data = self.answer.raw.read1(65536)
            assert data, f"closed after {self.read!r}"
            self.read += data
        return self.read

    def events(self, count: int) -> list[re.Match[bytes]]:
        """So many events; nothing else may be between them."""
        while len(found := list(EVENT.finditer(self.read))) < count:
            data = self.answer.raw.read1(65536)
            assert data, f"closed after {self.read!r}"
            self.read += data
        body = self.read.partition(b"\nretry: ")[2].partition(b"\n")[2]
        assert b"".join(one[0] for one in found) == body
        return found

    def ended(self) -> bool:
        """Whether the server closes it; waits for that."""
        while data := self.answer.raw.read1(65536):
            self.read += data
        return True


@pytest.fixture
def read(shard: Server) -> Iterator[Callable[..., Reader]]:
    """Open streams of the shared server; they are closed with the test."""
    opened: list[Reader] = []

    def open_(query: str = "", last: str | None = None, **options: Any) -> Reader:
        opened.append(Reader(shard, query, last, **options))
        return opened[-1]

    yield open_
    for reader in opened:
        reader.answer.close()


def newest(shard: Server) -> str:
    """The id of an event that has just happened."""
    with closing(Reader(shard).answer) as answer:
        shard.net()
        return re.search(rb"id: (\S+)\n", answer.raw.read1(65536) + answer.raw.read1(65536))[1].decode()  # type: ignore[index]


def test_the_head_and_the_first_lines_come_at_once(read: Callable[..., Reader]) -> None:
    reader = read()
    headers = reader.answer.headers
    assert reader.answer.status_code == 200
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Connection"] == "close"
    assert {"Date", "X-Request-Id", "RateLimit", "X-RateLimit-Remaining"} <= set(headers)
    assert not {"Content-Length", "Transfer-Encoding"} & set(headers)
    while reader.read.count(b"\n") < 2:
        reader.read += reader.answer.raw.read1(65536)
    opening = OPENING.fullmatch(reader.read)
    assert opening and 2000 <= int(opening[1]) <= 5000


def test_an_event_is_one_block_of_three_lines(shard: Server, read: Callable[..., Reader]) -> None:
    reader = read()
    made = shard.net("Strike")
    (event,) = reader.events(1)
    assert event["type"] == b"config.changed"
    assert made["netUid"].encode() in event["data"]


def test_resuming_replays_what_was_missed_and_goes_on(shard: Server, read: Callable[..., Reader]) -> None:
    since = newest(shard)
    for number in range(3):
        shard.net(f"Net {number}")
    for reader in (read(last=since), read(f"?since={since}"), read("?since=elsewhere-1", last=since)):
        missed = reader.events(3)
        assert len({event["id"] for event in missed}) == 3
    shard.net("Live")
    assert len(reader.events(4)) == 4
    assert read(last=missed[-1]["id"].decode()).events(1)[0]["id"] == reader.events(4)[3]["id"]


def test_resuming_across_a_kill(start_shard: Callable[..., Server]) -> None:
    server = start_shard()
    with closing(Reader(server).answer):
        since = newest(server)
    made = [server.net(f"Net {number}")["netUid"].encode() for number in range(5)]
    server.kill()
    server.start()
    with closing((reader := Reader(server, last=since)).answer):
        made.append(server.net("After")["netUid"].encode())
        for event, uid in zip(reader.events(6), made, strict=True):
            assert uid in event["data"]


@pytest.mark.parametrize("since", ["0a1b2c3d-5", "{epoch}-999999999", "nonsense", "{epoch}-x", "é" * 60])
def test_an_id_that_cannot_be_resumed_is_told_as_a_gap(
    shard: Server, read: Callable[..., Reader], since: str
) -> None:
    last = newest(shard)
    since = since.format(epoch=last.partition("-")[0])
    reader = read("?types=nothing", last=since.encode())
    (gap,) = reader.events(1)
    assert gap["type"] == b"stream.gap"
    assert gap["id"].decode() == last, "it goes on after the newest"
    assert b'"oldest":"' in gap["data"]


def test_filters(shard: Server, read: Callable[..., Reader]) -> None:
    one, two = shard.net("One"), shard.net("Two")
    by_type = read("?types=assignments.*,operation.opened")
    by_net = read(f"?types=assignments.changed&nets={one['netUid']}")
    by_slot = read(f"?types=assignments.*&nets={one['netId']},255")
    shard.post("/assignments", {"userId": "1", "netUid": two["netUid"]})
    shard.post("/assignments", {"userId": "1", "netUid": one["netUid"]})
    assert two["netUid"].encode() in by_type.events(2)[0]["data"]
    for reader in (by_net, by_slot):
        assert one["netUid"].encode() in reader.events(1)[0]["data"]


def test_filters_take_every_name_there_may_be(app: ShardApp, client: Any) -> None:
    """A plugin's type may have digits and hyphens, and the uid of a net from the archive capitals too."""
    begun = EventType("drill-2.begun", OperationChanged, "A drill has begun.")
    app.shard.events.types[begun.name] = begun
    entry = {"name": "Old", "uid": "net_Old-Guard"}
    assert client.post("/api/v1/archive", json=entry).status_code == 200
    with client.get("/api/v1/stream?types=drill-2.*,config.*&nets=net_Old-Guard", buffered=False) as answer:
        body = iter(answer.response)
        next(body)
        app.shard.writer.append([Event("drill-2.begun", OperationChanged(open=True))])
        assert b"event: drill-2.begun\n" in next(body)
        client.post("/api/v1/nets", json={"name": "Another"})
        client.post("/api/v1/archive/net_Old-Guard/restore")
        assert b'"action":"archive.restore"' in next(body)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?types=User!", 400, "invalid_value"),
        ("?types=" + "a" * 501, 400, "invalid_value"),
        ("?nets=net%00", 400, "invalid_value"),
        ("?since=" + "1" * 101, 400, "invalid_value"),
        ("?nets=49", 404, "net_not_found"),
        ("?nets=99999999999999999999", 404, "net_not_found"),
    ],
)
def test_bad_queries_are_refused(shard: Server, query: str, status: int, code: str) -> None:
    answer = shard.get(f"/stream{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_stream_needs_a_key_with_its_scope(shard: Server) -> None:
    assert shard.get("/stream", key="").status_code == 401
    assert shard.get("/stream", key=shard.key("read:status")).json()["code"] == "missing_scope"


def test_head_answers_and_keeps_the_connection(shard: Server) -> None:
    with requests.Session() as session:
        for _ in range(2):
            answer = shard.request("HEAD", "/stream", session=session)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert answer.headers["Connection"] == "keep-alive"
        assert shard.get("/status", session=session).ok


def test_a_key_has_so_many_streams(start_shard: Callable[..., Server]) -> None:
    server = start_shard(
        env={"SHARDAPI_PLUGINS__STREAM__PER_KEY": "2", "SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}
    )
    readers = [Reader(server), Reader(server)]
    refused = server.get("/stream")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    assert int(refused.headers["Retry-After"]) > 0
    other = Reader(server, key=server.key("read:events"))
    readers.pop().answer.close()
    server.wait(
        lambda: server.request("GET", "/stream", stream=True).status_code == 200, "a place to be free"
    )
    for reader in (*readers, other):
        reader.answer.close()


def test_a_key_revoked_elsewhere_closes_its_streams(start_shard: Callable[..., Server], size: str) -> None:
    server = start_shard()
    made = server.command("keys", "create", "gone", "--scope", "read:events")
    reader, other = Reader(server, key=made["secret"]), Reader(server)
    revoke = [sys.executable, "-m", "shardapi", "keys", "revoke", made["id"], "--data-dir", server.data_dir]
    subprocess.run(revoke, check=True, stdout=subprocess.DEVNULL, env=server.env)
    told = time.monotonic()
    assert reader.ended()
    assert time.monotonic() - told < {"ci": 10, "soak": 1}[size]
    assert OPENING.fullmatch(reader.read), "no farewell"
    server.net()
    assert other.events(1)
    for one in (reader, other):
        one.answer.close()


def test_the_streams_end_with_the_server(start_shard: Callable[..., Server]) -> None:
    server = start_shard()
    reader = Reader(server)
    server.stop()
    assert reader.ended()
    assert OPENING.fullmatch(reader.read)
    reader.answer.close()


def test_a_server_without_the_socket_gets_the_same_bytes(app: ShardApp, client: Any) -> None:
    with client.get("/api/v1/stream", buffered=False) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        body = iter(answer.response)
        assert OPENING.fullmatch(next(body))
        client.post("/api/v1/nets", json={"name": "Strike"})
        assert EVENT.fullmatch(next(body))


def test_an_expired_key_closes_its_streams(app: ShardApp, client: Any) -> None:
    now = clock.now()
    secret = app.shard.keys.create("short", ["read:events"], expires_at=now + 60_000)[1]
    with client.get(
        "/api/v1/stream", headers={"Authorization": f"Bearer {secret}"}, buffered=False
    ) as answer:
        body = iter(answer.response)
        next(body)
        app.shard.keys.expire(now + 61_000)
        assert list(body) == []

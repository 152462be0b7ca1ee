"""A mixed load on a shard: calls that read and write, streams that come and go; what all bots together do."""

import http.client
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests

from shardapi.testing import Server

READS = (
    *("/status", "/roster", "/roster", "/assignments", "/features", "/public-net", "/rules", "/presets"),
    *(
        "/archive?q=net",
        "/metrics",
        "/metrics/prometheus",
        "/audit",
        "/webhooks",
        "/openapi.json",
        "/nowhere",
    ),
)
REST = 0.02  # seconds between two calls of one caller
LINES = 200  # of a stream before its reader leaves
LONGEST = 3.0


class Mixed:
    """Callers and readers in threads of their own; `bad` is what went wrong. A context manager."""

    def __init__(self, server: Server, seed: int = 1) -> None:
        self.server, self.key = server, server.key()
        self.calls = self.streams = 0
        self.bad: list[str] = []
        self._ended = threading.Event()
        chance = random.Random(seed)
        self._threads = [
            threading.Thread(target=self._run, args=(work, random.Random(chance.random())))
            for work in (self._call, self._call, self._write, self._read)
        ]

    def __enter__(self) -> "Mixed":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, work: Callable[[random.Random, requests.Session], None], chance: random.Random) -> None:
        while not self._ended.is_set():
            with requests.Session() as session:  # now and then on a new connection
                for _ in range(50):
                    try:
                        work(chance, session)
                    except Exception as error:
                        self.bad.append(repr(error))
                    if self._ended.wait(REST):
                        return

    def _ask(
        self, session: requests.Session, method: str, path: str, body: Any = None, **options: Any
    ) -> Any:
        answer = self.server.request(method, path, body, key=self.key, session=session, **options)
        self.calls += 1
        if answer.status_code >= 500:
            self.bad.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.json() if answer.headers["Content-Type"].startswith("application/json") else {}

    def _call(self, chance: random.Random, session: requests.Session) -> None:
        if chance.random() < 0.1:
            self.server.get("/status", key="scok_none", session=session)
        self._ask(session, "GET", chance.choice(READS))

    def _write(self, chance: random.Random, session: requests.Session) -> None:
        number = chance.randrange(40)
        net = self._ask(session, "POST", "/nets", {"name": f"Mixed {number}"}).get("netUid")
        if not net:
            return
        user = str(2 * 10**17 + number)
        calls: list[tuple[str, str, Any]] = [
            ("POST", "/nets/rename", {"netUid": net, "name": f"Renamed {number}"}),
            ("POST", "/assignments", {"userId": user, "netUid": net}),
            ("POST", "/assignments/temporary", {"userId": user, "netUid": net, "ttlMs": 15_000}),
            ("POST", "/presets", {"name": f"Preset {number}", "nets": [{"name": f"Mixed {number}"}]}),
            ("POST", "/features?dryRun=true", {"features": {"maxNets": 50}}),
            ("POST", "/rules", {"rules": [{"roleId": "1", "netUids": [net]}]}),
            ("POST", "/archive", {"uid": net, "name": "x" * 65}),
            ("DELETE", f"/nets/{net}", None),
            ("DELETE", f"/archive/{net}", None),
        ]
        for place, (method, path, body) in enumerate(calls):
            headers = {"Idempotency-Key": f"{net}-{place}"} if chance.random() < 0.3 else {}
            self._ask(session, method, path, body, headers=headers)

    def _read(self, chance: random.Random, session: requests.Session) -> None:
        """A stream for a while, from now on or from the last event that was seen, left politely or not."""
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=20)
        filters = chance.choice(("", "?types=ptt.*", "?types=user.*,config.*"))
        connection.request("GET", f"/api/v1/stream{filters}", headers={"Authorization": f"Bearer {self.key}"})
        until = time.monotonic() + chance.uniform(0.1, LONGEST)
        with connection.getresponse() as answer, suppress(TimeoutError):
            self.streams += 1
            for _ in range(LINES):
                if not answer.readline():
                    self.bad.append("a stream was closed")
                if time.monotonic() > until or self._ended.is_set():
                    break
        connection.close()

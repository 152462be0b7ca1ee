"""Webhooks: deliveries a second beside a pool of `requests`, how soon an event arrives, what a long backlog weighs."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import (
    HERE,
    LOAD_CPU,
    SERVER_CPU,
    Server,
    Verdict,
    at_least,
    at_most,
    percentile,
    report,
    shardapi,
)

RATIO, FIRST_BYTE_MS, GROWTH_MIB = 3.0, 20, 8
ENV = {
    "SHARDAPI_PLUGINS__WEBHOOKS__ALLOW_PRIVATE": '["127.0.0.0/8"]',
    "SHARDAPI_SERVER__BIND": "127.0.0.1:0",
    "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
}
# Runs in a process of its own: the store with webhooks in it, and events that they have not had.
PREPARE = """
import sys
from shardapi import create_app
from shardapi.config import load
from shardapi.events import Event, UserLeft
folder, url, hooks, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
shard = (app := create_app(load(data_dir=folder))).shard
key = shard.keys.create("bench", shard.plugins.all_scopes)[1]
client = app.test_client()
for _ in range(hooks):
    headers = {"Authorization": f"Bearer {key}"}
    answer = client.post("/api/v1/webhooks", json={"url": url, "events": ["user.left"]}, headers=headers)
    assert answer.status_code == 200, answer.text
for start in range(0, events, 1000):
    shard.writer.append([
        Event("user.left", UserLeft(user_id=str(one), display_name="A" * 300, transport="ws", reason="closed"))
        for one in range(start, start + 1000)
    ])
shard.close()
print(key)
"""


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pool", type=int, default=32, help="webhooks, and greenlets of the reference")
    parser.add_argument("--events", type=int, default=2000, help="that each webhook is sent in a round")
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of the reference in a round")
    return parser.parse_args()


class Sink:
    """The receiver of all."""

    def __init__(self, server: Server) -> None:
        self.url = server.url + "/"

    def ask(self, method: str = "GET") -> dict[str, Any]:
        """What came since it was last begun anew."""
        with urllib.request.urlopen(urllib.request.Request(self.url, method=method), timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def wait(self, count: int, meanwhile: Any = None) -> dict[str, Any]:
        """Wait for so many deliveries."""
        before, still = -1, time.perf_counter()
        while (now := self.ask())["count"] < count:
            if now["count"] != before:
                before, still = now["count"], time.perf_counter()
            if time.perf_counter() - still > 30:
                raise RuntimeError(f"{now['count']} of {count} deliveries, and no more come")
            if meanwhile is not None:
                meanwhile(now["count"])
            time.sleep(0.5)
        return now


@contextmanager
def backlog(sink: Sink, hooks: int, events: int) -> Iterator[Server]:
    """A shard that begins with so many events before so many webhooks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "data")
        command = [sys.executable, "-c", PREPARE, str(folder), sink.url, str(hooks), str(events)]
        done = subprocess.run(command, env={**ENV}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        sink.ask("DELETE")
        headers = {"Authorization": f"Bearer {done.stdout.strip()}", "Content-Type": "application/json"}
        log = Path(name, "log")
        with Server("shardapi", shardapi("serve", data=folder), log, env=ENV, headers=headers) as server:
            yield server


def drain(sink: Sink, hooks: int, events: int) -> float:
    """Deliveries a second of shardapi."""
    with backlog(sink, hooks, events):
        found = sink.wait(hooks * events)
    return float((found["count"] - 1) / found["seconds"])


def reference(sink: Sink, greenlets: int, seconds: float) -> float:
    """Deliveries a second of the pool of `requests`."""
    command = [
        "taskset",
        "--cpu-list",
        str(SERVER_CPU),
        sys.executable,
        HERE / "references/webhook_requests.py",
    ]
    words = [sink.url, str(greenlets), str(seconds)]
    return float(subprocess.run([*command, *words], capture_output=True, text=True, check=True).stdout)


def rates(sink: Sink, options: argparse.Namespace) -> Verdict:
    """Both by turns; the median of the ratios."""
    found = []
    for number in range(options.rounds):
        turns = [
            lambda: drain(sink, options.pool, options.events),
            lambda: reference(sink, options.pool, options.seconds),
        ]
        if number % 2:
            theirs, ours = turns[1](), turns[0]()
        else:
            ours, theirs = turns[0](), turns[1]()
        print(f"# {ours:.0f}/s beside {theirs:.0f}/s of requests", flush=True)
        found.append(ours / theirs)
    return at_least("webhooks/deliveries", statistics.median(found), RATIO)


def first_byte(sink: Sink) -> Verdict:
    """From an event to its delivery, one at a time."""
    with backlog(sink, 1, 0) as server:
        for name in ("Strike", *(f"Strike {number}" for number in range(100))):
            path = "/api/v1/webhooks" if name == "Strike" else "/api/v1/operation"
            body: dict[str, Any] = {"open": name.endswith(tuple("02468"))}
            if name == "Strike":
                body = {"url": sink.url, "events": ["operation.*"]}
            server.send(urllib.request.Request(server.url + path, data=json.dumps(body).encode()))
            time.sleep(0.02)
        late = sink.wait(100)["late"]
    print(f"# p99 {percentile(late, 0.99):.1f} ms", flush=True)
    return at_most("webhooks/first-byte-p50-ms", percentile(late, 0.5), FIRST_BYTE_MS)


def weight(server: Server) -> float:
    """What all its processes have in memory, in MiB."""
    kib = 0
    for pid in server.pids():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024


def long_backlog(sink: Sink, events: int) -> Sequence[Verdict]:
    """What a shard weighs while it drains, beyond what it weighed after the first tenth."""
    weights: list[tuple[int, float]] = []
    with backlog(sink, 1, events) as server:
        found = sink.wait(events, lambda count: weights.append((count, weight(server))))
        weights.append((events, weight(server)))
    early = max(mib for count, mib in weights if count <= max(events // 10, weights[0][0]))
    growth = max(mib for _, mib in weights) - early
    print(
        f"# {events} events in {found['seconds']:.1f} s; {early:.1f} MiB early, {weights[-1][1]:.1f} at the end"
    )
    return [
        at_least("webhooks/backlog-delivered", found["count"], events),
        at_most("webhooks/backlog-growth-mib", growth, GROWTH_MIB),
    ]


def main() -> int:
    """Run all parts."""
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "references" / "webhook_sink.py")]
        with Server("sink", command, Path(folder, "sink"), ready="/", cpu=LOAD_CPU) as served:
            sink = Sink(served)
            verdicts = [rates(sink, options), first_byte(sink), *long_backlog(sink, options.backlog)]
    return report(verdicts)


if __name__ == "__main__":
    sys.exit(main())

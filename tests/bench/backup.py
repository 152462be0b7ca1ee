"""What a backup costs those who write meanwhile: their latency, the loop's, the WAL's growth, and how long it takes."""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from measure import Server, at_least, at_most, percentile, report, shardapi
from msgspec.structs import replace

from shardapi import catalogue, clock
from shardapi.app import create_app
from shardapi.config import load

PAGE = 500
MIB = 1 << 20


class Writer:
    """Writes one after another on a key, and reads in between; `writes` and `reads` are (begin, ms)."""

    def __init__(self, server: Server, seconds: float) -> None:
        self.server, self.ends = server, time.perf_counter() + seconds
        self.writes: list[tuple[float, float]] = []
        self.reads: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        turn = 0
        while time.perf_counter() < self.ends:
            turn += 1
            body = json.dumps({"open": bool(turn % 2)}).encode()
            self.writes.append(
                self._timed(urllib.request.Request(f"{self.server.url}/api/v1/operation", body))
            )
            self.reads.append(self._timed(urllib.request.Request(f"{self.server.url}/api/v1/status")))
            time.sleep(0.002)

    def _timed(self, request: urllib.request.Request) -> tuple[float, float]:
        began = time.perf_counter()
        self.server.send(request)
        return began, (time.perf_counter() - began) * 1000

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()


def fill(data: Path, mib: int) -> None:
    """Make a store of about this size out of archived nets."""
    app = create_app(load(data_dir=str(data), environ={}))
    shard, notes = app.shard, "some words of notes that are long enough " * 20
    number = 0
    while shard.store.path.stat().st_size < mib * MIB:
        now = clock.now()
        entries = []
        for _ in range(PAGE):
            number += 1
            blank = catalogue.blank(f"net_{number:024d}", now, "import")
            entries.append(replace(blank, name=f"net {number}", notes=f"{number} {notes}"))
        shard.writer.write(lambda entries=entries, now=now: catalogue.save(shard.guild_id, entries, now))
    app.shard.close()


def key_of(data: Path) -> str:
    """The secret of a key with all scopes."""
    made = subprocess.run(
        shardapi("keys", "create", "bench", "--all-scopes", data=data),
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


def measured(
    server: Server, data: Path, target: Path, seconds: float
) -> tuple[Writer, list[tuple[float, float]], int]:
    """A writer beside backups that are made half of the time: it, when they were made, and the most the WAL held."""
    writer, spans, wal = Writer(server, seconds), [], 0
    while time.perf_counter() < writer.ends - 0.5:
        began = time.perf_counter()
        backup = subprocess.Popen(shardapi("backup", str(target), data=data), stdout=subprocess.DEVNULL)
        while backup.poll() is None:
            wal = max(wal, (data / "shard.sqlite3-wal").stat().st_size)
            time.sleep(0.005)
        assert backup.returncode == 0
        spans.append((began, time.perf_counter()))
        time.sleep(time.perf_counter() - began)
    writer.join()
    return writer, spans, wal


def split(
    times: list[tuple[float, float]], spans: list[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    """Latencies beside a backup, and those without one."""
    beside: list[float] = []
    alone: list[float] = []
    for at, ms in times:
        (beside if any(begin <= at <= end for begin, end in spans) else alone).append(ms)
    return beside, alone


def tell(what: str, beside: list[float], alone: list[float]) -> None:
    """Print latencies beside a backup and without one."""
    for name, times in (("beside", beside), ("alone", alone)):
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        print(f"# {what} {name}: {len(times)}, p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=200, help="size of the store")
    parser.add_argument("--seconds", type=float, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data, target = Path(name, "data"), Path(name, "shard.zip")
        fill(data, options.mib)
        secret = key_of(data)
        env = {"SHARDAPI_SERVER__BIND": "127.0.0.1:0", "SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}
        headers = {"Authorization": f"Bearer {secret}"}
        with Server(
            "shardapi", shardapi("serve", data=data), Path(name, "log"), env=env, headers=headers
        ) as server:
            writer, spans, wal = measured(server, data, target, options.seconds)
        writes, reads = split(writer.writes, spans), split(writer.reads, spans)
        took = percentile([end - begin for begin, end in spans], 0.5)
        tell("write", *writes)
        tell("read", *reads)
        print(
            f"# a store of {(data / 'shard.sqlite3').stat().st_size / MIB:.0f} MiB in {took:.1f} s,"
            f" {target.stat().st_size / MIB:.0f} MiB"
        )
        return report(
            [
                at_least("backup/made", len(spans), 5),
                at_most("backup/write-p50-ratio", percentile(writes[0], 0.5) / percentile(writes[1], 0.5), 2),
                at_most(
                    "backup/write-p99-ratio", percentile(writes[0], 0.99) / percentile(writes[1], 0.99), 3
                ),
                at_most("backup/read-p99-ratio", percentile(reads[0], 0.99) / percentile(reads[1], 0.99), 3),
                at_most("backup/wal-mib", wal / MIB, 64),
                at_least("backup/mib-per-s", (data / "shard.sqlite3").stat().st_size / MIB / took, 20),
            ]
        )


if __name__ == "__main__":
    sys.exit(main())

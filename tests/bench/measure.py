"""What the benchmarks share: a pinned server on a port the kernel picks, load, percentiles, verdicts."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVER_CPU = 0
LOAD_CPU = 1
LISTENING = re.compile(rb"http://127\.0\.0\.1:([1-9]\d*)")


def shardapi(*words: str, data: Path) -> list[str]:
    """A command line of shardapi on a data folder."""
    return [str(Path(sys.executable).parent / "shardapi"), *words, "--data-dir", str(data)]


class Server:
    """A server in a session of its own, pinned to one core, its output in a file; a context manager."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        ready: str = "/health",
        headers: Mapping[str, str] | None = None,
        cpu: int = SERVER_CPU,
        patience: float = 30.0,
    ) -> None:
        self.name = name
        self.log = log
        self.headers = dict(headers or {})
        started = time.perf_counter()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "--cpu-list", str(cpu), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        try:
            self.url = f"http://127.0.0.1:{self._port(started + patience)}"
            self._answer(ready, started + patience)
        except BaseException:
            self.stop()
            raise
        self.seconds_to_first_answer = time.perf_counter() - started

    def _port(self, deadline: float) -> int:
        while not (said := LISTENING.search(self.log.read_bytes())):
            self._go_on(deadline)
        return int(said[1])

    def _answer(self, path: str, deadline: float) -> None:
        while True:
            try:
                self.get(path)
                return
            except urllib.error.HTTPError as refused:
                raise RuntimeError(f"{self.name} answered {refused.code} to {path}") from refused
            except OSError:
                self._go_on(deadline)

    def _go_on(self, deadline: float) -> None:
        if self.process.poll() is not None or time.perf_counter() > deadline:
            raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.001)

    def get(self, path: str) -> bytes:
        """The body of a 200; anything else raises."""
        return self.send(urllib.request.Request(self.url + path))

    def send(self, request: urllib.request.Request) -> bytes:
        """The body of the answer to a request, sent with this server's headers where it has none."""
        for name, value in self.headers.items():
            if not request.has_header(name):
                request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
        return body

    def pids(self) -> list[int]:
        """Every process of the session that this server leads."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._owns(pid)]

    def _owns(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == self.process.pid
        except ProcessLookupError:
            return False

    def cpu_seconds(self) -> float:
        """The time on a core that all its threads took so far."""
        spent = 0
        for pid in self.pids():
            for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                spent += int(schedstat.read_text().split()[0])
        return spent / 1e9

    def stop(self) -> None:
        """TERM, five seconds, then KILL to what is left of its session."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Load(NamedTuple):
    """What one run of wrk saw: latencies in ms, CPU per request in us, share of all cores that others took."""

    rate: float
    p50: float
    p99: float
    cpu_us: float
    others: float


def wrk(server: Server, path: str, *, seconds: int, connections: int, cpu: int = LOAD_CPU) -> Load:
    """Drive a server with keep-alive connections from one thread of wrk, pinned to its own core."""
    headers = [f"--header={name}: {value}" for name, value in server.headers.items()]
    script = f"--script={HERE / 'wrk.lua'}"
    size = [f"--connections={connections}", f"--duration={seconds}s", "--threads=1", "--timeout=10s"]
    began, busy, mine, served = time.perf_counter(), busy_seconds(), own_seconds(), server.cpu_seconds()
    run = subprocess.run(
        ["taskset", "--cpu-list", str(cpu), "wrk", *size, *headers, script, server.url + path],
        capture_output=True,
        text=True,
        check=True,
    )
    spent = server.cpu_seconds() - served
    others = busy_seconds() - busy - (own_seconds() - mine) - spent
    cores = (time.perf_counter() - began) * (os.cpu_count() or 1)
    requests, duration, failed, p50, p99 = map(int, run.stdout.split("bench ")[1].split())
    if failed or not requests:
        raise RuntimeError(f"{server.name}: {failed} of {requests} requests failed\n{run.stdout}")
    rate, cpu_us = requests / duration * 1e6, spent / requests * 1e6
    return Load(rate, p50 / 1000, p99 / 1000, cpu_us, max(0.0, others / cores))


def busy_seconds() -> float:
    """The time that all processes of the machine took on its cores so far."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """The time on a core that this script and its ended children took so far."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


class Verdict(NamedTuple):
    """One figure beside what was promised; prints as `id figure target pass|fail`."""

    id: str
    figure: float
    target: str
    passed: bool

    def __str__(self) -> str:
        return f"{self.id} {self.figure:.4g} {self.target} {'pass' if self.passed else 'fail'}"


def at_least(id: str, figure: float, target: float) -> Verdict:
    """A figure that must not be smaller than its target."""
    return Verdict(id, figure, f">={target:.4g}", figure >= target)


def at_most(id: str, figure: float, target: float) -> Verdict:
    """A figure that must not be larger than its target."""
    return Verdict(id, figure, f"<={target:.4g}", figure <= target)


def report(verdicts: Sequence[Verdict]) -> int:
    """Print the verdicts; the exit status: 1 where one of them is a fail."""
    for verdict in verdicts:
        print(verdict)
    return int(not all(verdict.passed for verdict in verdicts))

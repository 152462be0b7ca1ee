"""Event streams: deliveries a second to 1,000 subscribers beside a queue each and nchan; 10,000 at one event/s.

nchan is nginx's module for this, in C; `apt-get install nginx-light libnginx-mod-nchan`, else it is left out.
"""

from __future__ import annotations

import argparse
import http.client
import os
import resource
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from measure import HERE, LOAD_CPU, ROOT, Server, Verdict, at_least, at_most, percentile, report

TARGETS = {"queues": 5.0, "nchan": 3.0}
OFFERED = {"hub": 1600, "queues": 400}  # events a second: the first is met, the second far too much
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
P99_MS, REST_P99_MS, KIB_EACH = 200, 15, 2.0
AT = b'"at":'
NGINX = """
load_module {module};
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 15000; }}
http {{
  access_log off; client_body_temp_path {folder}/body; nchan_max_reserved_memory 256M;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /rest {{ return 200 ok; }}
    location = /stream {{ nchan_subscriber eventsource; nchan_channel_id bench; }}
    location = /publish {{
      nchan_publisher; nchan_channel_id bench;
      nchan_message_buffer_length 1000; nchan_message_timeout 30s;
    }}
  }}
}}
"""


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each cell")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--many", type=int, default=10_000, help="subscribers of the second part; 0: without")
    parser.add_argument("--many-seconds", type=float, default=15.0)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    return parser.parse_args()


class Seen(NamedTuple):
    """What subscribers got: events, over how long, and how late each was in milliseconds."""

    events: int
    seconds: float
    late: list[float]
    ended: int

    @property
    def rate(self) -> float:
        return self.events / self.seconds


class Subscribers:
    """Many open streams, read by one loop; a context manager."""

    def __init__(self, server: Server, count: int, request: str = "/stream") -> None:
        self.name, split = server.name, urlsplit(server.url)
        self.address = (split.hostname or "", split.port or 0)
        self.request = f"GET {request} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n".encode()
        self.epoll = select.epoll()
        self.socks: dict[int, socket.socket] = {}
        while len(self.socks) < count:
            self._open(min(100, count - len(self.socks)))

    def _open(self, count: int) -> None:
        waiting = set()
        for _ in range(count):
            sock = socket.create_connection(self.address, timeout=30)
            sock.sendall(self.request)
            sock.setblocking(False)
            self.socks[sock.fileno()] = sock
            self.epoll.register(sock.fileno(), select.EPOLLIN)
            waiting.add(sock.fileno())
        until = time.monotonic() + 30
        while waiting:  # for every head, so that the server has no more to do at once than these
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: {len(waiting)} streams had no answer")
            for fd, _ in self.epoll.poll(1):
                if not self.socks[fd].recv(65536).startswith(b"HTTP/1.1 200") and fd in waiting:
                    raise RuntimeError(f"{self.name} refused a stream")
                waiting.discard(fd)

    def read(self, seconds: float, *, timed: bool = False) -> Seen:
        """Read for a while and count; `timed`, also compare the time in each event with now."""
        began, ended, events = time.monotonic(), 0, 0
        late: list[float] = []
        buffer = bytearray(1 << 20)
        view = memoryview(buffer)
        while (now := time.monotonic()) - began < seconds:
            for fd, _ in self.epoll.poll(0.1, 512):
                size = self.socks[fd].recv_into(view)
                if not size:
                    ended += 1
                    self.epoll.unregister(fd)
                events += buffer.count(b"\n\n", 0, size)
                if timed:
                    note(bytes(view[:size]), late)
        return Seen(events, now - began, late, ended)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.socks.values():
            sock.close()
        self.epoll.close()


def note(data: bytes, late: list[float]) -> None:
    """How late each event in what was read is."""
    now, found = time.monotonic_ns(), data.find(AT)
    while found >= 0:
        late.append((now - int(data[found + 5 : found + 25])) / 1e6)
        found = data.find(AT, found + 25)


def start_flask(name: str, folder: Path) -> Server:
    """One of the two Flask applications, on the product's worker."""
    command = [
        *(
            sys.executable,
            "-m",
            "gunicorn",
            "--bind",
            "127.0.0.1:0",
            "--worker-class",
            "shardapi.worker.Worker",
        ),
        *(
            "--worker-connections",
            "12000",
            "--keep-alive",
            "20",
            "--http-parser",
            "python",
            "--backlog",
            "2048",
        ),
        *("--no-control-socket", "--graceful-timeout", "1", f"sse_{name}:app"),
    ]
    path = f"{HERE / 'references'}:{ROOT}:{ROOT / 'plugins'}"
    return Server(name, command, folder / f"{name}.log", env={"PYTHONPATH": path}, ready="/rest")


def start_nchan(folder: Path) -> Server:
    """nginx with nchan on a port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = folder / "nginx"
    home.mkdir()
    settings = home / "nginx.conf"
    settings.write_text(NGINX.format(module=NCHAN_MODULE, folder=home, port=port))
    said = f"echo http://127.0.0.1:{port}; exec nginx -p {home} -c {settings}"
    return Server("nchan", ["sh", "-c", said], folder / "nchan.log", ready="/rest")


def offer(server: Server, rate: float, seconds: float) -> None:
    """Have a Flask application produce its own events."""
    server.get(f"/produce?rate={rate}&seconds={seconds}")


def publish(server: Server, seconds: float) -> None:
    """Post events to nchan, one after another, from two connections."""
    split = urlsplit(server.url)
    body = b'{"at":%020d,"data":{"text":"%s"}}' % (0, b"x" * 190)

    def post() -> None:
        connection = http.client.HTTPConnection(split.hostname or "", split.port)
        until = time.monotonic() + seconds
        with suppress(OSError):
            while time.monotonic() < until:
                connection.request("POST", "/publish", body)
                connection.getresponse().read()
        connection.close()

    for _ in range(2):
        threading.Thread(target=post, daemon=True).start()


def fan_out(server: Server, options: argparse.Namespace) -> float:
    """Deliveries a second to all subscribers together, once they are under way."""
    seconds = options.seconds
    with Subscribers(server, options.subscribers) as subscribers:
        if server.name == "nchan":
            publish(server, seconds + 2)
        else:
            offer(server, OFFERED[server.name], seconds + 2)
        subscribers.read(0.7)
        seen = subscribers.read(seconds)
    if seen.ended:
        raise RuntimeError(f"{server.name} closed {seen.ended} streams")
    return seen.rate


def compare(folder: Path, options: argparse.Namespace) -> list[Verdict]:
    """The hub and the references in turn; each ratio is the median of its rounds'."""
    starts: dict[str, Callable[[], Server]] = {
        "hub": lambda: start_flask("hub", Path(tempfile.mkdtemp(dir=folder))),
        "queues": lambda: start_flask("queues", Path(tempfile.mkdtemp(dir=folder))),
        "nchan": lambda: start_nchan(Path(tempfile.mkdtemp(dir=folder))),
    }
    if not (shutil.which("nginx") and NCHAN_MODULE.exists()):
        del starts["nchan"]
        print("# left out: nchan (apt-get install nginx-light libnginx-mod-nchan)")
    rates: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(options.rounds):
        for name, start in starts.items():
            with start() as server:
                rates[name].append(fan_out(server, options))
    print(f"{'server':<8} {'deliveries/s':>12} {'from':>10} {'to':>10}")
    for name, found in rates.items():
        print(f"{name:<8} {statistics.median(found):>12.0f} {min(found):>10.0f} {max(found):>10.0f}")
    return [
        at_least(
            f"sse/{name}",
            statistics.median(ours / theirs for ours, theirs in zip(rates["hub"], rates[name], strict=True)),
            target,
        )
        for name, target in TARGETS.items()
        if name in rates
    ]


def anonymous_kib(server: Server) -> int:
    """What all its processes hold in user space that is no file's."""
    held = 0
    for pid in server.pids():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                held += int(line.split()[1])
    return held


def probe(url: str, seconds: float) -> list[float]:
    """About a hundred small requests a second on one connection: how long each took, in milliseconds."""
    split = urlsplit(url)
    connection = http.client.HTTPConnection(split.hostname or "", split.port)
    took, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        connection.request("GET", "/rest")
        connection.getresponse().read()
        took.append((time.monotonic() - began) * 1000)
        time.sleep(0.01)
    connection.close()
    return took


def many(folder: Path, options: argparse.Namespace) -> list[Verdict]:
    """Very many subscribers, one event a second, and REST beside them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(options.many, hard - 500)
    if count < options.many:
        print(f"# {count} subscribers only: a process may open {hard} files here")
    with start_flask("hub", folder) as server:
        with Subscribers(server, 1000):  # the heap keeps the room that connecting takes for a moment
            time.sleep(0.5)
        before = anonymous_kib(server)
        began = time.monotonic()
        with Subscribers(server, count) as subscribers:
            connecting = time.monotonic() - began
            each = (anonymous_kib(server) - before) / count
            offer(server, 1, options.many_seconds)
            # A process of its own: the reading loop would hold its requests up.
            command = [
                sys.executable,
                __file__,
                "--probe",
                server.url,
                "--seconds",
                str(options.many_seconds),
            ]
            beside = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            seen = subscribers.read(options.many_seconds, timed=True)
            rest = [float(line) for line in (beside.communicate()[0]).split()]
        closed = server.get("/closed").decode().strip()
    print(f"{count} subscribers: {count / connecting:.0f} connects/s, {each:.2f} KiB each in user space")
    print(
        f"deliveries {len(seen.late)}: p50 {percentile(seen.late, 0.5):.1f} ms, p99 {percentile(seen.late, 0.99):.1f}"
    )
    print(
        f"REST beside them {len(rest)}: p50 {percentile(rest, 0.5):.2f} ms, p99 {percentile(rest, 0.99):.2f}"
    )
    if seen.ended or seen.events < count * (options.many_seconds - 2):
        raise RuntimeError(f"{seen.ended} streams ended, {seen.events} deliveries: {closed}")
    return [
        at_most("sse/p99-ms", percentile(seen.late, 0.99), P99_MS),
        at_most("sse/kib-each", each, KIB_EACH),
        at_most("sse/rest-p99-ms", percentile(rest, 0.99), REST_P99_MS),
    ]


def main() -> int:
    """Compare, then go to the many."""
    options = arguments()
    os.sched_setaffinity(0, {LOAD_CPU})
    if options.probe:
        print(*probe(options.probe, options.seconds), sep="\n")
        return 0
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="shardapi-sse-") as folder:
        verdicts = compare(Path(folder), options)
        if options.many:
            verdicts += many(Path(folder), options)
    return report(verdicts)


if __name__ == "__main__":
    sys.exit(main())

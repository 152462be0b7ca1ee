"""What the loop monitor costs: CPU per request and at rest, with ours, with gevent's, and with none."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from measure import Server, Verdict, at_most, report, shardapi, wrk
from rest import PATH, UNLIMITED, secret

HOOK = "from shardapi import hookimpl\n@hookimpl\ndef shardapi_tasks(app):\n    {}\n    return []\n"
NONE = "app.shard.stalls.start = lambda: None"
GEVENT = """import gevent, warnings
    def start():
        warnings.simplefilter("ignore")
        gevent.config.monitor_thread, gevent.config.max_blocking_time = True, 0.25
        gevent.get_hub().start_periodic_monitoring_thread()
    app.shard.stalls.start = start"""
KINDS = {"none": NONE, "ours": "pass", "gevent": GEVENT}


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="length of each cell")
    parser.add_argument("--connections", type=int, default=64)
    return parser.parse_args()


def start(kind: str, folder: Path) -> Server:
    """A shard with this monitor."""
    data, plugins = folder / kind, folder / f"{kind}-plugins"
    plugins.mkdir()
    (plugins / "monitor.py").write_text(HOOK.format(KINDS[kind]))
    env = {**UNLIMITED, "SHARDAPI_PLUGINS__DIR": str(plugins)}
    key = {"Authorization": f"Bearer {secret('bench', 'read:status', data)}"}
    command = shardapi("serve", "--bind", "127.0.0.1:0", data=data)
    return Server(kind, command, folder / f"{kind}.log", env=env, ready=PATH, headers=key)


def at_rest(server: Server, seconds: int) -> float:
    """The milliseconds of a core that a server takes in a second in which nobody asks."""
    before = server.cpu_seconds()
    time.sleep(seconds)
    return (server.cpu_seconds() - before) / seconds * 1000


def judge(busy: dict[str, list[float]], rest: dict[str, list[float]]) -> list[Verdict]:
    """The median of the rounds' ratios, and what it takes more at rest."""
    for kind in KINDS:
        times = f"{statistics.median(busy[kind]):.1f} us a request, {statistics.median(rest[kind]):.2f} ms/s at rest"
        print(f"# {kind}: {times}")
    ratios = {
        kind: statistics.median(mine / none for mine, none in zip(busy[kind], busy["none"], strict=True))
        for kind in ("ours", "gevent")
    }
    print(f"# gevent's monitor: {ratios['gevent']:.3f} of the CPU without one")
    more = statistics.median(mine - none for mine, none in zip(rest["ours"], rest["none"], strict=True))
    return [at_most("monitor/cpu-ratio", ratios["ours"], 1.02), at_most("monitor/rest-ms-per-s", more, 3)]


def main() -> int:
    """Drive all in turn, each round begun by another."""
    options, kinds = arguments(), list(KINDS)
    busy: dict[str, list[float]] = {kind: [] for kind in kinds}
    rest: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="shardapi-monitor-") as folder, ExitStack() as running:
        servers = [running.enter_context(start(kind, Path(folder))) for kind in kinds]
        for server in servers:
            wrk(server, PATH, seconds=1, connections=options.connections)
        for number in range(options.rounds):
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                load = wrk(server, PATH, seconds=options.seconds, connections=options.connections)
                busy[server.name].append(load.cpu_us)
                rest[server.name].append(at_rest(server, 1))
        return report(judge(busy, rest))


if __name__ == "__main__":
    sys.exit(main())

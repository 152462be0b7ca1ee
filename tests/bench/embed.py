"""How many `GET /embed/status` a second, beside the same answer from bare Flask."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from measure import HERE, ROOT, Load, Server, at_least, at_most, report, shardapi, wrk

NETS = ("Command Net", "Strike Net", "Air Wing", "Ground Net", "Logistics", "Medevac")
REFERENCE_PATH = "/api/v1/status"  # where the reference serves whatever it is given
PEACE = 0.05  # share of all cores that others may take in a cell
TARGET = 1.5


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has requirements.txt")
    parser.add_argument("--worker", default="shardapi.worker.Worker", help="worker class of the reference")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of each cell")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--patience", type=int, default=5, help="tries for a cell that others disturb")
    return parser.parse_args()


def said(*words: str, data: Path) -> dict[str, str]:
    """What a command prints as JSON."""
    printed = subprocess.run(shardapi(*words, "--json", data=data), stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, str] = json.loads(printed)
    return found


def start_shardapi(folder: Path) -> tuple[Server, str]:
    """The server under test with six nets and an open operation, and the path of its public status."""
    data = folder / "data"
    key = {"Authorization": f"Bearer {said('keys', 'create', 'bench', '--all-scopes', data=data)['secret']}"}
    path = "/api/v1/embed/status?token=" + said("public-token", "show", data=data)["token"]
    command = shardapi("serve", "--bind", "127.0.0.1:0", data=data)
    server = Server("shardapi", command, folder / "shardapi.log", ready=path)
    for call, body in [*(("nets", {"name": name}) for name in NETS), ("operation", {"open": True})]:
        request = urllib.request.Request(f"{server.url}/api/v1/{call}", json.dumps(body).encode(), key)
        server.send(request)
    return server, path


def start_reference(options: argparse.Namespace, folder: Path, answer: Path) -> Server:
    """Flask and `jsonify` with the captured answer."""
    flask = [
        *("-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "1", "--worker-class", options.worker),
        *("--worker-connections", "4096", "--keep-alive", "20", "--http-parser", "python"),
        *("--forwarder-headers", "", "--no-control-socket", "bare_flask:app"),
    ]
    return Server(
        "bare-flask",
        [options.python, *flask],
        folder / "bare-flask.log",
        env={
            "BENCH_STATUS": str(answer),
            "BENCH_KEY": "scok_" + "b" * 36,
            "PYTHONPATH": f"{HERE / 'references'}:{ROOT}",
        },
        ready=REFERENCE_PATH,
    )


def capture(server: Server, path: str, answer: Path) -> None:
    """Keep the answer for the reference, once its second is over and it has every net."""
    while len(json.loads(server.get(path))["nets"]) < len(NETS):
        pass
    answer.write_bytes(server.get(path))


def measure(places: list[tuple[Server, str]], options: argparse.Namespace) -> dict[str, list[Load]]:
    """Every server in every round, each round begun by another."""
    loads: dict[str, list[Load]] = {server.name: [] for server, _ in places}
    for server, path in places:
        wrk(server, path, seconds=1, connections=options.connections)
    for number in range(options.rounds):
        for server, path in places if number % 2 else reversed(places):
            loads[server.name].append(in_peace(server, path, options))
    return loads


def in_peace(server: Server, path: str, options: argparse.Namespace) -> Load:
    """One cell; again, a few times, where other processes took part of the machine meanwhile."""
    for _ in range(options.patience):
        load = wrk(server, path, seconds=options.seconds, connections=options.connections)
        if load.others <= PEACE:
            break
    return load


def tell(loads: dict[str, list[Load]]) -> None:
    """Print a line for each server, and what falsifies them."""
    for name, rounds in loads.items():
        load = Load(*map(statistics.median, zip(*rounds, strict=True)))
        print(f"# {name:<11} {load.rate:6.0f} req/s  p99 {load.p99:5.2f} ms  {load.cpu_us:4.0f} us of CPU")
    worst = max(load.others for rounds in loads.values() for load in rounds)
    if worst > PEACE:
        print(f"# disturbed: other processes took up to {worst:.0%} of the cores; trust no verdict below")


def main() -> int:
    """Start both, compare, judge."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="shardapi-embed-") as name, ExitStack() as running:
        folder = Path(name)
        ours, path = start_shardapi(folder)
        running.enter_context(ours)
        capture(ours, path, folder / "status.json")
        theirs = running.enter_context(start_reference(options, folder, folder / "status.json"))
        loads = measure([(ours, path), (theirs, REFERENCE_PATH)], options)
        tell(loads)
        pairs = list(zip(loads["shardapi"], loads["bare-flask"], strict=True))
        p99 = [statistics.median(load.p99 for load in loads[name]) for name in ("shardapi", "bare-flask")]
        by_cpu = statistics.median(ref.cpu_us / own.cpu_us for own, ref in pairs)
        print(f"# embed/bare-flask by CPU per request: {by_cpu:.2f}")
        ratio = statistics.median(own.rate / ref.rate for own, ref in pairs)
        return report([at_least("embed/bare-flask", ratio, TARGET), at_most("embed/p99-ms", *p99)])


if __name__ == "__main__":
    sys.exit(main())

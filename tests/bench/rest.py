"""How many `GET /status` a second, beside the same answer from bare Flask, the stock assembly and FastAPI."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from measure import HERE, ROOT, Load, Server, Verdict, at_least, at_most, report, shardapi, wrk

PATH = "/api/v1/status"
NETS = ("Command Net", "Strike Net", "Air Wing", "Ground Net", "Logistics", "Medevac")
PEACE = 0.05  # share of all cores that others may take in a cell
TARGETS = {"bare-flask": 1.4, "stock-flask": 3.2, "fastapi": 1.15}
REFERENCE_KEY = "scok_" + "b" * 36
UNLIMITED = {"SHARDAPI_LIMITS__DEFAULT": "100000000/minute"}


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has requirements.txt")
    parser.add_argument(
        "--worker", default="shardapi.worker.Worker", help="worker class of the Flask references"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="length of each cell")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--patience", type=int, default=5, help="tries for a cell that others disturb")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these servers only, for a look")
    return parser.parse_args()


def secret(name: str, scope: str, data: Path) -> str:
    """Mint a key and return its secret."""
    command = shardapi("keys", "create", name, "--scope", scope, "--json", data=data)
    minted = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return str(json.loads(minted)["secret"])


def start_shardapi(folder: Path) -> Server:
    """The server under test."""
    data = folder / "data"
    key = {"Authorization": f"Bearer {secret('bench', 'read:status', data)}"}
    command = shardapi("serve", "--bind", "127.0.0.1:0", data=data)
    return Server("shardapi", command, folder / "shardapi.log", env=UNLIMITED, ready=PATH, headers=key)


def fill(server: Server, folder: Path) -> bytes:
    """Create as many nets as make an answer of 1.5 KB; returns that answer."""
    key = f"Bearer {secret('writer', 'write:nets', folder / 'data')}"
    for name in NETS:
        body = json.dumps({"name": name}).encode()
        request = urllib.request.Request(server.url + "/api/v1/nets", body, {"Authorization": key})
        server.send(request)
    return server.get(PATH)


def start_reference(name: str, options: argparse.Namespace, status: Path) -> Server:
    """A reference that serves the captured answer."""
    flask = [
        *("-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "1", "--worker-class", options.worker),
        *("--worker-connections", "4096", "--keep-alive", "20", "--http-parser", "python"),
        *("--forwarder-headers", "", "--no-control-socket"),
    ]
    uvicorn = ["-m", "uvicorn", "--host", "127.0.0.1", "--port", "0", "--no-access-log"]
    commands = {
        "bare-flask": [*flask, "bare_flask:app"],
        "stock-flask": [*flask, "stock_flask:app"],
        "fastapi": [*uvicorn, "fastapi_duties:app"],
    }
    return Server(
        name,
        [options.python, *commands[name]],
        status.with_name(f"{name}.log"),
        env={
            "BENCH_STATUS": str(status),
            "BENCH_KEY": REFERENCE_KEY,
            "PYTHONPATH": f"{HERE / 'references'}:{ROOT}",
        },
        ready=PATH,
        headers={"Authorization": f"Bearer {REFERENCE_KEY}"},
    )


def start_all(options: argparse.Namespace, folder: Path) -> Iterator[Server]:
    """shardapi first: the references serve what it answered, or the sample where it is left out."""
    wanted = options.only or ["shardapi", *TARGETS]
    status = folder / "status.json"
    status.write_bytes((HERE / "references" / "status.json").read_bytes())
    if "shardapi" in wanted:
        server = start_shardapi(folder)
        yield server
        status.write_bytes(fill(server, folder))
    for name in TARGETS:
        if name in wanted:
            yield start_reference(name, options, status)


def check_same(servers: list[Server]) -> None:
    """Refuse to compare answers that differ."""
    answers = {server.name: json.loads(server.get(PATH)) for server in servers}
    first = answers[servers[0].name]
    for name, answer in answers.items():
        if answer != first:
            raise SystemExit(f"{name} answers something else:\n{answer}\n{first}")


def versions(python: str) -> str:
    """What an interpreter has of the packages that both sides run on."""
    ask = "from importlib.metadata import version as v; print(*map(v, ('flask', 'gevent', 'gunicorn')))"
    found = subprocess.run([python, "-c", ask], stdout=subprocess.PIPE, text=True, check=True).stdout
    return "flask {}, gevent {}, gunicorn {}".format(*found.split())


def measure(servers: list[Server], options: argparse.Namespace) -> dict[str, list[Load]]:
    """Every server in every round, each round begun by another."""
    loads: dict[str, list[Load]] = {server.name: [] for server in servers}
    for server in servers:
        wrk(server, PATH, seconds=1, connections=options.connections)
    for number in range(options.rounds):
        turn = number % len(servers)
        for server in servers[turn:] + servers[:turn]:
            loads[server.name].append(in_peace(server, options))
    worst = max(load.others for rounds in loads.values() for load in rounds)
    if worst > PEACE:
        print(f"# disturbed: other processes took up to {worst:.0%} of the cores; trust no verdict below")
    return loads


def in_peace(server: Server, options: argparse.Namespace) -> Load:
    """One cell; again, a few times, where other processes took part of the machine meanwhile."""
    for _ in range(options.patience):
        load = wrk(server, PATH, seconds=options.seconds, connections=options.connections)
        if load.others <= PEACE:
            break
    return load


def median(field: str, rounds: list[Load]) -> float:
    """The median of one column."""
    return float(statistics.median(getattr(load, field) for load in rounds))


def table(servers: list[Server], loads: dict[str, list[Load]]) -> None:
    """Print one line per server: the medians of its rounds."""
    columns = ("req/s", "from", "to", "p50 ms", "p99 ms", "cpu us", "others", "bytes")
    print(f"{'server':<12}", *(f"{column:>7}" for column in columns))
    for server in servers:
        rounds = loads[server.name]
        load, rates = Load(*map(statistics.median, zip(*rounds, strict=True))), [load.rate for load in rounds]
        print(
            f"{server.name:<12} {load.rate:>7.0f} {min(rates):>7.0f} {max(rates):>7.0f} {load.p50:>7.2f}"
            f" {load.p99:>7.2f} {load.cpu_us:>7.0f} {load.others:>7.0%} {len(server.get(PATH)):>7}"
        )


def judge(loads: dict[str, list[Load]]) -> list[Verdict]:
    """Each ratio (the median of the rounds' ratios) beside its target, and the tail beside bare Flask's."""
    verdicts = []
    for name, target in TARGETS.items():
        pairs = zip(loads.get("shardapi", ()), loads.get(name, ()), strict=False)
        if ratios := [ours.rate / theirs.rate for ours, theirs in pairs]:
            verdicts.append(at_least(f"rest/{name}", statistics.median(ratios), target))
            by_cpu = median("cpu_us", loads[name]) / median("cpu_us", loads["shardapi"])
            print(f"# rest/{name} by CPU per request: {by_cpu:.2f}")
    if "shardapi" in loads and "bare-flask" in loads:
        verdicts.append(
            at_most("rest/p99-ms", median("p99", loads["shardapi"]), median("p99", loads["bare-flask"]))
        )
    return verdicts


def main() -> int:
    """Start all, compare, judge."""
    options = arguments()
    print(f"# shardapi on {versions(sys.executable)}; references on {versions(options.python)}")
    with tempfile.TemporaryDirectory(prefix="shardapi-rest-") as folder, ExitStack() as running:
        servers = [running.enter_context(server) for server in start_all(options, Path(folder))]
        check_same(servers)
        loads = measure(servers, options)
        table(servers, loads)
        return report(judge(loads))


if __name__ == "__main__":
    sys.exit(main())

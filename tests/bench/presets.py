"""How long a preset of 50 nets and 1,000 assignments takes, from the start of the HTTP call to its answer on disk."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from measure import Server, Verdict, at_most, busy_seconds, own_seconds, report, shardapi

NETS, ASSIGNMENTS = 50, 1000
CONFIG = '[limits]\ndefault = "1000000/minute"\n\n[server]\nbind = "127.0.0.1:0"\n'
PRESET = {
    "name": "Bench",
    "nets": [{"id": number, "name": f"Net {number}"} for number in range(1, NETS + 1)],
    "assignments": [
        {"userId": str(10**17 + number), "netId": number % NETS + 1} for number in range(ASSIGNMENTS)
    ],
    "open": True,
}


def call(server: Server, method: str, path: str, body: Any = None) -> tuple[dict[str, Any], float]:
    """The answer, and the milliseconds it took."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}/api/v1{path}", data=data, method=method)
    began = time.perf_counter()
    answer = server.send(request)
    return json.loads(answer), (time.perf_counter() - began) * 1000


def measure(server: Server, rounds: int) -> list[Verdict]:
    """Each round saves the preset anew and applies it to a guild without nets, and once more."""
    times: dict[str, list[float]] = {"save": [], "apply": [], "again": []}
    for _ in range(rounds):
        for net in call(server, "GET", "/status")[0]["nets"]:
            call(server, "DELETE", f"/nets/{net['uid']}")
        call(server, "POST", "/presets", {"name": "Bench"})
        times["save"].append(call(server, "POST", "/presets", PRESET)[1])
        answer, took = call(server, "POST", "/presets/Bench/apply", {})
        assert answer["applied"] >= NETS + ASSIGNMENTS, answer["applied"]
        times["apply"].append(took)
        answer, took = call(server, "POST", "/presets/Bench/apply", {})
        assert answer["changed"] is False
        times["again"].append(took)
    for name, found in times.items():
        print(f"# {name}: median {statistics.median(found):.0f} ms, most {max(found):.0f} ms of {rounds}")
    return [
        at_most("presets/apply-ms", max(times["apply"]), 300),
        at_most("presets/again-ms", max(times["again"]), 300),
    ]


def bench(folder: Path, rounds: int) -> int:
    """Measure a server on a store in this folder."""
    data, config = folder / "data", folder / "shardapi.toml"
    config.write_text(CONFIG)
    made = shardapi("keys", "create", "bench", "--all-scopes", "--json", data=data)
    secret = json.loads(subprocess.run(made, capture_output=True, check=True).stdout)["secret"]
    command = shardapi("serve", "--config", str(config), data=data)
    key = {"Authorization": f"Bearer {secret}"}
    with Server("shardapi", command, folder / "log", headers=key) as server:
        began, busy, own = time.perf_counter(), busy_seconds(), own_seconds() + server.cpu_seconds()
        verdicts = measure(server, rounds)
        others = busy_seconds() - busy - (own_seconds() + server.cpu_seconds() - own)
        cores = (time.perf_counter() - began) * (os.cpu_count() or 1)
        print(f"# others took {100 * max(0.0, others / cores):.0f} % of the cores meanwhile")
    return report(verdicts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return bench(Path(folder), options.rounds)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Builds tonight's board from signups: a net for each squad, everyone on theirs, the operation opened, a briefing sent.

    SHARD=https://shard.example.com KEY=scok_... ./board-from-signups.py [signups.csv] [BRIEFING]

The file has the columns userId,name,squad. RENAME="Old Name=New Name" takes over a net of last week for a squad of
today first. A second run makes no second net.
"""

import csv
import json
import os
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent


def call(method, path, body=None):
    """One call of the Owner API; ends with what the shard says if it refuses."""
    headers = {"Authorization": f"Bearer {os.environ['KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{os.environ['SHARD']}/api/v1{path}", data, headers, method=method)
    try:
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        problem = json.loads(error.read())
        sys.exit(f"{method} {path}: {problem['error']} {problem.get('hint', '')}")
    except URLError as error:
        sys.exit(f"{method} {path}: {error.reason}")


def main(signups=HERE / "signups.csv", briefing="Briefing in 5 minutes"):
    try:
        with open(signups, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        sys.exit(f"{signups}: {error.strerror}")
    nets = {net["name"]: net["netUid"] for net in call("GET", "/status")["nets"]}

    old, _, new = os.environ.get("RENAME", "").partition("=")
    if old in nets:
        call("POST", "/nets/rename", {"netUid": nets[old], "name": new})
        nets[new] = nets.pop(old)
        print(f"{old} is called {new} now.")

    for squad in sorted({row["squad"] for row in rows} - nets.keys()):
        nets[squad] = call("POST", "/nets", {"name": squad})["netUid"]
        print(f"Made the net {squad} ({nets[squad]}).")

    items = [{"userId": row["userId"], "netUid": nets[row["squad"]]} for row in rows]
    for start in range(0, len(items), 200):
        done = call("POST", "/assignments/bulk", {"assignments": items[start : start + 200], "atomic": True})
        print(f"Assigned {done['applied']}, {done['skipped']} were so already.")

    call("POST", "/operation", {"open": True})
    print("The operation is open.")
    alert = call("POST", "/acars", {"text": briefing, "senderName": "Ops"})
    print(f"The briefing reached {alert['routed']} clients.")


if __name__ == "__main__":
    for name in ("SHARD", "KEY"):
        if not os.environ.get(name):
            sys.exit(f"{name} is not set")
    main(*sys.argv[1:])

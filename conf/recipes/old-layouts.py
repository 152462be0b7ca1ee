#!/usr/bin/env python3
"""Keeps old channel layouts: stores a net as it is now, finds stored ones by words, brings one back.

    SHARD=https://shard.example.com KEY=scok_... ./old-layouts.py keep NET [NOTES] [TAG...]
    ./old-layouts.py search WORDS
    ./old-layouts.py restore UID

Nets that are removed are kept by the shard itself, and restored with the uid they had.
"""

import json
import os
import sys
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen


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


def keep(name, notes="", *tags):
    net = next((net for net in call("GET", "/status")["nets"] if net["name"] == name), None)
    if net is None:
        sys.exit(f"there is no net called {name}")
    assignments = call("GET", "/assignments")["assignments"]
    entry = {
        "name": name,
        "notes": notes,
        "tags": tags,
        "assignedUserIds": [user for user, nets in assignments.items() if net["id"] in nets],
        "relayTargetNetUids": net["relayTargetNetUids"],
    }
    kept = call("POST", "/archive", entry)["entry"]
    print(f"Kept {kept['name']} with {len(kept['assignedUserIds'])} people as {kept['uid']}.")


def search(words):
    for entry in call("GET", f"/archive?q={quote(words)}")["entries"]:
        print(f"{entry['uid']}  {entry['archivedAt'][:10]}  {entry['name']}  {' '.join(entry['tags'])}")


def restore(uid):
    net = call("POST", f"/archive/{quote(uid)}/restore", {})
    print(f"{net['name']} is net {net['netId']} now ({net['netUid']}).")


if __name__ == "__main__":
    for name in ("SHARD", "KEY"):
        if not os.environ.get(name):
            sys.exit(f"{name} is not set")
    commands = {"keep": keep, "search": search, "restore": restore}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])

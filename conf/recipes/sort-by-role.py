#!/usr/bin/env python3
"""Sorts members by their Discord roles: who holds a role is on its net at once, or the moment they join.

    SHARD=https://shard.example.com KEY=scok_... ./sort-by-role.py [roles.csv]

The file has the columns roleId,role,net. Rules of other roles stay as they are.
"""

import csv
import json
import os
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
TRIES = 5


class Moved(Exception):
    """Raised when something was changed since the look at /status."""


def call(method, path, body=None, version=None):
    """One call of the Owner API; ends with what the shard says if it refuses."""
    headers = {"Authorization": f"Bearer {os.environ['KEY']}", "Content-Type": "application/json"}
    if version is not None:
        headers["If-Match"] = f'"{version}"'
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{os.environ['SHARD']}/api/v1{path}", data, headers, method=method)
    try:
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        problem = json.loads(error.read())
        said = f"{method} {path}: {problem['error']} {problem.get('hint', '')}"
        if problem["code"] == "precondition_failed":
            raise Moved(said) from None
        sys.exit(said)
    except URLError as error:
        sys.exit(f"{method} {path}: {error.reason}")


def sort(roles):
    """Look, decide, write. Raises Moved."""
    status = call("GET", "/status")
    nets = {net["name"]: net["netUid"] for net in status["nets"]}
    wanted = {}
    with open(roles, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["net"] not in nets:
                sys.exit(f"there is no net called {row['net']}")
            wanted.setdefault(row["roleId"], []).append(nets[row["net"]])

    others = [rule for rule in call("GET", "/rules")["rules"] if rule["roleId"] not in wanted]
    rules = [{"roleId": rule["roleId"], "netUids": rule["netUids"]} for rule in others]
    rules += [{"roleId": role, "netUids": uids} for role, uids in wanted.items()]

    # First only see what would come of it, then do it; refused if anything was changed since the look at /status.
    version = status["version"]
    if not call("POST", "/rules?dryRun=true", {"rules": rules}, version)["changed"]:
        print("Nothing to change.")
        return
    for rule in call("POST", "/rules", {"rules": rules}, version)["rules"]:
        print(f"{rule['roleId']} is on {', '.join(rule['netUids'])}")


def main(roles=HERE / "roles.csv"):
    for tried in range(1, TRIES + 1):
        try:
            return sort(roles)
        except Moved as moved:  # on a busy shard something often is: look again
            if tried == TRIES:
                sys.exit(str(moved))


if __name__ == "__main__":
    for name in ("SHARD", "KEY"):
        if not os.environ.get(name):
            sys.exit(f"{name} is not set")
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Gives each bot of the staff a key of its own that may do only its job, and takes one back when a bot is replaced.

    ./staff-keys.py create
    ./staff-keys.py revoke NAME

It runs where the shard runs, with its `shardapi` command and its settings (SHARDAPI_DATA_DIR or SHARDAPI_CONFIG). Each
secret is printed this once.
"""

import json
import subprocess
import sys

STAFF = {
    "dashboard": ["--bundle", "dashboard"],
    "alerts": ["--scope", "write:acars"],
    "assigner": ["--scope", "read:status", "--scope", "read:assignments", "--scope", "write:assignments"],
    "automation": ["--bundle", "ops"],
}


def shardapi(*arguments):
    """Runs a command of the shard's; ends with what it says if it refuses."""
    done = subprocess.run(["shardapi", *arguments, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


def create():
    for name, scopes in STAFF.items():
        print(f"{name:12} {shardapi('keys', 'create', name, *scopes)['secret']}")


def revoke(name):
    live = [key for key in shardapi("keys", "list") if key["name"] == name and key["state"] == "live"]
    if not live:
        sys.exit(f"there is no live key called {name}")
    for key in live:
        shardapi("keys", "revoke", key["id"])
        print(f"{key['id']} ({name}) is revoked.")


if __name__ == "__main__":
    if sys.argv[1:] == ["create"]:
        create()
    elif len(sys.argv) == 3 and sys.argv[1] == "revoke":
        revoke(sys.argv[2])
    else:
        sys.exit(__doc__)

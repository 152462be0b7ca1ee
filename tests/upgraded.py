"""Upgrades a copy of a store once whole, and once for each statement of that with a SIGKILL before the statement.

Called with the folder of the store, whose migrations they are, where those are, and where the copies go; prints how
many statements there were and how each process ended. Each upgrade is a process of its own, forked while there are no
threads.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from shardapi import upgrades
from shardapi.store import PRAGMAS, alone


def upgrade(folder: Path, name: str, directory: Path, die_at: int) -> int:
    """Run the migrations, dead before that statement; returns how many there were."""
    seen = 0
    with alone(folder / "shard.sqlite3", "rw") as db:
        for pragma, value in PRAGMAS.items():
            db.execute_sql(f"PRAGMA {pragma} = {value}")

        def count(statement: str) -> None:
            nonlocal seen
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

        connection: Any = db.connection()
        connection.set_trace_callback(count)
        upgrades.run(name, directory)
        connection.set_trace_callback(None)
    return seen


def apart(folder: Path, name: str, directory: Path, die_at: int) -> int:
    """The same in a process of its own; returns the signal that ended it."""
    if child := os.fork():
        return os.WTERMSIG(os.waitpid(child, 0)[1])
    upgrade(folder, name, directory, die_at)
    os._exit(0)


def main(old: Path, name: str, directory: Path, into: Path) -> None:
    """Do it."""
    shutil.copytree(old, into / "whole")
    statements = upgrade(into / "whole", name, directory, -1)
    killed = []
    for number in range(statements):
        shutil.copytree(old, into / str(number))
        killed.append(apart(into / str(number), name, directory, number))
    print(json.dumps({"statements": statements, "killed": killed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))

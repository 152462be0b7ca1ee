"""How long from the command to the first 200, and what the whole service weighs while nobody calls."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from measure import Server, at_most, report, shardapi

SECONDS = 0.6
MIB = 64


def serve(data: Path, log: Path) -> Server:
    """Start the server on a data folder; returns when it has answered."""
    return Server("shardapi", shardapi("serve", "--bind", "127.0.0.1:0", data=data), log)


def starts(folder: Path, runs: int, *, fresh: bool) -> list[float]:
    """Seconds to the first 200, each on an empty folder or all on the one that an earlier start filled."""
    taken, cpu = [], []
    for number in range(runs + 1):
        with serve(folder / (f"fresh-{number}" if fresh else "data"), folder / "log") as server:
            taken.append(server.seconds_to_first_answer)
            cpu.append(server.cpu_seconds())
    what = "fresh" if fresh else "again"
    print(f"# {what}: {min(taken[1:]):.3f} to {max(taken[1:]):.3f} s, CPU {statistics.median(cpu[1:]):.3f} s")
    return taken[1:]


def weight(server: Server) -> tuple[float, float]:
    """MiB of all its processes: their PSS, and what that would be if nobody else mapped the same files."""
    proportional = anonymous = 0
    files: dict[tuple[str, ...], int] = {}
    for pid in server.pids():
        rollup = rolled_up(pid)
        proportional += rollup["Pss"]
        anonymous += rollup["Pss_Anon"] + rollup["Pss_Shmem"]
        for mapping, resident in mapped_files(pid).items():
            files[mapping] = max(files.get(mapping, 0), resident)
    return proportional / 1024, (anonymous + sum(files.values())) / 1024


def rolled_up(pid: int) -> dict[str, int]:
    """The sums of a process's mappings, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def mapped_files(pid: int) -> dict[tuple[str, ...], int]:
    """Resident KiB of file-backed pages by device, inode and offset."""
    found: dict[tuple[str, ...], int] = {}
    mapping: tuple[str, ...] = ()
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            mapping = (words[3], words[4], words[2]) if words[4] != "0" else ()
        elif mapping and words[0] == "Rss:":
            found[mapping] = int(words[1])
        elif mapping and words[0] == "Anonymous:":
            found[mapping] -= int(words[1])
    return found


def idle(folder: Path, calm: float) -> tuple[float, float]:
    """The weight of a server that has answered a few calls and then rested."""
    with serve(folder / "data", folder / "log") as server:
        for _ in range(20):
            server.get("/health")
            server.get("/ready")
        time.sleep(calm)
        for pid in server.pids():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            print(f"# {pid} {rolled_up(pid)['Pss'] / 1024:.1f} MiB {command}")
        return weight(server)


def main() -> int:
    """Start it again and again, then weigh it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--calm", type=float, default=3.0, help="seconds of rest before it is weighed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shardapi-start-") as name:
        folder = Path(name)
        again = starts(folder, options.runs, fresh=False)
        fresh = starts(folder, options.runs, fresh=True)
        proportional, alone = idle(folder, options.calm)
    return report(
        [
            at_most("start/again-s", statistics.median(again), SECONDS),
            at_most("start/fresh-s", statistics.median(fresh), SECONDS),
            at_most("start/idle-pss-mib", proportional, MIB),
            at_most("start/idle-alone-mib", alone, MIB),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

"""What systemd knows of the service, where it runs this machine."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from .case import Case
from .finding import Finding, error, info, ok, warn

BOOTED = Path("/run/systemd/system")
UNIT = "shardapi.service"
ASKED = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NeedDaemonReload", "NRestarts", "Result")
SECONDS = 10
MANY = 3


def look(case: Case) -> Iterator[Finding]:
    """Whether the unit is there, begins with the machine, and stays up."""
    if not BOOTED.is_dir():
        yield info(
            "systemd",
            "this machine was not booted with systemd: see to it that the shard is started and kept up",
        )
        return
    unit = _told()
    if unit.get("LoadState") != "loaded":
        yield info(
            "systemd",
            f"there is no {UNIT}: nothing starts the shard with the machine",
            "shardapi install-systemd",
        )
        return
    yield from _state(unit)
    if unit.get("UnitFileState") == "disabled":
        yield warn(
            "systemd",
            f"{UNIT} is not enabled: it does not start with the machine",
            f"systemctl enable {UNIT}",
        )
    if unit.get("NeedDaemonReload") == "yes":
        yield warn("systemd", f"{UNIT} was changed and not read again", "systemctl daemon-reload")


def _state(unit: dict[str, str]) -> Iterator[Finding]:
    state, restarts = unit.get("ActiveState", ""), int(unit.get("NRestarts") or 0)
    log = f"journalctl -u {UNIT} says why."
    if state == "failed":
        yield error("systemd", f"{UNIT} has failed ({unit.get('Result')})", log)
    elif state != "active":
        yield info("systemd", f"{UNIT} is {state}", f"systemctl start {UNIT}")
    elif restarts >= MANY:
        yield warn("systemd", f"{UNIT} runs, and was started anew {restarts} times after failures", log)
    else:
        yield ok("systemd", f"{UNIT} runs")


def _told() -> dict[str, str]:
    call = ["systemctl", "show", UNIT, *(f"--property={name}" for name in ASKED)]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

"""What systemd knows of the service, where it runs this machine."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..process import systemctl
from .case import Case
from .finding import Finding, error, info, ok, warn

BOOTED = Path("/run/systemd/system")
ASKED = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "NRestarts", "Result")
SECONDS = 10
MANY = 3


def look(case: Case) -> Iterator[Finding]:
    """Whether the unit is there, begins with the machine, and stays up; and whether the backups' timer does."""
    if not booted():
        what = "this machine was not booted with systemd"
        yield info("systemd", what, "See to it that the shard is started, and started anew when it ends.")
        return
    process = case.process if case.has_folder else None
    if process is not None and not process.unit:
        yield info("systemd", "the server that runs was started by hand", "shardapi install-systemd")
        return
    name = process.unit if process is not None else unit_of(case)
    for of_a_user in (False, True) if process is None else (process.of_a_user,):
        control = systemctl(of_a_user)
        unit = _told(control, name)
        if unit.get("LoadState") == "loaded":
            yield from _state(control, name, unit)
            yield from _timer(control, f"{backup_of(name)}.timer")
            return
    what = f"there is no {name}: nothing starts the shard with the machine"
    yield info("systemd", what, "shardapi install-systemd")


def booted() -> bool:
    """Whether systemd runs this machine."""
    return BOOTED.is_dir()


def unit_of(case: Case) -> str:
    """What our unit is called that serves it: shardapi, or shardapi@NAME for the data in shardapi-NAME."""
    if case.has_folder and case.process and case.process.unit.startswith("shardapi"):
        return case.process.unit
    instance = case.folder.name.removeprefix("shardapi-")
    return "shardapi.service" if instance == case.folder.name else f"shardapi@{instance}.service"


def backup_of(unit: str) -> str:
    """What the units of its backups are called, without .service or .timer."""
    return unit.removesuffix(".service").replace("shardapi", "shardapi-backup", 1)


def _state(control: str, name: str, unit: dict[str, str]) -> Iterator[Finding]:
    state, restarts = unit.get("ActiveState", ""), int(unit.get("NRestarts") or 0)
    log = f"{control.replace('systemctl', 'journalctl')} -u {name} says why."
    if state == "failed":
        yield error("systemd", f"{name} has failed ({unit.get('Result')})", log)
    elif state != "active":
        yield info("systemd", f"{name} is {state}", f"{control} start {name}")
    elif restarts >= MANY:
        yield warn("systemd", f"{name} runs, and was started anew {restarts} times after failures", log)
    else:
        yield ok("systemd", f"{name} runs")
    if unit.get("UnitFileState") == "disabled":
        what = f"{name} is not enabled: it does not start with the machine"
        yield warn("systemd", what, f"{control} enable {name}")
    if unit.get("NeedDaemonReload") == "yes":
        yield warn("systemd", f"{name} was changed and not read again", f"{control} daemon-reload")


def _timer(control: str, name: str) -> Iterator[Finding]:
    timer = _told(control, name)
    if timer.get("LoadState") == "loaded" and timer.get("ActiveState") != "active":
        do = f"{control} enable --now {name}"
        yield warn("systemd.backup", f"{name} does not run: no backup is made by itself", do)


def _told(control: str, name: str) -> dict[str, str]:
    call = [*control.split(), "show", name, *(f"--property={one}" for one in ASKED)]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

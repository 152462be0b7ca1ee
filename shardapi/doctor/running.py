"""The server itself: whether it runs and answers, which version it is, and what its plugins do wrong."""

import http.client
from collections.abc import Iterator
from ipaddress import ip_address

import msgspec

from ..config import ServerSettings, host_and_port
from ..health import Readiness
from ..shard import VERSION
from . import ask
from .case import Case
from .finding import Finding, error, info, ok, warn
from .machine import booted, unit_of

ENOUGH_FILES = 4096 + 1024  # requests at once, streams and sockets aside
MOST_USED = 0.8


def look(case: Case) -> Iterator[Finding]:
    """By the lock of the data folder, and by asking where it listens."""
    bind, door = ask.local(case)
    if not case.has_folder or not case.served:
        yield info(
            "server",
            f"no server runs on {case.folder}",
            "What only a running one can tell was not looked at.",
        )
        if not case.problem and not bind.endswith(":0") and _taken(door):
            yield error(
                "server.bind", f"another program listens on {bind}", "End it, or choose another server.bind."
            )
        return
    if case.problem:
        what = f"a server has {case.folder}; with settings that cannot be used it was not asked"
        yield info("server", what, "Correct the settings, and run this again.")
        return
    try:
        reply = door.probe(case.tokens)
    except (OSError, http.client.HTTPException) as problem:
        what = f"a server has {case.folder}, but does not answer on {bind}: {ask.why(problem)}"
        yield error("server", what, f"See its log{_journal(case)}; was it started with another --bind?")
        return
    if reply.seen is None:
        what = f"what answers on {bind} is not the server of {case.folder}, or has another signing secret"
        yield error("server", what, "Run this with the settings and the environment that the server has.")
        return
    case.answers = True
    yield from _bind(case)
    yield from _version(case, reply.seen.version, bind)
    yield _files(reply.seen.files, reply.seen.most_files)
    yield from _plugins(door)


def _bind(case: Case) -> Iterator[Finding]:
    """A socket of systemd's stays where it is, whatever the settings come to say."""
    wanted, usual = case.settings.server.bind, ServerSettings().bind
    places = case.process.places() if case.process else []
    if not places or wanted == usual or wanted.endswith(":0") or _same(wanted) in map(_same, places):
        return
    what = f"it listens on {' and '.join(places)}, though server.bind is {wanted}"
    unit = unit_of(case).removesuffix(".service")
    do = "Restart it."
    if booted():
        do = f"Restart it; where systemd has opened the socket, change that: systemctl edit {unit}.socket"
    yield warn("server.bind", what, do)


def _journal(case: Case) -> str:
    return f" (journalctl -u {unit_of(case).removesuffix('.service')})" if booted() else ""


def _same(place: str) -> tuple[str, int]:
    """A place as one writes it that has many ways to be written."""
    if place.startswith("/"):
        return place, 0
    host, port = host_and_port(place)
    try:
        return str(ip_address(host)), port
    except ValueError:
        return "127.0.0.1" if host == "localhost" else host, port


def _taken(door: ask.Door) -> bool:
    link = door.connect()
    try:
        link.connect()
    except OSError:
        return False
    finally:
        link.close()
    return True


def _version(case: Case, running: str, bind: str) -> Iterator[Finding]:
    if running == VERSION:
        yield ok("server", f"shardapi {VERSION} answers on {bind}")
    else:
        what = f"shardapi {running} answers on {bind}, but {VERSION} is installed"
        do = (
            f"Restart it: systemctl restart {unit_of(case).removesuffix('.service')}"
            if booted()
            else "Restart it."
        )
        yield warn("server", what, do)


def _files(used: int, most: int) -> Finding:
    what = f"the server has {used} of {most} file descriptors; each operator and each stream takes one"
    do = "Raise LimitNOFILE in its unit, 65536 is usual (ulimit -n in a shell)."
    if used > most * MOST_USED:
        return error("server.files", what, do)
    return warn("server.files", what, do) if most < ENOUGH_FILES else ok("server.files", what)


def _plugins(door: ask.Door) -> Iterator[Finding]:
    try:
        reply = door.get("/ready")
        if reply.status != 200:
            said = msgspec.json.decode(reply.body)
            yield error(
                "server.ready",
                str(said.get("error", reply.status)),
                "See the log, and the looks at the store.",
            )
            return
        problems = msgspec.json.decode(reply.body, type=Readiness).problems
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as problem:
        yield error("server.ready", f"/ready does not answer: {ask.why(problem)}", "See the log.")
        return
    for one in problems:
        what = f"{one.plugin}: {one.where}: {one.what} ({one.count} times, last {one.last})"
        yield warn(
            "plugins", what, "The log has its traceback; switch the plugin off if it is not yours to mend."
        )
    if not problems:
        yield ok("plugins", "none has a problem")

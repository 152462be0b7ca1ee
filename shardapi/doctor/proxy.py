"""The shard under its public URL: TLS, and whether a proxy passes on what it must."""

import http.client
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from ipaddress import ip_address, ip_network

from ..dispatch import own_hosts
from ..routes import API_PREFIX
from . import ask, upgrade
from .ask import Door, Reply
from .case import Case
from .finding import Finding, error, info, ok, warn

OFF_SECONDS = 30
DAY, SHORT_DAYS, ENOUGH_DAYS = 86_400, 7, 20  # less for a certificate that is never good for long
SOMEBODY = "192.0.2.66"  # an address for examples: nobody has it
BUFFERED = "Switch buffering off for it: proxy_buffering off in nginx; see conf/ for whole examples."


def look(case: Case) -> Iterator[Finding]:
    """As a client would come, but with questions that only this shard answers."""
    url = case.settings.server.public_url
    obstacles = (
        (case.problem, "the settings cannot be used", "Correct them, and run this again."),
        (not url, "there is no public_url", "Set server.public_url, if others are to reach the shard."),
        (not case.answers, "no server answers here", "Start the shard, and run this again."),
    )
    for there, why, do in obstacles:
        if there:
            yield info("public", f"not looked at: {why}", do)
            return
    door, reply = Door(url), None
    try:
        reply = door.probe(case.tokens)
    except ssl.SSLCertVerificationError as problem:
        yield error(
            "public.tls", f"the certificate of {url} is not valid: {problem.verify_message}", _renew(problem)
        )
    except ssl.SSLError as problem:
        yield error(
            "public.tls",
            f"no TLS with {url}: {problem.reason}",
            "See the proxy's log and its settings of TLS.",
        )
    except (OSError, http.client.HTTPException) as problem:
        do = "See DNS, firewall and proxy; some networks cannot reach their own public address from inside."
        yield error("public.reach", f"{url} cannot be reached from here: {ask.why(problem)}", do)
    if reply is not None:
        yield from _certificate(door)
        yield from _reached(case, door, reply)


def _renew(problem: ssl.SSLCertVerificationError) -> str:
    if "expired" in problem.verify_message:
        return "Have the proxy renew it: see the timer or the log of whatever does that."
    return "Give the proxy a certificate for this name, with the whole chain (fullchain.pem)."


def _reached(case: Case, door: Door, reply: Reply) -> Iterator[Finding]:
    seen = reply.seen
    if seen is None:
        yield _somebody_else(case, door, reply)
        return
    yield ok("public.reach", f"{door.url} leads to this shard")
    yield from _clock(reply)
    if seen.host.lower() not in own_hosts(door.url):
        what = f"the proxy passes Host: {seen.host}, so that every call but /health is refused with 421"
        yield error(
            "public.host", what, "Have it pass the client's: proxy_set_header Host $http_host; in nginx."
        )
    yield from _address(case, door, reply)
    yield from _stream(case, door)
    if "gateway" in case.plugins:
        yield from upgrade.look(case, door)


def _somebody_else(case: Case, door: Door, reply: Reply) -> Finding:
    server = reply.headers.get("server", "somebody")
    if reply.status in (502, 503, 504):
        do = f"Point it to {ask.onward(case)}, where the shard listens."
        return error(
            "public.reach", f"the proxy ({server}) answers {reply.status}: it does not reach the shard", do
        )
    if 300 <= reply.status < 400:
        what = f"{door.url} sends clients on to {reply.headers.get('location', 'elsewhere')}"
        return error("public.reach", what, "Write the URL that answers itself into server.public_url.")
    if b'"app":"shardapi"' in reply.body:
        what = f"{door.url} leads to another shard, or the proxy takes header fields away"
        return error(
            "public.reach", what, f"Point the proxy to {ask.onward(case)}; have it pass every field."
        )
    what = f"what answers under {door.url} is not this shard: {reply.status} of {server}"
    return error("public.reach", what, f"Point the proxy to {ask.onward(case)}, all paths.")


def _clock(reply: Reply) -> Iterator[Finding]:
    try:
        off = time.time() - parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return
    if abs(off) > OFF_SECONDS:
        what = f"the clocks of this machine and of the proxy differ by {abs(off):.0f} s"
        yield warn("clock.public", what, "Have both kept: apt-get install systemd-timesyncd")


# -- who the client is


def _address(case: Case, door: Door, reply: Reply) -> Iterator[Finding]:
    seen = reply.seen
    assert seen is not None
    if (seen.peer, seen.port) == reply.mine:
        what = f"no proxy stands between {door.url} and the shard"
        yield info("public.address", what, "For TLS there has to be one: see the examples in conf/.")
    elif not seen.peer and not case.settings.server.trusted_proxies:
        what = "the proxy comes over a unix socket and none is trusted: no client has an address, in limits and audit"
        yield warn("public.address", what, 'Set server.trusted_proxies to ["127.0.0.1", "::1"].')
    elif seen.peer and not _trusted(case, seen.peer):
        what = f"the proxy at {seen.peer} is not trusted: every client has its address, in limits and in the audit"
        yield warn("public.address", what, f'Add "{seen.peer}" to server.trusted_proxies.')
    elif seen.forwarded and _trusted(case, seen.address):
        what = f"{seen.address}, from where this asks, counts as a proxy: whether it tells clients apart is not known"
        do = "Call it with a key from another machine: the audit then has the address that the shard saw."
        yield info("public.address", what, do)
    elif _believes(case, door):
        what = "the proxy believes clients about their address: each can take any, past every limit"
        do = "Have it add the address that it sees itself: X-Forwarded-For $proxy_add_x_forwarded_for; in nginx."
        yield error("public.address", what, do)
    elif not seen.forwarded:
        what = "the proxy does not say who the client is: every client has its address"
        do = "Have it send X-Forwarded-For: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; in nginx."
        yield warn("public.address", what, do)
    else:
        yield ok("public.address", f"the shard sees the client's own address, {seen.address}")


def _believes(case: Case, door: Door) -> bool:
    """Whether a client that says it is somebody else is taken for them."""
    try:
        seen = door.probe(case.tokens, X_Forwarded_For=SOMEBODY).seen
    except (OSError, http.client.HTTPException):  # it does not even take such a call
        return False
    return seen is not None and seen.address == SOMEBODY


def _trusted(case: Case, address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in ip_network(one, strict=False) for one in case.settings.server.trusted_proxies)


# -- events


def _stream(case: Case, door: Door) -> Iterator[Finding]:
    path = f"{API_PREFIX}/stream"
    try:
        held, encoding = door.held_back(case.tokens, path)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        yield error("public.stream", f"a stream at {path} breaks: {ask.why(problem)}", BUFFERED)
        return
    if held:
        yield error(
            "public.stream",
            f"the proxy holds back what comes on {path}: events are late, or never come",
            BUFFERED,
        )
    elif encoding:
        what = f"the proxy compresses {path} ({encoding}): it costs, and may hold back events"
        yield warn("public.stream", what, "Have it leave text/event-stream as it is.")
    else:
        yield ok("public.stream", "events pass at once")


# -- TLS


def _certificate(door: Door) -> Iterator[Finding]:
    """How long it is good for; one that is not good is told before."""
    link = door.connect()
    try:
        link.connect()
        peer = link.sock.getpeercert() if isinstance(link.sock, ssl.SSLSocket) else None
    finally:
        link.close()
    if not peer:
        return
    begun, ends = (ssl.cert_time_to_seconds(str(peer[name])) for name in ("notBefore", "notAfter"))
    left, whole = (ends - time.time()) / DAY, (ends - begun) / DAY
    what = f"the certificate of {door.url} is good for {left:.0f} days"
    do = "See why it is not renewed, as is usual long before (certbot renew --dry-run, or the proxy's log)."
    level = error if left < min(SHORT_DAYS, whole / 10) else warn
    yield level("public.tls", what, do) if left < min(ENOUGH_DAYS, whole / 4) else ok("public.tls", what)

"""What is delivered elsewhere, webhooks first: which endpoints are given up, waited for, or have refused."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from .. import clock
from .case import Case
from .finding import Finding, error, ok, warn

ENDPOINTS = (
    "SELECT outbox, id, url, enabled, disabled, failures, failing_since, last_status, last_error,"
    " (SELECT count(*) FROM outbox_parked WHERE endpoint = outbox_endpoint.id AND due = 0)"
    " FROM outbox_endpoint WHERE guild = ? ORDER BY outbox, rowid"
)


def look(case: Case) -> Iterator[Finding]:
    """Each endpoint by its host; its URL may be a secret."""
    found = case.rows(ENDPOINTS, (case.guild_id,))
    troubled = [finding for row in found for finding in _endpoint(*row)]
    yield from troubled
    if found and not troubled:
        yield ok("webhooks", f"{len(found)} of {len(found)} are delivered to")


def _endpoint(
    outbox: str, id_: str, url: str, enabled: int, disabled: str, failures: int, since: int, status: int, why: str,
    parked: int,
) -> Iterator[Finding]:  # fmt: skip
    own = outbox == "webhooks"
    name = outbox
    who = f"{id_} ({urlsplit(url).hostname})"
    last = f"answered {status}" if status else why or "has not answered"
    if not enabled:
        do = (
            f"Mend the receiver, then POST /api/v1/webhooks/{id_}/enable."
            if own
            else f"See: shardapi {outbox} status"
        )
        yield error(name, f"{who} is disabled ({disabled or last}): nothing is delivered to it", do)
    elif failures:
        began = f" since {clock.iso(since)}" if since else ""
        what = f"{who} takes nothing{began}: {failures} failures, the last: {last}"
        yield warn(name, what, "See to the receiver; events wait for it, for five days.")
    if parked:
        do = f"See /api/v1/webhooks/{id_}/deliveries, then: shardapi webhooks replay {id_}" if own else (
            f"See: shardapi {outbox} status"
        )  # fmt: skip
        yield warn(name, f"{who} has refused {parked} events, which are kept aside", do)

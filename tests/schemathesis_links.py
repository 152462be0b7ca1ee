"""What schemathesis cannot see: which bodies can name a net that was made, and how long a URL may be."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import schemathesis
from schemathesis.generation.meta import TestPhase

NO_NETS_SLOT = 255
NAMES = ("netUids", "netIds", "netUid", "netId")
CALLS = ("nets_rename", "nets_remove", "assignments_assign", "assignments_assign_for_a_while")


@schemathesis.hook
def before_load_schema(context: Any, schema: dict[str, Any]) -> None:
    """Link them; not in the document itself, since generators of clients read such links in another way."""
    links = schema["paths"]["/api/v1/nets"]["post"]["responses"]["200"].setdefault("links", {})
    for call in CALLS:
        links[call] = {"operationId": call, "requestBody": {"netUid": "$response.body#/netUid"}}


def named_in(value: Any) -> Iterator[dict[str, Any]]:
    """Whatever in a body names a net."""
    if isinstance(value, dict) and given(value):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from named_in(one)


def given(value: dict[str, Any]) -> list[str]:
    """By what it names it."""
    return [name for name in NAMES if value.get(name) not in (None, "")]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A dry run answers "" for an id that it would mint, and an address with nothing in it is another address.

    What a dry run of DELETE has "removed" may be used: where calls follow one another, they are real. What names a net
    twice is taken if both agree, which no schema can say: what is to be taken names it once here, and what is to be
    refused names another one too.
    """
    is_good = case.meta is not None and case.meta.generation.mode.is_positive
    for one in named_in(case.body):
        if is_good:
            for name in given(one)[1:]:
                del one[name]
        elif isinstance(one.get("netId"), int) and one.get("netUid"):
            one["netId"] = NO_NETS_SLOT
    for name, value in (case.path_parameters or {}).items():
        case.path_parameters[name] = value or "of-a-dry-run"
    if case.method == "DELETE" and case.meta is not None and case.meta.phase.name == TestPhase.STATEFUL:
        (case.query or {}).pop("dryRun", None)


@schemathesis.hook
def filter_query(context: Any, query: Any) -> bool:
    """Send no request line over 4,094 bytes: gunicorn refuses it with 414 and a page of its own."""
    return len(urlencode(query or {}, doseq=True)) < 3_800

"""What schemathesis cannot see: a net that was made can be named in the bodies of other calls."""

from typing import Any

import schemathesis

CALLS = ("nets_rename", "nets_remove", "assignments_assign", "assignments_assign_for_a_while")


@schemathesis.hook
def before_load_schema(context: Any, schema: dict[str, Any]) -> None:
    """Link them; not in the document itself, since generators of clients read such links in another way."""
    links = schema["paths"]["/api/v1/nets"]["post"]["responses"]["200"].setdefault("links", {})
    for call in CALLS:
        links[call] = {"operationId": call, "requestBody": {"netUid": "$response.body#/netUid"}}

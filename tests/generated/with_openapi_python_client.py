"""The client that openapi-python-client made: reads, writes, and is refused, at a real shard."""

import json
import os

from generated_client import AuthenticatedClient
from generated_client.api.assignments import assignments_assign
from generated_client.api.nets import nets_create, nets_rename
from generated_client.api.status import status_read
from generated_client.models import (
    AssignBody,
    Assigned,
    CreateBody,
    NetWritten,
    Problem,
    RenameBody,
    StatusAnswer,
)


def main() -> None:
    """Prints what came of it, as JSON."""
    client = AuthenticatedClient(os.environ["SHARD"], os.environ["KEY"], raise_on_unexpected_status=True)
    with client:
        reason = "to try a generated client"
        net = nets_create.sync(client=client, body=CreateBody(name="Typed"), x_audit_log_reason=reason)
        assert isinstance(net, NetWritten)
        assigned = assignments_assign.sync(client=client, body=AssignBody(user_id="7", net_uid=net.net_uid))
        assert isinstance(assigned, Assigned)
        status = status_read.sync(client=client)
        assert isinstance(status, StatusAnswer)
        refused = nets_rename.sync(client=client, body=RenameBody(net_uid="net_gone", name="Nowhere"))
        assert isinstance(refused, Problem)
        told = {"netUid": net.net_uid, "effective": assigned.effective}
        print(json.dumps({**told, "names": [one.name for one in status.nets], "refused": refused.code}))


main()

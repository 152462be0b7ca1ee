"""The client that openapi-generator made: reads, writes, and is refused, at a real shard."""

import json
import os

import generated_client as made


def main() -> None:
    """Prints what came of it, as JSON."""
    settings = made.Configuration(host=os.environ["SHARD"], access_token=os.environ["KEY"])
    with made.ApiClient(settings) as client:
        nets = made.NetsApi(client)
        net = nets.nets_create(made.CreateBody(name="Typed"), x_audit_log_reason="to try a generated client")
        assignment = made.AssignBody(userId="7", netUid=net.net_uid, action="assign")
        assigned = made.AssignmentsApi(client).assignments_assign(assignment)
        status = made.StatusApi(client).status_read()
        try:
            nets.nets_rename(made.RenameBody(netUid="net_gone", name="Nowhere"))
        except made.exceptions.NotFoundException as error:
            refused = json.loads(error.body)["code"]
        told = {"netUid": net.net_uid, "effective": assigned.effective}
        print(json.dumps({**told, "names": [one.name for one in status.nets], "refused": refused}))


main()

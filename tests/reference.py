"""The owner's reference as data: its scopes and endpoints, line by line, and the members its answers must have."""

from typing import NamedTuple

SCOPES = """\
read:status status, features, public token
read:roster connected operators
read:roster:roles include Discord role IDs
read:assignments stored assignments and rules
read:events SSE stream and webhooks
read:metrics JSON and Prometheus metrics
read:audit recent Owner API activity
write:assignments assign, bulk, temporary TTL
write:nets create, rename, remove active nets
write:archive local archive catalog and restore
write:operation open or close the operation
manage:features update shard feature flags and public net visibility
write:rules role-to-net auto assignment
write:presets save and apply op templates
write:acars overlay broadcast alerts
write:clients disconnect an operator
"""

# Method, path, scope ("-": without a key, "token": with a public token), then what a success has besides ok and
# guildId; a member of a list is one that each item has.
ENDPOINTS = """\
GET    /openapi.json -                 openapi info paths components
GET    /status read:status             guildName operationOpen version updatedAt connectedOperators connected
   publicNet.enabled publicNet.name publicNet.roleIds features.maxNets shard.name shard.publicUrl shard.version
   shard.startedAt shard.connectedOperators nets.id nets.uid nets.netUid nets.name nets.occupancy nets.members
   nets.transmitting nets.tx nets.relayTargetNetIds nets.relayTargetNetUids
GET    /roster read:roster             operators.userId operators.displayName operators.nets operators.netUids
   operators.netUid operators.transport operators.transmitting operators.since operators.connectedAt
   operators.service roster.userId
GET    /assignments read:assignments   assignments entries.userId entries.netId entries.netUid entries.netName
   entries.source entries.expiresAt
GET    /features read:status           features.maxNets features.globalPttEnabled features.acarsEnabled
   features.readyCheckEnabled features.publicNet.enabled features.publicNet.name features.publicNet.roleIds
   features.orgLink.enabled features.orgLink.roleIds features.orgLink.netUid
GET    /public-net read:status         publicNet.enabled publicNet.name publicNet.roleIds
POST   /assignments write:assignments  action changed version userId netId netUid
POST   /assignments/bulk write:assignments  action changed version results.userId results.netId results.netUid
   results.action results.ok results.changed applied skipped failed processed
POST   /assignments/temporary write:assignments  action changed version userId netId netUid expiresAt
POST   /nets write:nets                action changed version netId netUid slot uid name
POST   /nets/rename write:nets         action changed version netId netUid name
DELETE /nets/:ref write:nets           action changed version netId netUid archived entry.uid
POST   /nets/remove write:nets         action changed version netId netUid archived entry.uid
GET    /archive write:archive          entries.uid entries.name entries.notes entries.tags entries.assignedUserIds
   entries.relayTargetNetUids entries.inboundRelayFromNetUids entries.createdAt entries.archivedAt
   entries.updatedAt entries.source total totalIsExact nextCursor
POST   /archive write:archive          action changed version entry.uid entry.name
GET    /archive/sync/status write:archive  checkpoint.lastCheckpointHash checkpoint.lastCheckpointVersion
   checkpoint.lastCheckpointAt pendingOps
GET    /archive/:uid write:archive     entry.uid entry.name entry.notes entry.tags source
POST   /archive/:uid write:archive     action changed version entry.uid
PATCH  /archive/:uid write:archive     action changed version entry.uid
DELETE /archive/:uid write:archive     action changed version uid deleted
POST   /archive/:uid/restore write:archive  action changed version uid netUid netId name entry.uid skipped
POST   /operation write:operation      action changed version open
POST   /features manage:features       action changed version features.globalPttEnabled publicNet.enabled
POST   /public-net manage:features     action changed version features.publicNet.enabled publicNet.enabled
POST   /public-net/hide manage:features  action changed version features.publicNet.enabled publicNet.enabled
POST   /public-net/remove manage:features  action changed version features.publicNet.enabled publicNet.enabled
POST   /public-net/restore manage:features  action changed version features.publicNet.enabled publicNet.enabled
GET    /rules read:assignments         rules.roleId rules.netUids rules.netIds rules.netId
POST   /rules write:rules              action changed version rules.roleId rules.netUids rules.netIds rules.netId
GET    /presets write:presets          presets.name presets.nets.id presets.nets.name presets.assignments
   presets.assignmentList.userId presets.assignmentList.netUid
POST   /presets write:presets          action changed version preset.name preset.nets.id preset.assignments
DELETE /presets/:name write:presets    action changed version name
POST   /presets/:name/apply write:presets  action changed version preset results.step results.ok results.changed
POST   /acars write:acars              action changed version id routed delivered clients durationMs alertType
POST   /clients/disconnect write:clients  action changed version userId disconnected
GET    /stream read:events
GET    /webhooks read:events           webhooks.id webhooks.url webhooks.events webhooks.createdAt webhooks.enabled
   webhooks.failures webhooks.lastDeliveryAt webhooks.lastStatus webhooks.parked events
POST   /webhooks read:events           action changed version webhook.id webhook.url webhook.events webhook.createdAt
   webhook.enabled webhook.failures webhook.lastDeliveryAt webhook.lastStatus webhook.parked secret
DELETE /webhooks/:id read:events       action changed version id deleted
GET    /metrics read:metrics           startedAt uptimeSeconds connected.current connected.peak talkTime.totalMs
   talkTime.byUser.userId talkTime.byUser.displayName talkTime.byUser.ms talkTime.byUser.transmissions
   talkTime.byNet.netId talkTime.byNet.netUid talkTime.byNet.name talkTime.byNet.ms talkTime.byNet.transmissions
   occupancy.intervalSeconds occupancy.samples.at occupancy.samples.connected occupancy.samples.nets
GET    /metrics/prometheus read:metrics
GET    /audit read:audit               entries.id entries.at entries.keyId entries.keyName entries.method
   entries.path entries.status entries.code entries.requestId entries.address entries.dryRun entries.reason
   entries.count
GET    /public-token read:status       token statusUrl widgetUrl expiresAt
GET    /embed/status token             guildName operationOpen connected operators publicNet.id publicNet.uid
   publicNet.netUid publicNet.name publicNet.enabled publicNet.occupancy nets.id nets.name nets.occupancy nets.tx
   nets.uid nets.netUid updatedAt
GET    /embed/widget token
"""

# Lines of the reference that are not served yet: the test fails as soon as they are, so that they move up.
LATER = ""

# What is served though the reference has no line for it.
BESIDES = """\
POST   /public-net/show manage:features  action changed version features.publicNet.enabled publicNet.enabled
GET    /webhooks/:id/deliveries read:events  webhook.id deliveries.id deliveries.status deliveries.durationMs
   deliveries.error parked
POST   /webhooks/:id/test read:events  action changed version id delivered status durationMs error
POST   /webhooks/:id/enable read:events  action changed version webhook.id webhook.enabled
POST   /webhooks/:id/rotate read:events  action changed version webhook.id secret previousUntil
POST   /webhooks/:id/replay read:events  action changed version webhook.id since parked
POST   /public-token/rotate manage:features  action changed version token statusUrl widgetUrl expiresAt
"""


class Line(NamedTuple):
    """One call of the reference."""

    method: str
    path: str
    scope: str
    members: tuple[str, ...]

    @property
    def place(self) -> tuple[str, str]:
        """Method and path as the OpenAPI document has them."""
        parts = (f"{{{part[1:]}}}" if part.startswith(":") else part for part in self.path.split("/"))
        return self.method, "/api/v1" + "/".join(parts)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def lines(text: str) -> list[Line]:
    """The lines of one of the tables above."""
    found: list[Line] = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith(" "):
            found[-1] = found[-1]._replace(members=(*found[-1].members, *words))
        else:
            found.append(Line(*words[:3], tuple(words[3:])))
    return found


def scopes() -> dict[str, str]:
    """Each scope of the reference and what it allows."""
    return dict(line.split(" ", 1) for line in SCOPES.splitlines())

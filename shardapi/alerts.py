"""An alert to every operator, as central sees it: it changes nothing, and is allowed or not."""

from .commands import Change, Command
from .errors import FEATURE_OFF, PREMIUM_REQUIRED
from .guild import Guild


class SendAlert(Command, frozen=True, kw_only=True):
    """An ACARS alert; `premium` is what central grants the shard."""

    premium: bool = False

    def apply(self, guild: Guild) -> Change:
        if not self.premium:
            raise PREMIUM_REQUIRED(
                "ACARS alerts are for premium shards, and central does not count this shard among them.",
                hint="Its owner decides with [central] premium in the settings.",
            )
        if not guild.features.acars_enabled:
            raise FEATURE_OFF(
                "ACARS alerts are switched off.",
                hint='POST /api/v1/features {"features": {"acarsEnabled": true}}.',
            )
        return Change(guild=guild, changed=False)

"""The ways in: a link that works once, and a password; tries with a wrong password are slowed."""

import secrets
from collections.abc import Callable
from typing import Any

import gevent

from shardapi import ApiError, Shard, clock
from shardapi.config import Rate
from shardapi.errors import RATE_LIMITED, UNAUTHORIZED
from shardapi.limits import Limit, subnet

from .models import PanelLink, PanelPassword
from .sessions import digest

LINK_MS = 10 * 60_000
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1024
FROM_ONE, IN_ALL = Rate(5, 60), Rate(30, 60)  # wrong passwords
OWNER = "owner"


class Door:
    """Makes and takes what a person signs in with."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self._from_one, self._in_all = Limit("panel_sign_in", FROM_ONE), Limit("panel_sign_in_all", IN_ALL)

    # -- links

    def make_link(self, who: str = OWNER) -> str:
        """A token that signs in once, within ten minutes."""
        token, now = secrets.token_urlsafe(32), clock.now()
        row = {
            "digest": digest(token),
            "guild": self.shard.guild_id,
            "who": who,
            "expires_at": now + LINK_MS,
            "epoch": self.shard.events.epoch,
        }

        def work() -> None:
            PanelLink.delete().where(PanelLink.expires_at <= now).execute()
            PanelLink.insert(row).execute()

        self.shard.writer.write(work)
        return token

    def spend_link(self, token: str) -> str:
        """Use a link up; returns whose it is. Raises unauthorized. No number of wrong tries stands in its way."""
        mine = (PanelLink.digest == digest(token)) & (PanelLink.guild == self.shard.guild_id)
        good = mine & (PanelLink.expires_at > clock.now()) & (PanelLink.epoch == self.shard.events.epoch)
        if self.shard.store.read(lambda: PanelLink.select().where(good).first()) is None:
            raise _no_link()

        def work() -> str:
            found = PanelLink.select().where(good).first()
            PanelLink.delete().where(mine).execute()
            return "" if found is None else str(found.who)

        who: str = self.shard.writer.write(work)
        if not who:
            raise _no_link()
        return who

    # -- the password

    @property
    def has_password(self) -> bool:
        """Whether one has been set."""
        return bool(self._hash())

    def set_password(self, password: str) -> None:
        """Keep a password, hashed."""
        from werkzeug.security import generate_password_hash

        row = {
            "guild": self.shard.guild_id,
            "hash": generate_password_hash(password),
            "set_at": clock.now(),
        }
        self.shard.writer.write(lambda: PanelPassword.insert(row).on_conflict_replace().execute())

    def remove_password(self) -> bool:
        """Let nobody in by a password any more; False if there was none."""
        mine = PanelPassword.guild == self.shard.guild_id
        return bool(self.shard.writer.write(lambda: PanelPassword.delete().where(mine).execute()))

    def try_password(self, password: str, address: str) -> None:
        """Raises unauthorized for a wrong one, rate_limited after too many of them."""
        who = subnet(address)
        counted = [(who, self._from_one), ("all", self._in_all)]
        for name, limit in counted:
            if limit.window(name).left <= 0:
                raise _slow_down(limit.refusal(limit.window(name)))
        spent = [(name, limit, limit.spend(name)) for name, limit in counted]
        kept = self._hash()
        if not kept or not _in_a_thread(_matches, kept, password[:LONGEST_PASSWORD]):
            raise UNAUTHORIZED(
                "That is not the password.", hint="`shardapi panel password` sets a new one on the machine."
            )
        for name, limit, window in spent:
            limit.give_back(name, window)

    def _hash(self) -> str:
        mine = PanelPassword.guild == self.shard.guild_id
        found = self.shard.store.read(lambda: PanelPassword.select().where(mine).first())
        return "" if found is None else str(found.hash)


def _matches(kept: str, password: str) -> bool:
    from werkzeug.security import check_password_hash

    return check_password_hash(kept, password)


def _in_a_thread(work: Callable[..., Any], *args: Any) -> Any:
    """Hashing takes long on purpose, and would hold everyone up."""
    return gevent.get_hub().threadpool.apply(work, args)


def _no_link() -> ApiError:
    return UNAUTHORIZED(
        "This link has been used, or is older than ten minutes.",
        hint="`shardapi panel link` on the shard's machine makes another.",
    )


def _slow_down(refusal: ApiError) -> ApiError:
    wait = dict(refusal.headers)["Retry-After"]
    return RATE_LIMITED(
        f"There were too many wrong passwords. Try again in {wait} s.",
        hint="A link from `shardapi panel link` works at once.",
        headers=(("Retry-After", wait),),
    )

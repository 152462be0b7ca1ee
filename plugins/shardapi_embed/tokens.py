"""Public tokens: they sign the guild and a generation, and are good until it is rotated or their time is over."""

from typing import NamedTuple

import peewee

from shardapi import ApiError, Model, Shard, clock
from shardapi.errors import PUBLIC_TOKEN_ENDED, PUBLIC_TOKEN_INVALID
from shardapi.tokens import LEEWAY_SECONDS, BadToken, ExpiredToken

PURPOSE = "public"
FIRST = 1
DAY_SECONDS = 86_400
REMEMBERED = 256  # good ones only, and a site has one
REFUSED = (("Cache-Control", "no-store"),)


class PublicToken(Model):
    """The generation of a guild's public tokens, once it has been rotated."""

    guild = peewee.TextField(primary_key=True)
    generation = peewee.IntegerField()


class Minted(NamedTuple):
    """A token and its end (s; 0 = none)."""

    token: str
    ends: int


class PublicTokens:
    """The public tokens of one guild; what is rotated, by any process on the store, ends here within a second."""

    def __init__(self, shard: Shard, days: int) -> None:
        self.shard, self.days = shard, days
        self.generation = FIRST
        self._good: dict[str, int] = {}
        self.reload()
        shard.writer.on_foreign.append(self.reload)

    def mint(self, generation: int = 0) -> Minted:
        """The token of today: always the same until it is rotated, or for a day where tokens end by themselves."""
        said: dict[str, str | int] = {
            "guild": self.shard.guild_id,
            "generation": generation or self.generation,
        }
        ends = 0
        if self.days:
            today = clock.now() // 1000 // DAY_SECONDS
            ends = said["exp"] = (today + 1 + self.days) * DAY_SECONDS
        return Minted(self.shard.tokens.sign(PURPOSE, said), ends)

    def check(self, token: str) -> None:
        """Raises public_token_invalid for one that was never ours, public_token_ended for one that was."""
        ends = self._good.get(token)
        if ends is None:
            ends = self._read(token)
        if ends and clock.now() // 1000 > ends + LEEWAY_SECONDS:
            raise _expired()

    def _read(self, token: str) -> int:
        """The end of a token that is good."""
        try:
            said = self.shard.tokens.read(PURPOSE, token)
        except ExpiredToken:
            raise _expired() from None
        except BadToken:
            raise _invalid() from None
        if said.get("guild") != self.shard.guild_id:
            raise _invalid()
        if said.get("generation") != self.generation:
            raise PUBLIC_TOKEN_ENDED("This public token has been replaced.", hint=ASK, headers=REFUSED)
        if len(self._good) >= REMEMBERED:
            self._good.clear()
        ends = self._good[token] = int(said.get("exp", 0))
        return ends

    def rotate(self) -> None:
        """End every token there is; one made from now on is good."""
        self.shard.writer.write(self.step)
        self.reload()

    def step(self) -> int:
        """The next generation, in the running transaction; `reload` takes note of it."""
        mine = PublicToken.guild == self.shard.guild_id
        if not PublicToken.update(generation=PublicToken.generation + 1).where(mine).execute():
            PublicToken.insert(guild=self.shard.guild_id, generation=FIRST + 1).execute()
        generation: int = PublicToken.get(mine).generation
        return generation

    def reload(self) -> None:
        """Read the generation again; when it has moved, forget which tokens were good."""
        found = self.shard.store.read(lambda: PublicToken.get_or_none(guild=self.shard.guild_id))
        generation = FIRST if found is None else found.generation
        if generation != self.generation:
            self.generation, self._good = generation, {}


ASK = "GET /api/v1/public-token, or `shardapi public-token show`, has the one that is good now."


def _expired() -> ApiError:
    return PUBLIC_TOKEN_ENDED("This public token has expired.", hint=ASK, headers=REFUSED)


def _invalid() -> ApiError:
    headers = (*REFUSED, ("WWW-Authenticate", "Bearer"))
    return PUBLIC_TOKEN_INVALID("This is no public token of this shard.", hint=ASK, headers=headers)

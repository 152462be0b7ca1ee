"""Secrets at rest: encrypted with keys derived from the shard's signing secrets, so that rotating those keeps them."""

import base64
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from ..tokens import Tokens

PURPOSE = "outbox"


class Unreadable(Exception):
    """Raised when what is kept was encrypted with a signing secret that is no more."""


class Secret(msgspec.Struct, frozen=True):
    """A secret that signs; `until` is when it ends (ms), 0 for the present one."""

    secret: str
    until: int = 0


DECODER = msgspec.json.Decoder(tuple[Secret, ...])


class Vault:
    """Encrypts with the newest signing secret and decrypts with any; imports what that takes with its first use."""

    def __init__(self, tokens: Tokens) -> None:
        from cryptography.fernet import Fernet, MultiFernet

        keys = [Fernet(base64.urlsafe_b64encode(key)) for key in tokens.keys(PURPOSE)]
        self._newest, self._fernet = keys[0], MultiFernet(keys)

    def close(self, secrets: Sequence[Secret]) -> bytes:
        """The secrets as they are kept."""
        return self._fernet.encrypt(msgspec.json.encode(secrets))

    def renewed(self, kept: bytes) -> bytes | None:
        """The same secrets encrypted with the newest signing secret; None if they are, or if nobody can read them."""
        from cryptography.fernet import InvalidToken

        try:
            self._newest.decrypt(kept)
        except InvalidToken:
            with suppress(InvalidToken):
                return self._fernet.rotate(kept)
        return None

    def open(self, kept: bytes) -> tuple[Secret, ...]:
        """The secrets that were kept, the present one first. Raises Unreadable."""
        from cryptography.fernet import InvalidToken

        try:
            return DECODER.decode(self._fernet.decrypt(kept))
        except (InvalidToken, msgspec.DecodeError):
            raise Unreadable from None

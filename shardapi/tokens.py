"""Signed tokens: what they say can be read by anyone, and made only with the signing secret."""

import hmac
from typing import Any

import itsdangerous

from . import clock

LEEWAY_SECONDS = 60


class BadToken(Exception):
    """Raised when a token is malformed, foreign or changed."""


class ExpiredToken(BadToken):
    """Raised when a token's time is over."""


class Tokens:
    """Signs with the newest secret and accepts all of them: adding a secret in front is rotation."""

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = secrets[::-1]  # itsdangerous signs with the last

    def _serializer(self, purpose: str) -> itsdangerous.URLSafeSerializer:
        return itsdangerous.URLSafeSerializer(self._secrets, salt=f"shardapi.{purpose}")

    def keys(self, purpose: str) -> list[bytes]:
        """32 bytes to encrypt with, from each secret, that of the newest first (HKDF-SHA256)."""
        label = f"shardapi.{purpose}".encode()
        extracted = (hmac.digest(bytes(32), one.encode(), "sha256") for one in reversed(self._secrets))
        return [hmac.digest(one, label + b"\x01", "sha256") for one in extracted]

    def sign(self, purpose: str, payload: dict[str, Any]) -> str:
        """A token for one purpose; `exp` in the payload (seconds since 1970) is its end."""
        token = self._serializer(purpose).dumps(payload)
        return token if isinstance(token, str) else token.decode()

    def read(self, purpose: str, token: str) -> dict[str, Any]:
        """The payload of a token. Raises BadToken, ExpiredToken (60 s late, for clocks that differ)."""
        try:
            payload = self._serializer(purpose).loads(token)
            as_signed = _same_letters(token.rpartition(".")[2])
        except (itsdangerous.BadData, ValueError):
            raise BadToken("the token is not one of this shard") from None
        if not as_signed or not isinstance(payload, dict):
            raise BadToken("the token is not one of this shard")
        end = payload.get("exp")
        if end is not None and (not isinstance(end, int) or clock.now() // 1000 > end + LEEWAY_SECONDS):
            raise ExpiredToken("the token has expired")
        return payload


def _same_letters(signature: str) -> bool:
    """Whether a signature is written as we write it: its last letter has bits that mean nothing."""
    return itsdangerous.base64_encode(itsdangerous.base64_decode(signature)) == signature.encode()

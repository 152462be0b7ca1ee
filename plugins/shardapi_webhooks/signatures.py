"""Signatures after the Standard Webhooks spec, and the secrets that make them."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"


def mint() -> str:
    """A new secret: whsec_ and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign: what follows whsec_ decoded, any other secret as UTF-8. Raises ValueError."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("what follows whsec_ is not base64") from None


def sign(keys: Iterable[bytes], id_: bytes, timestamp: int, body: bytes) -> bytes:
    """The value of webhook-signature: one signature for each key, separated by spaces."""
    signed = b"%s.%d.%s" % (id_, timestamp, body)
    macs = (hmac.digest(key, signed, "sha256") for key in keys)
    return b" ".join(b"v1," + base64.b64encode(mac) for mac in macs)

"""What receivers verify: our signatures with the libraries of others, a thousand payloads, and one flipped bit."""

import base64
import importlib
import random
import secrets
from typing import Any

import msgspec
import pytest

from shardapi import Logged, ShardApp
from shardapi.outbox.models import Row
from shardapi.outbox.vault import Secret
from shardapi_webhooks.delivery import Deliveries
from shardapi_webhooks.signatures import key_of, mint

PAYLOADS = 1000
ALPHABETS = ["abc XYZ 0189", '"\\/\b\f\n\r\t{}[]', "äöüß€", "漢字かな", "😀🛰️👩‍🚀", "\u2028\u2029\x7f\x00"]


def payload(chance: random.Random) -> bytes:
    """An envelope such as no other."""
    text = "".join(chance.choice(chance.choice(ALPHABETS)) for _ in range(chance.randrange(200)))
    said = {"id": f"5f0c3a9e-{chance.randrange(10**9)}", "type": "user.joined", "data": {"displayName": text}}
    return msgspec.json.encode(said)


def headers_of(fields: bytes) -> dict[str, str]:
    """Header fields as a receiver's framework gives them."""
    return dict(line.split(": ", 1) for line in fields.decode().split("\r\n") if line)


def verify(library: Any, secret: str, body: bytes, headers: dict[str, str]) -> None:
    """Verify as a receiver would; Svix's own names of the fields do, too."""
    given = secret if secret.startswith("whsec_") else base64.b64encode(secret.encode()).decode()
    library.Webhook(given).verify(body, headers)
    if library.__name__.startswith("svix"):
        own = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
        library.Webhook(given).verify(body, own)


@pytest.mark.parametrize("module", ["standardwebhooks", "svix.webhooks"])
def test_others_libraries_verify_a_thousand_payloads_and_refuse_one_flipped_bit(
    app: ShardApp, module: str
) -> None:
    library = importlib.import_module(module)  # half a second, for no other test
    refusal = library.WebhookVerificationError
    chance = random.Random(6)
    for number in range(PAYLOADS):
        secret = mint() if number % 2 else secrets.token_urlsafe(12 + number % 100)
        row = Row("wh_1", "https://example.com/", b"", (), True, 0)
        pack = Deliveries(app.shard).packer(row, [Secret(secret)])
        body = payload(chance)
        event_id = msgspec.json.decode(body)["id"].encode()
        block = b"id: %s\nevent: user.joined\ndata: %s\n\n" % (event_id, body)
        parcel = pack([Logged(number, "user.joined", "", block)])
        headers = headers_of(parcel.fields)
        assert (parcel.body, headers["webhook-id"]) == (body, event_id.decode())
        verify(library, secret, parcel.body, headers)

        flipped = bytearray(body)
        flipped[chance.randrange(len(body))] ^= 1 << chance.randrange(7)
        with pytest.raises((refusal, ValueError)):
            verify(library, secret, bytes(flipped), headers)
        other = {**headers, "webhook-id": headers["webhook-id"] + "0"}
        with pytest.raises(refusal):
            verify(library, secret, body, other)


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            bytes.fromhex("31f290f6bf0629 8aab4f08d43c3f082cf648a362da2da4b0"),
        ),
        ("sixteen letters!", b"sixteen letters!"),
        ("ein Geheimnis: äöü", "ein Geheimnis: äöü".encode()),
    ],
)
def test_a_secret_is_the_bytes_that_the_spec_says(secret: str, key: bytes) -> None:
    assert key_of(secret) == key


def test_a_made_secret_is_as_long_as_the_spec_wants() -> None:
    made = {mint() for _ in range(100)}
    assert len(made) == 100
    assert {len(key_of(secret)) for secret in made} == {32}

"""What receivers in Node verify: our signatures with their libraries, a thousand payloads, and one flipped bit."""

import json
import os
import random
import secrets
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from shardapi import Logged, ShardApp
from shardapi.outbox.models import Row
from shardapi.outbox.vault import Secret
from shardapi_webhooks.delivery import Deliveries
from shardapi_webhooks.signatures import PREFIX, mint

HERE = Path(__file__).resolve().parent
TOOLS = Path(os.environ.get("GENERATORS") or HERE / ".tools")
MODULES = TOOLS / "npm" / "node_modules"
PAYLOADS = 1000
CHARACTERS = 'abc XYZ "\\/\n\täöüß€漢字😀🛰\u2028\u2029\x7f'

pytestmark = pytest.mark.debian("node")


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Skips where the libraries are not installed; in CI that is a failure."""
    if not (MODULES / "svix").exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("run tests/generated/install first")


def test_libraries_for_node_verify_a_thousand_payloads_and_refuse_one_flipped_bit(
    app: ShardApp, tmp_path: Path
) -> None:
    chance, lines, deliveries = random.Random(7), list[str](), Deliveries(app.shard)
    for number in range(PAYLOADS):
        secret = mint() if number % 2 else PREFIX + secrets.token_hex(16)
        pack = deliveries.packer(Row("wh_1", "https://example.com/", b"", (), True, 0), [Secret(secret)])
        name = "".join(chance.choice(CHARACTERS) for _ in range(chance.randrange(100)))
        body = msgspec.json.encode({"id": f"e-{number}", "data": {"displayName": name}}).decode()
        block = f"id: e-{number}\nevent: user.joined\ndata: {body}\n\n".encode()
        fields = pack([Logged(number, "user.joined", "", block)]).fields.decode()
        headers = dict(line.split(": ", 1) for line in fields.split("\r\n") if line)
        at = chance.randrange(len(body))
        flipped = body[:at] + chr(ord(body[at]) ^ 1) + body[at + 1 :]
        lines += [
            json.dumps({"secret": secret, "headers": headers, "body": text}) for text in (body, flipped)
        ]
    shutil.copy(HERE / "verify.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES)
    done = subprocess.run(
        ["node", tmp_path / "verify.mjs"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split("\n")[:-1] == ["verified verified", "refused refused"] * PAYLOADS

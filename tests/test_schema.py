"""schemathesis against a live shard: what the OpenAPI document promises is what is answered, whatever is sent."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import jsonschema_rs
import pytest
from faults.reader import Reader
from websockets.exceptions import WebSocketException

from shardapi.events import CORE_EVENTS, GAP
from shardapi.testing import Operator, Server

HERE = Path(__file__).resolve().parent
CONFIG = HERE / "schemathesis.toml"
EXAMPLES = {"ci": 5, "soak": 300}
PHASES = "examples,coverage,fuzzing,stateful"


@pytest.fixture
def server(start_shard: Callable[..., Server]) -> Iterator[Server]:
    """A shard without limits, and an operator who comes and goes: someone to disconnect, and news for the stream."""
    unlimited = "1000000000/minute"
    limits = ("DEFAULT", "AUTH_FAILURES", "ACARS")
    server = start_shard(env={f"SHARDAPI_LIMITS__{name}": unlimited for name in limits})
    said = server.command("operators", "token", "123456789012345678", "--name", "Ann")
    ended = threading.Event()

    def visit() -> None:
        while not ended.wait(0.1):
            with suppress(OSError, WebSocketException):
                operator = Operator(server.url, said["token"], said["guildId"]).join()
                ended.wait(0.3)
                operator.close()

    visitor = threading.Thread(target=visit)
    visitor.start()
    yield server
    ended.set()
    visitor.join()


def test_no_answer_contradicts_the_document(
    server: Server, size: str, figure: Callable[[str, float, str], None], tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
            *("--checks", "all", "--phases", PHASES, "--max-examples", str(EXAMPLES[size])),
            *("--header", f"Authorization: Bearer {server.key()}"),
            f"{server.url}/api/v1/openapi.json",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_links"},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    phases = re.findall(r"(\S+)\s+(Examples|Coverage|Fuzzing|Stateful)\n", said.partition("Test Phases")[2])
    assert phases == [("✅", name) for name in ("Examples", "Coverage", "Fuzzing", "Stateful")], said[
        -20_000:
    ]
    generated, passed = re.search(r"(\d+) generated, (\d+) passed", said).groups()
    figure("schema.cases", int(generated), f">= {100 * EXAMPLES[size] // 10}")
    figure("schema.failures", int(generated) - int(passed), "== 0")
    assert done.returncode == 0, said[-20_000:]
    assert "unforeseen" not in "\n".join(server.log)


def test_every_event_is_as_the_document_says(start_shard: Callable[..., Server]) -> None:
    server = start_shard()
    lost = Reader(server, server.key(), "another-7")
    reader = Reader(server, server.key())
    try:
        net = {"netUid": server.net()["netUid"]}
        server.post("/operation", {"open": True})
        server.post("/assignments", {"userId": "1", **net})
        operator = server.operator("1", "Ann")
        operator.send(type="ptt.start", **net)
        operator.expect("ptt.start")
        server.post("/nets/remove", net)
        server.post("/clients/disconnect", {"userId": "1"})
        server.post("/operation", {"open": False})
        server.wait(lambda: reader.of("operation.closed"), "the stream to tell it")
        server.wait(lambda: reader.of("user.left"), "the stream to tell it")
    finally:
        reader.close()
        lost.close()
    document = server.get("/openapi.json").json()
    event = {"$ref": "#/components/schemas/Event", "components": document["components"]}
    told = [*reader.events, *lost.events]
    for one in told:
        jsonschema_rs.validator_for(event).validate(one)
    assert {one["type"] for one in told} >= {type_.name for type_ in (*CORE_EVENTS, GAP)}

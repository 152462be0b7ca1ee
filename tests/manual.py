"""The docs' code as a test runs it: blocks of guides, commands in a shell, programs that go on."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shardapi.testing import Server
from shardapi_docs.guides import source

HERE = "http://127.0.0.1:25588"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 30.0


def blocks(name: str, language: str, url: str) -> list[str]:
    """A guide's code in one language."""
    return [code for kind, code in BLOCK.findall(source(name, url)) if kind == language]


def walk(shard: Server, script: str) -> str:
    """Type commands into a shell where the shard runs."""
    folder = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euc", script.replace("curl ", "curl -sS --fail-with-body ")],
        env={
            **shard.env,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "KEY": shard.key(),
            "SHARDAPI_DATA_DIR": str(shard.data_dir),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def streams(shard: Server) -> int:
    """How many are open."""
    found = re.search(r"^shardapi_streams_open (\d+)", shard.get("/metrics/prometheus").text, re.MULTILINE)
    assert found is not None
    return int(found[1])


@contextlib.contextmanager
def started(
    command: list[str], shard: Server, *variables: str, **options: Any
) -> "Iterator[subprocess.Popen[str]]":
    """A program that goes on until it is no longer wanted; it has these variables of ours too."""
    env = {
        "KEY": shard.key(),
        "SHARD": shard.url,
        **{name: os.environ[name] for name in ("PATH", *variables)},
    }
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    timer = threading.Timer(SECONDS, process.kill)  # so that reading from it comes to an end
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.communicate()

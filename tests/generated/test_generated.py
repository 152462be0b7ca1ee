"""Others' generators make clients that work from the document of a live shard, and others' linters find no error in it.

What they are is in package.json and requirements.txt; `tests/generated/install` puts them where this looks.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shardapi.testing import Server

HERE = Path(__file__).resolve().parent
TOOLS = Path(os.environ.get("GENERATORS") or HERE / ".tools")
pytestmark = pytest.mark.debian("java", "node")

REDOCLY = """\
extends: [recommended]
telemetry: 'off'
rules:
  no-invalid-media-type-examples:
    severity: error
    allowAdditionalProperties: true  # else what a branch of if, then, else does not name counts as one
"""
TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "target": "es2022",
        "module": "es2022",
        "moduleResolution": "bundler",
        "noUncheckedIndexedAccess": True,
        "lib": ["es2022", "dom"],
        "types": [],
    },
    "files": ["program.ts"],
}


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Skips where the tools are not installed; in CI that is a failure."""
    if not (python("openapi-generator-cli").exists() and npm("redocly").exists()):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("run tests/generated/install first")


class Document(NamedTuple):
    """A live shard, and its document in a file of an otherwise empty folder."""

    shard: Server
    file: Path

    @property
    def folder(self) -> Path:
        """Where to generate."""
        return self.file.parent

    def run(self, *command: str | Path) -> str:
        """Run a tool in the folder, with what a client needs in its environment; returns what it printed."""
        env = {
            **os.environ,
            "PATH": f"{TOOLS / 'python/bin'}:{os.environ['PATH']}",
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
            "SHARD": self.shard.url,
            "KEY": self.shard.key("read:status", "write:nets", "write:assignments"),
        }
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def check(self, *client: str | Path) -> None:
        """Run a client: it has read, written and been refused, and the shard knows of it."""
        before = {net["netUid"] for net in self.shard.get("/status").json()["nets"]}
        told = json.loads(self.run(*client).splitlines()[-1])
        assert told["effective"] is True and told["refused"] == "net_not_found"
        assert told["names"][-1] == "Typed"
        nets: dict[str, Any] = {net["netUid"]: net for net in self.shard.get("/status").json()["nets"]}
        assert nets.keys() - before == {told["netUid"]}
        assert nets[told["netUid"]]["id"] in self.shard.get("/assignments").json()["assignments"]["7"]
        assert "to try a generated client" in [
            entry["reason"] for entry in self.shard.get("/audit").json()["entries"]
        ]


@pytest.fixture
def document(shard: Server, tmp_path: Path) -> Iterator[Document]:
    """The document of the shard that the tests of this module share."""
    found = Document(shard, tmp_path / "openapi.json")
    found.file.write_bytes(shard.get("/openapi.json", key="").content)
    yield found


def npm(name: str) -> Path:
    """A command of an npm package."""
    return TOOLS / "npm/node_modules/.bin" / name


def python(name: str) -> Path:
    """A command of a Python package."""
    return TOOLS / "python/bin" / name


def test_openapi_generator_makes_a_client_that_works(document: Document) -> None:
    made = document.folder / "made"
    arguments = ("-g", "python", "-i", document.file, "-o", made, "--package-name", "generated_client")
    document.run(python("openapi-generator-cli"), "generate", *arguments)
    shutil.copy(HERE / "with_openapi_generator.py", made / "program.py")
    document.check(python("python"), made / "program.py")


def test_openapi_python_client_makes_a_client_that_works(document: Document) -> None:
    into = ("--path", document.file, "--output-path", document.folder / "generated_client", "--meta", "none")
    said = document.run(python("openapi-python-client"), "generate", "--fail-on-warning", *into)
    assert "warning" not in said.lower(), said
    shutil.copy(HERE / "with_openapi_python_client.py", document.folder / "program.py")
    document.check(python("python"), document.folder / "program.py")


def test_openapi_typescript_makes_types_that_a_program_compiles_and_runs_with(document: Document) -> None:
    (document.folder / "node_modules").symlink_to(TOOLS / "npm/node_modules")
    shutil.copy(HERE / "program.ts", document.folder)
    (document.folder / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    (document.folder / "package.json").write_text('{"type": "module"}')
    document.run(npm("openapi-typescript"), document.file, "-o", document.folder / "api.ts")
    document.run(npm("tsc"), "--project", document.folder)
    document.check("node", document.folder / "program.js")


def test_redocly_finds_nothing(document: Document) -> None:
    (document.folder / "redocly.yaml").write_text(REDOCLY)
    said = document.run(npm("redocly"), "lint", document.file, "--max-problems", "1000")
    assert "Your API description is valid" in said and "warning" not in said, said


def test_the_validator_finds_no_error(document: Document) -> None:
    assert "OK" in document.run(python("openapi-spec-validator"), document.file)

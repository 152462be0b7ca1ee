"""Commands of tests, each in a fork of one process that has imported the program: most of a command is its imports."""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

SECONDS = 60.0


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


class Errands:
    """The process that forks; it is started with the first command and ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, arguments: list[str], env: Mapping[str, str]) -> Done:
        """Run a `shardapi` command as if from a shell. Raises subprocess.TimeoutExpired."""
        if not _alike(env):
            call = [sys.executable, "-m", "shardapi", *arguments]
            done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=SECONDS)
            return Done(done.returncode, done.stdout, done.stderr)
        with self._lock, tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            order = {
                "arguments": arguments,
                "env": dict(env),
                "cwd": os.getcwd(),
                "out": str(out),
                "err": str(err),
            }
            return Done(self._send(json.dumps(order).encode()), out.read_text(), err.read_text())

    def _send(self, order: bytes) -> int:
        process = self._process
        if process is None or process.poll() is not None:
            call = [sys.executable, "-m", "shardapi.errands"]
            process = subprocess.Popen(
                call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            self._process = process
            atexit.register(_end, process)
        assert process.stdin is not None and process.stdout is not None
        late = threading.Timer(SECONDS, _kill, [process])
        late.start()
        try:
            process.stdin.write(order + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            late.cancel()
        if not answer:
            self._process = None
            raise subprocess.TimeoutExpired("shardapi", SECONDS)
        return int(answer)


def _end(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    _kill(process)
    process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End it, and the fork that it waits for."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _alike(env: Mapping[str, str]) -> bool:
    """Whether nothing but our own settings differs from this process's surroundings, which the fork has."""
    names = env.keys() | os.environ.keys()
    strange = [name for name in names if not name.startswith(("SHARDAPI_", "PYTEST_"))]
    return os.geteuid() == os.getuid() and all(env.get(name) == os.environ.get(name) for name in strange)


def serve() -> None:
    """Run what is ordered, one line of JSON each, until there is no more."""
    from . import app as app
    from .cli.program import main as main

    for plugin in entry_points(group="shardapi"):
        if plugin.dist is not None and plugin.dist.name == "shardapi":
            import_module(plugin.module)
    for line in sys.stdin.buffer:
        child = os.fork()
        if not child:
            _run(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(order: dict[str, object]) -> None:
    """In the fork: the command, and the end of the process."""
    from .cli.program import main

    status = 1
    try:
        os.environ.clear()
        os.environ.update(order["env"])  # type: ignore[call-overload]
        os.chdir(str(order["cwd"]))
        for number, path in enumerate((os.devnull, order["out"], order["err"])):
            os.dup2(os.open(str(path), os.O_RDWR | os.O_CREAT, 0o600), number)
        main(order["arguments"], prog_name="shardapi")
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


ERRANDS = Errands()

if __name__ == "__main__":
    serve()

"""The data folder: what two processes do with one that is empty."""

import fcntl
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from served import eventually
from terminal import SHARDAPI

from shardapi.folder import SETUP_LOCK, STORE, open_lock
from shardapi.testing import Server

MAKE_KEY = ("keys", "create", "bot", "--all-scopes")


class Command:
    """A command on a data folder, as its own process."""

    def __init__(self, folder: Path, *words: str) -> None:
        call = [*SHARDAPI, *words, "--json", "--data-dir", str(folder)]
        self.process = subprocess.Popen(call, stdout=subprocess.PIPE)

    @property
    def waits(self) -> bool:
        """Whether it waits for a lock on a file."""
        locks = Path("/proc/locks").read_text().splitlines()
        return any(f"-> FLOCK ADVISORY WRITE {self.process.pid}" in " ".join(line.split()) for line in locks)

    def printed(self) -> Any:
        """What it has printed when it is over."""
        said = self.process.communicate(timeout=30)[0]
        assert self.process.returncode == 0
        return json.loads(said)

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file while the block runs."""
    with open(open_lock(path)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_two_first_starts_on_one_empty_folder_make_one_shard(
    start_shard: Callable[..., Server], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with Command(folder, *MAKE_KEY) as one, Command(folder, *MAKE_KEY) as two:
        with locked(folder / SETUP_LOCK):
            eventually(lambda: (one.waits and two.waits) or one.process.poll() or two.process.poll())
            assert one.waits and two.waits and not (folder / STORE).exists()
        made, also = one.printed(), two.printed()
    server = start_shard(folder)
    status = server.get("/status", key=made["secret"])
    assert status.status_code == 200
    assert server.get("/status", key=also["secret"]).json() == status.json()
    token = server.command("operators", "token", "1", "--name", "Ann")
    assert token["guildId"] == status.json()["guildId"]
    headers = {"Authorization": f"Bearer {token['token']}"}
    assert server.get("/ws", key="", headers=headers).json()["code"] == "upgrade_required"

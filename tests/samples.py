"""The sample plugins as strangers' distributions: built and installed in a folder of their own; and a real broker."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

OURS = "acars,assignments,clients,gateway,metrics,nets,openapi,operation,roster,status,stream"
SOURCE = Path(__file__).resolve().parent / "plugins" / "samples"
NAMES = tuple(sorted(path.parent.name for path in SOURCE.glob("*/pyproject.toml")))


def install(folder: Path) -> Path:
    """Build and install them all from copies, so that the checkout stays clean; returns what has to be on the path."""
    copies = [folder / name for name in NAMES]
    for name, copy in zip(NAMES, copies, strict=True):
        shutil.copytree(
            SOURCE / name, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        )
    quiet = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *quiet, "-t", str(folder / "lib"), *map(str, copies)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "lib"


def settings(library: Path, broker: "Broker") -> dict[str, str]:
    """The settings of a shard with all of them beside some of ours; the broker's password lies in a file."""
    password = broker.folder / "password"
    password.write_text(broker.PASSWORD + "\n")
    return {
        "PYTHONPATH": str(library),
        "SHARDAPI_PLUGINS__ENABLED": f"{OURS},{','.join(NAMES)}",
        "SHARDAPI_PLUGINS__MQTT__PORT": str(broker.port),
        "SHARDAPI_PLUGINS__MQTT__USERNAME": broker.USER,
        "SHARDAPI_PLUGINS__MQTT__PASSWORD_FILE": str(password),
        "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
    }


class Broker:
    """A real Mosquitto on a port that it keeps; `stop` and `start` are an outage that it remembers nothing of."""

    USER, PASSWORD = "shard", "a-secret-of-the-broker"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        words, settings = folder / "passwords", folder / "mosquitto.conf"
        made = ["mosquitto_passwd", "-b", "-c", str(words), self.USER, self.PASSWORD]
        subprocess.run(made, check=True, capture_output=True)
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {words}\n"
            "persistence false\nuser root\n"  # where it is started by root, who may read this folder
        )

    def start(self) -> Self:
        """Start it and wait until it listens."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["mosquitto", "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                said = (self.folder / "mosquitto.log").read_text()
                assert self.process.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)


class Box:
    """A button box: all it was told below a topic, in order."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self.told: list[tuple[str, Any]] = []
        self._news = threading.Condition()
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set(broker.USER, broker.PASSWORD)
        self.client.on_message = self._hear
        self.client.on_connect = lambda client, *_: client.subscribe(f"{prefix}/#", qos=1)
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _hear(self, client: Client, _: object, message: MQTTMessage) -> None:
        name = message.topic.rpartition("/")[2]
        said = json.loads(message.payload) if name != "operation" else message.payload.decode()
        with self._news:
            self.told.append((name, said))
            self._news.notify_all()

    def newest(self, name: str) -> Any:
        """The last message of a topic, None if there was none."""
        return next((said for topic, said in reversed(self.told) if topic == name), None)

    def until(self, name: str, right: Any, seconds: float = 30.0) -> Any:
        """Wait until what a topic says is right."""
        with self._news:
            came = self._news.wait_for(
                lambda: (said := self.newest(name)) is not None and right(said), seconds
            )
        assert came, f"{name} says {self.newest(name)}"
        return self.newest(name)

    def lamp(self, state: str, net: str = "") -> None:
        """Wait until a lamp is so, of one net or of the whole shard."""
        self.until("talk", lambda said: (said["nets"].get(net, {}) if net else said).get("lamp") == state)

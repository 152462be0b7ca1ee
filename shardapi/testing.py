"""Fixtures for the tests of plugins and of bots: a real shard, an app in process, keys and operators.

A pytest plugin: it is there wherever shardapi is installed. Override `shard_settings` to choose what they run with.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    import requests
    from flask.testing import FlaskClient
    from websockets.sync.client import ClientConnection

    from .app import ShardApp
    from .simulation.rehearsal import Rehearsal

START_SECONDS = 30.0
STOP_SECONDS = 20.0
MOST_EVENTS = 100_000
LOG_LINES = 40  # of each server, told with a test that fails
LOG_SECONDS = 0.3  # until what a server has logged is here

STARTED = pytest.StashKey[list["Server"]]()


class Failed(AssertionError):
    """Raised when a server or a command under test did not do what it must."""


class Server:
    """A shard as its own process, on a port that the kernel picks; `restart` keeps its data and its port."""

    def __init__(
        self, data_dir: Path, env: dict[str, str] | None = None, arguments: Sequence[str] = (), bind: str = ""
    ) -> None:
        self.data_dir, self.arguments = data_dir, list(arguments)
        quiet = {"SHARDAPI_SERVER__BIND": bind or "127.0.0.1:0", "SHARDAPI_SERVER__ACCESS_LOG": "false"}
        self.env = {**os.environ, **quiet, **(env or {})}
        self.log: list[str] = []
        self.url = ""
        self._process: subprocess.Popen[str] | None = None
        self._keys: dict[tuple[str, ...], str] = {}
        self._browser: requests.Session | None = None

    # -- the process

    def start(self) -> "Server":
        """Start it and wait until it serves operators too."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shardapi", "serve", "--data-dir", str(self.data_dir), *self.arguments],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        listening = threading.Event()
        threading.Thread(target=self._read_log, args=(self._process, listening), daemon=True).start()
        if not listening.wait(START_SECONDS) or not self.url:
            self.kill()
            raise Failed("the server did not start:\n" + "\n".join(self.log))
        self.env["SHARDAPI_SERVER__BIND"] = urlsplit(self.url).netloc
        self.wait(lambda: self.get("/ws", key="").status_code != 503, "the server to serve operators")
        return self

    def _read_log(self, process: "subprocess.Popen[str]", listening: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.log.append(line.rstrip("\n"))
                found = re.search(r"listens on (http://[^\s\"]+)", line)
                if found:
                    self.url = found[1]
                    listening.set()
        listening.set()

    @property
    def pid(self) -> int:
        """The process that was started; its child is the worker."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """The process that answers; 0 while there is none."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[-1]) if children else 0

    def stop(self) -> int:
        """Ask it to end and wait; returns its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed("the server did not end:\n" + "\n".join(self.log)) from None

    def kill(self) -> None:
        """SIGKILL, the whole process group at once."""
        assert self._process is not None
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(STOP_SECONDS)

    def restart(self) -> "Server":
        """Stop it and start it again on the same data and port."""
        self.stop()
        return self.start()

    def wait(self, condition: Callable[[], Any], what: str = "", seconds: float = 30.0) -> Any:
        """Ask until it is so; raises Failed when it does not become so."""
        deadline, last = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            try:
                if found := condition():
                    return found
            except OSError as error:
                last = error
            time.sleep(0.02)
        raise Failed(
            f"waited {seconds} s in vain for {what or condition} ({last})\n" + "\n".join(self.log[-20:])
        )

    def command(self, *arguments: str) -> Any:
        """Run a `shardapi` command on this data folder with --json; returns what it printed."""
        return json.loads(self._run(*arguments))

    def _run(self, *arguments: str) -> str:
        from .errands import ERRANDS

        done = ERRANDS.run([*arguments, "--json", "--data-dir", str(self.data_dir)], self.env)
        if done.returncode:
            raise Failed(f"{arguments} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def events(self, *types: str) -> list[dict[str, Any]]:
        """The events of the log, the oldest first, as the stream has them; those of some types, such as "user.*"."""
        told = self._run("tail", "--no-follow", "--last", str(MOST_EVENTS), "--types", ",".join(types))
        return [json.loads(line) for line in told.splitlines()]

    # -- calls

    def key(self, *scopes: str) -> str:
        """The secret of a key with these scopes; with all of them if none is named."""
        if scopes not in self._keys:
            wanted = [part for scope in scopes for part in ("--scope", scope)] or ["--all-scopes"]
            self._keys[scopes] = self.command("keys", "create", "test", *wanted)["secret"]
        return self._keys[scopes]

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> "requests.Response":
        """One call; `body` is sent as JSON unless it is bytes; `key` "" sends none, None the one with all scopes."""
        import requests

        sent = dict(headers or {})
        if not path.startswith("/health") and key != "":
            sent.setdefault("Authorization", f"Bearer {self.key() if key is None else key}")
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        options.setdefault("timeout", 20)
        if not path.startswith(("/api/", "/health", "/ready", "/ws")):
            path = "/api/v1" + path
        session = options.pop("session", requests)
        answer: requests.Response = session.request(
            method, self.url + path, data=data, headers=sent, **options
        )
        return answer

    def get(self, path: str, **options: Any) -> "requests.Response":
        """GET; a path such as "/status" is one of the API's."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> "requests.Response":
        """POST with a JSON body."""
        return self.request("POST", path, body, **options)

    def delete(self, path: str, **options: Any) -> "requests.Response":
        """DELETE."""
        return self.request("DELETE", path, **options)

    def page(self, path: str, **options: Any) -> "requests.Response":
        """GET what the panel shows to who is signed in there, such as "/panel/plugins/lamps/lamps"."""
        import requests

        options.setdefault("timeout", 20)
        if self._browser is None:
            token = self.command("panel", "link")["url"].partition("#")[2]
            self._browser = requests.Session()
            self._browser.post(f"{self.url}/panel/sign-in", {"token": token}, **options).raise_for_status()
        answer: requests.Response = self._browser.get(self.url + path, **options)
        return answer

    def net(self, name: str = "Strike") -> dict[str, Any]:
        """A new net, as the API answers it."""
        made: dict[str, Any] = self.post("/nets", {"name": name}).json()
        return made

    def operator(self, user_id: str = "1", name: str = "Ann", roles: Sequence[str] = ()) -> "Operator":
        """An operator's client, connected and joined."""
        given = [part for role in roles for part in ("--role", role)]
        said = self.command("operators", "token", user_id, "--name", name, *given)
        return Operator(self.url, said["token"], said["guildId"]).join()


class Operator:
    """An operator's client on a real WebSocket; `seen` holds every message it got."""

    def __init__(self, url: str, token: str, guild_id: str) -> None:
        from websockets.sync.client import connect

        self.guild_id = guild_id
        self.seen: list[dict[str, Any]] = []
        self.socket: ClientConnection = connect(
            url.replace("http", "ws", 1) + "/ws",
            additional_headers={"Authorization": f"Bearer {token}"},
            proxy=None,
            max_queue=None,  # else one that does not read is no longer heard to answer, and leaves late
        ).__enter__()  # from 17.1 on it warns of a connection that is used without

    def send(self, **message: Any) -> None:
        """Send one message."""
        self.socket.send(json.dumps(message))

    def receive(self, seconds: float = 30.0) -> dict[str, Any]:
        """The next message. Raises TimeoutError, ConnectionClosed."""
        message: dict[str, Any] = json.loads(self.socket.recv(seconds))
        self.seen.append(message)
        return message

    def expect(self, kind: str, seconds: float = 30.0, **members: Any) -> dict[str, Any]:
        """The next message of this type with these members; what comes before it is passed over."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.receive(max(0.01, deadline - time.monotonic()))
            inner = (
                {**message, **message.get("data", {})} if isinstance(message.get("data"), dict) else message
            )
            if message["type"] == kind and all(inner.get(name) == value for name, value in members.items()):
                return message

    def join(self) -> "Operator":
        """Say hello and wait until joined."""
        self.expect("hello")
        self.send(type="join", guildId=self.guild_id, mode="voice")
        self.expect("joined")
        return self

    def close(self) -> None:
        """Leave."""
        self.socket.close()


@pytest.fixture(scope="session")
def shard_settings() -> dict[str, str]:
    """Settings for every shard and app of these fixtures, as SHARDAPI_* variables; none, unless it is overridden."""
    return {}


@pytest.fixture
def start_shard(
    tmp_path: Path, shard_settings: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Callable[..., Server]]:
    """Start shards: call it with `env`, `data_dir`, `arguments`; they end with the test."""
    started: list[Server] = []
    request.node.stash[STARTED] = started

    def start(data_dir: Path | None = None, env: dict[str, str] | None = None, **options: Any) -> Server:
        given = {**shard_settings, **(env or {})}
        server = Server(data_dir or tmp_path / f"data{len(started)}", given, **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory, shard_settings: dict[str, str]) -> Iterator[Server]:
    """A running shard that the tests of a module share, its limits out of the way."""
    env = {"SHARDAPI_LIMITS__DEFAULT": "1000000/minute", **shard_settings}
    server = Server(tmp_path_factory.mktemp("shard"), env)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def operator(shard: Server) -> Iterator[Callable[..., Operator]]:
    """Connect operators to `shard`: call it with user_id, name, roles; they leave with the test."""
    joined: list[Operator] = []

    def connect(user_id: str = "1", name: str = "Ann", roles: Sequence[str] = ()) -> Operator:
        joined.append(shard.operator(user_id, name, roles))
        return joined[-1]

    yield connect
    for one in joined:
        one.close()


@pytest.fixture
def simulator(shard: Server) -> "Iterator[Callable[..., Rehearsal]]":
    """Have simulated operators play a script at `shard`: call it with TOML, JSON or a path, `seed`, `speed`.

    The format is that of `shardapi simulate`. Who has not left stays on the air until the end of the test.
    """
    from .config import load
    from .simulation.rehearsal import Rehearsal
    from .simulation.script import parse, read
    from .simulation.simulator import access

    with ExitStack() as stack:

        def play(script: str | Path, seed: int | None = None, speed: float = 1.0) -> "Rehearsal":
            cast = read(script) if isinstance(script, Path) else parse(script)
            settings = load(environ=shard.env, data_dir=str(shard.data_dir))
            granted = stack.enter_context(access(cast.operators, cast.needs_key, settings))
            return stack.enter_context(Rehearsal(shard.url, granted, cast.plan(seed), speed))

        yield play


@pytest.fixture
def start_app(tmp_path: Path, shard_settings: dict[str, str]) -> "Iterator[Callable[..., ShardApp]]":
    """Make apps in this process: call it with `env`, `data_dir`; all on one store unless told otherwise."""
    from .app import create_app
    from .config import load

    made: list[ShardApp] = []

    def start(env: dict[str, str] | None = None, data_dir: Path | None = None) -> "ShardApp":
        settings = load(
            environ={**shard_settings, **(env or {})}, data_dir=str(data_dir or tmp_path / "data")
        )
        made.append(create_app(settings))
        return made[-1]

    yield start
    for app in made:
        app.shard.close()


@pytest.fixture
def app(start_app: "Callable[..., ShardApp]") -> "ShardApp":
    """The app in this process, on a store of its own."""
    return start_app()


@pytest.fixture
def key(app: "ShardApp") -> str:
    """A secret that opens everything in `app`."""
    return app.shard.keys.create("test", app.shard.plugins.all_scopes)[1]


@pytest.fixture
def client(app: "ShardApp", key: str) -> "FlaskClient":
    """A test client of `app` that sends `key`."""
    return client_of(app, key)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that failed what its shards have logged, such as the traceback of an answer 500."""
    report = yield
    if report.failed and call.when == "call":
        found = [*getattr(item, "funcargs", {}).values(), *item.stash.get(STARTED, [])]
        servers = [one for one in found if isinstance(one, Server) and one.url]
        if servers:
            time.sleep(LOG_SECONDS)
        for server in servers:
            report.sections.append((f"Log of {server.url}", "\n".join(server.log[-LOG_LINES:])))
    return report


def client_of(app: "ShardApp", secret: str) -> "FlaskClient":
    """A test client of an app that sends this key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return client

"""The demo: a server with nets and an open operation, full of simulated operators, until it is interrupted."""

import asyncio
import os
import resource
import shlex
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NamedTuple
from urllib.parse import urlsplit

from .. import clock, config
from ..central import mint_uid
from ..commands import Assign, Command, CreateNet, SetOperation, Unassign
from ..config import Config, ConfigError
from ..errors import ApiError
from ..folder import STORE
from ..guild import Guild
from .scene import Scene
from .script import Actor
from .simulator import KEY_MS, KEY_NAME, KEY_SCOPES, Access, Simulator, mint

GUILD = "Demo"
NETS = ("Command", "Strike", "Recon", "Air", "Logistics", "Medevac")
LEADER_OF_EVERY = 6
CALLSIGNS = (
    *("Anvil", "Badger", "Cobra", "Dagger", "Ember", "Falcon", "Ghost", "Hammer", "Ibis", "Jester"),
    *("Kestrel", "Lancer", "Mongoose", "Nomad", "Onyx", "Phantom", "Quarry", "Raven", "Saber", "Talon"),
    *("Umbra", "Viper", "Warden", "Yeti"),
)
FIRST_USER_ID = 900_000_000_000_000_000
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LISTENING = "shardapi listens on "
FAREWELL_SECONDS, END_SECONDS = 3.0, 15.0
FILES_BESIDE_SOCKETS = 256


class Cast(NamedTuple):
    """The demo's operators, and the nets each one starts on, by user id."""

    actors: dict[str, Actor]
    posts: Mapping[str, Sequence[str]]


def run(operators: int, seed: int, bind: str, data_dir: Path | None) -> None:
    """Show it until a signal ends it; nothing is left behind but a folder that was given. Raises ConfigError."""
    for number in SIGNALS:
        signal.signal(number, _end)
    _allow_files(operators)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(TemporaryDirectory(prefix="shardapi-demo-")))
        stack.callback(_be_deaf)
        environ, cast = _environ(folder, bind), _cast(operators)
        granted, key = _furnish(config.load(environ=environ), cast)
        stage = Stage(environ, granted, Scene(seed, cast.posts))
        with suppress(asyncio.CancelledError):
            asyncio.run(stage.show(lambda url: _say(url, key, folder, operators, seed)))


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # a SystemExit would be laid to the plugin that is being loaded


def _be_deaf() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _allow_files(operators: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = min(operators + FILES_BESIDE_SOCKETS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))


def _environ(folder: Path, bind: str) -> dict[str, str]:
    """The server's environment: none of the settings of a shard that is meant for real."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(config.ENV_PREFIX)}
    environ["SHARDAPI_DATA_DIR"], environ["SHARDAPI_SERVER__BIND"] = str(folder), bind
    environ["SHARDAPI_SERVER__ACCESS_LOG"] = "false"
    if not (folder / STORE).exists():
        environ["SHARDAPI_GUILD__NAME"] = GUILD
    return environ


def _cast(operators: int) -> Cast:
    actors, posts = {}, {}
    for place in range(operators):
        user = str(FIRST_USER_ID + place)
        squad, member = divmod(place, len(CALLSIGNS))
        actors[user] = Actor(f"{CALLSIGNS[member]} {squad + 1}")
        post = NETS[1 + place % (len(NETS) - 1)]
        posts[user] = [NETS[0], post] if place % LEADER_OF_EVERY == 0 else [post]
    return Cast(actors, posts)


def _furnish(settings: Config, cast: Cast) -> tuple[Access, str]:
    """Make what is not there yet: the nets, an open operation, everyone on their nets, and two keys for a day."""
    from ..app import create_app

    app = create_app(settings)
    try:
        shard = app.shard
        try:
            shard.central.submit(_nets(shard.guild))
            shard.central.submit(_posts(shard.guild, cast.posts))
        except ApiError as error:
            raise ConfigError(f"{settings.folder}: {error}") from None
        ends = clock.now() + KEY_MS
        _, key = shard.keys.create("demo", shard.plugins.all_scopes, expires_at=ends)
        _, driver = shard.keys.create(KEY_NAME, KEY_SCOPES, expires_at=ends)
        return Access(mint(shard, cast.actors), driver), key
    finally:
        app.shard.close()


def _nets(guild: Guild) -> list[Command]:
    there = {net.name for net in guild.nets.values()}
    missing = [CreateNet(uid=mint_uid(), name=name) for name in NETS if name not in there]
    return [*missing, SetOperation(open=True)]


def _posts(guild: Guild, posts: Mapping[str, Sequence[str]]) -> list[Command]:
    """Everyone to where the plot begins, wherever the last demo in this folder left them."""
    uids = {net.name: net.uid for net in guild.nets.values()}
    commands: list[Command] = []
    for user, nets in posts.items():
        for name in NETS:
            kind = Assign if name in nets else Unassign
            if kind is Assign or user in guild.members.get(uids[name], ()):
                commands.append(kind(uid=uids[name], user_id=user))
    return commands


def _say(url: str, key: str, folder: Path, operators: int, seed: int) -> None:
    there = f"--data-dir {shlex.quote(str(folder))}"
    print(
        f"""
A shard with {operators} simulated operators, seed {seed}. Look at it:

  {url}/docs
  {url}/api/v1/openapi.json
  curl -H "Authorization: Bearer {key}" {url}/api/v1/status
  curl -H "Authorization: Bearer {key}" {url}/api/v1/roster
  curl -N -H "Authorization: Bearer {key}" {url}/api/v1/stream
  shardapi tail {there}
  SHARDAPI_SERVER__BIND={urlsplit(url).netloc} shardapi panel link {there}

The key opens everything and ends with the demo, after a day at the latest. Ctrl-C ends it all.
""",
        flush=True,
    )


class Stage:
    """The server as a process of its own, and the operators who play the scene at it."""

    def __init__(self, environ: Mapping[str, str], granted: Access, scene: Scene) -> None:
        self.environ, self.granted, self.scene = environ, granted, scene

    async def show(self, say: Callable[[str], None]) -> None:
        """Play until this task is cancelled. Raises ConfigError if the server does not start or ends by itself."""
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        assert me is not None
        # Before there is a server: an exception while one is begun would leave it to itself.
        for number in SIGNALS:
            loop.add_signal_handler(number, me.cancel)
        server = await self._start()
        try:
            url = await _url(server)
            say(url)
            await self._play(server, Simulator(url, *self.granted, return_home=True))
        finally:
            for number in SIGNALS:
                loop.add_signal_handler(number, int)  # the end is under way
            await _stop(server)

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shardapi.simulation.tethered"),
            env=self.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, and we end it
        )

    async def _play(self, server: Process, simulator: Simulator) -> None:
        playing = asyncio.create_task(simulator.play(self.scene.steps()))
        serving = asyncio.create_task(_echo(server))
        try:
            await asyncio.wait([playing, serving], return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
            raise ConfigError("the demo's server has ended")
        finally:
            playing.cancel()
            serving.cancel()
            with suppress(TimeoutError):
                await asyncio.wait_for(simulator.everyone_leaves(), FAREWELL_SECONDS)


async def _url(server: Process) -> str:
    """Where the server listens, once it does. Raises ConfigError with what it said instead."""
    assert server.stdout is not None
    said = ""
    async for line in server.stdout:
        said = line.decode(errors="replace").strip()
        if said.startswith(LISTENING):
            return said.removeprefix(LISTENING)
    raise ConfigError(said.removeprefix("Error: ") or "the demo's server did not start")


async def _echo(server: Process) -> None:
    """Pass on what the server says, until it ends."""
    assert server.stdout is not None
    async for line in server.stdout:
        sys.stderr.write(line.decode(errors="replace"))


async def _stop(server: Process) -> None:
    # Not by terminate(), which takes the status of one that has just ended from under asyncio's own watcher.
    if server.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGTERM)
    try:
        # With what it still says: a pipe that is open as the loop closes would be complained of.
        await asyncio.wait_for(server.communicate(), END_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        await server.wait()

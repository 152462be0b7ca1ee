"""`shardapi demo` and `shardapi simulate`: operators who are not there."""

import json
import signal
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click
import msgspec

from ..config import Config
from .options import as_json, foreseen, one_line, with_config


@click.command()
@click.option(
    "--operators", type=click.IntRange(1, 5000), default=24, metavar="N", help="How many (default: 24)."
)
@click.option(
    "--seed", type=int, metavar="N", help="The same seed, the same plot (default: another each time)."
)
@click.option(
    "--bind",
    default="127.0.0.1:25588",
    metavar="HOST:PORT",
    help="Where to listen (default: 127.0.0.1:25588; port 0: a free one).",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the data here (default: nowhere).",
)
def demo(operators: int, seed: int | None, bind: str, data_dir: Path | None) -> None:
    """Run a shard full of simulated operators, to look at and to try a bot on.

    They join, talk in turns, change nets and leave, over real connections. Prints where to look and a key.
    Takes no settings but these. Ctrl-C ends all of it.
    """
    from random import randrange

    from ..simulation.demo import run

    with one_line(foreseen):
        run(operators, randrange(10_000) if seed is None else seed, bind, data_dir and data_dir.absolute())


def _address(context: click.Context, parameter: click.Parameter, url: str) -> str:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise click.BadParameter(f'write http://HOST:PORT or https://HOST, not "{url}"')
    return url


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # as Ctrl-C does: everyone leaves, and a key that was made is revoked


@click.command()
@click.option(
    "--url",
    required=True,
    metavar="URL",
    callback=_address,
    help="The shard, such as http://127.0.0.1:25588.",
)
@click.option(
    "--script", "path", required=True, type=click.Path(path_type=Path), metavar="FILE", help="What they do."
)
@click.option(
    "--seed", type=int, metavar="N", help="Of all that the script leaves open (default: the script's)."
)
@click.option(
    "--speed", type=click.FloatRange(0, min_open=True), default=1.0, metavar="X", help="X times as fast."
)
@click.option("--key", default="", metavar="SECRET", help="A key with read:status and write:assignments.")
@as_json
@with_config
def simulate(
    settings: Config, url: str, path: Path, seed: int | None, speed: float, key: str, as_json: bool
) -> None:
    """Have simulated operators do what a script says; the same seed, the same events in the same order.

    The script, in TOML or JSON, names the operators by their user ids, and says who does what at which second:

    \b
      seed = 7
      [operators.viper]
      name = "Viper 1"                 # all three may be left out
      roles = ["880000000000000001"]
      token = "..."
      [operators.raven]
      [[steps]]
      at = 0
      join = ["viper", "raven"]        # one user id or a list
      [[steps]]
      at = 1.5
      talk = "viper"
      net = "Strike"                   # its name, its uid or its slot
      seconds = 2.5                    # else as long as people talk
      [[steps]]
      at = 5
      chat = ["viper", "raven"]        # they take turns for so long
      net = "Strike"
      seconds = 30
      [[steps]]
      at = 36
      assign = "raven"                 # and unassign; these need a key
      net = "Recon"
      [[steps]]
      at = 40
      leave = "viper"                  # at the end everyone leaves

    Tokens and a key that are not given are made for the time of the run from the shard's data, where --data-dir
    or --config says it is. Exit status 1 if the shard refused a step.
    """
    import asyncio

    from ..folder import STORE
    from ..simulation.script import ScriptError, read
    from ..simulation.simulator import Done, Simulator, access

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # else it is meant to go on, as under nohup
            signal.signal(number, _interrupt)
    refused = False

    def told(done: Done) -> None:
        nonlocal refused
        refused = refused or bool(done.refused)
        step = done.step
        if as_json:
            click.echo(json.dumps({**msgspec.structs.asdict(step), "refused": done.refused}))
            return
        click.echo(f"{step.at:9.3f}  {step.do:9} {step.user}  {step.net}  {done.refused}".rstrip())

    with one_line(lambda: (ScriptError, *foreseen())):
        script = read(path)
        data = settings if (settings.folder / STORE).exists() else None
        with access(script.operators, script.needs_key and not key, data) as (tokens, minted):
            simulator = Simulator(url, tokens, key or minted, told)
            asyncio.run(simulator.run(script.plan(seed), speed))
    if refused:
        click.get_current_context().exit(1)

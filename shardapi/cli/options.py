"""What the commands share: the settings, one-line errors, an open shard, JSON."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from unicodedata import category

import click
import msgspec

from .. import config
from ..config import Config, ConfigError
from ..folder import STORE, check_whole, holds

if TYPE_CHECKING:
    from ..app import ShardApp


C = TypeVar("C", click.Command, Callable[..., Any])


class Days(click.FloatRange):
    """How long something is good: up to a hundred years, so that its end is a time that can be written."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=36_500)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuses nan too, which is in no order with any bound."""
        days = super().convert(value, param, ctx)
        if days != days:
            self.fail(f"{value} is not a number of days.", param, ctx)
        return days


def config_options(command: C) -> C:
    """Give a command the parameters --config (`file`) and --data-dir (`data_dir`)."""
    data_dir = click.option("--data-dir", metavar="DIR", help="The data folder (default: ./shard-data).")
    file = click.option(
        "--config", "file", metavar="FILE", help="Settings as TOML (default: SHARDAPI_CONFIG, or none)."
    )
    return file(data_dir(command))


def environ_of(file: str | None = None, data_dir: str | None = None) -> dict[str, str]:
    """The environment with what --config and --data-dir say in it."""
    environ = dict(os.environ)
    if file is not None:
        environ["SHARDAPI_CONFIG"] = str(Path(file).absolute())
    if data_dir is not None:
        environ["SHARDAPI_DATA_DIR"] = str(Path(data_dir).absolute())
    return environ


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --config and --data-dir, and pass it the settings in force."""

    @config_options
    @wraps(command)
    def loaded(*args: Any, file: str | None, data_dir: str | None, **kwargs: Any) -> Any:
        environ = environ_of(file, data_dir)
        if kwargs.get("bind"):
            environ["SHARDAPI_SERVER__BIND"] = kwargs["bind"]
        click.get_current_context().obj = environ
        with one_line():
            return command(*args, settings=config.load(environ=environ), **kwargs)

    return loaded


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


class Refused(click.ClickException):
    """Raised for what the owner can mend; in systemd's journal it is an entry as the server's are."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Tell it."""
        from ..logs import Log, in_journal
        from ..sink import Sink

        if not in_journal(2):
            return super().show(file)
        log = Log(Sink(2))
        log.form("auto")
        log.say("error", "shardapi", self.format_message())


@contextmanager
def one_line(errors: Callable[[], tuple[type[Exception], ...]] = lambda: (ConfigError,)) -> Iterator[None]:
    """Tell a foreseen error in one line, with exit status 1."""
    try:
        yield
    except errors() as error:
        raise Refused(" ".join(str(error).split())) from None


def foreseen() -> tuple[type[Exception], ...]:
    """What opening and writing a shard may raise that its owner can mend."""
    from ..errors import ApiError
    from ..store import FAILURES, StoreTooNew

    return ConfigError, ApiError, StoreTooNew, *FAILURES


@contextmanager
def opened(settings: Config) -> "Iterator[ShardApp]":
    """The shard, open beside a running server."""
    from ..app import create_app

    with one_line(foreseen):
        app = create_app(settings)
        try:
            app.shard.meet_server()
            yield app
        finally:
            app.shard.close()


@contextmanager
def existing(settings: Config) -> "Iterator[ShardApp]":
    """The shard, opened; refused where there is none, so that nothing is begun in a folder whose name is mistyped."""
    with one_line(foreseen):
        check_whole(settings.folder)
    if not holds(settings.folder):
        raise click.ClickException(
            f"there is no shard in {settings.folder}: look at --data-dir, or begin one with shardapi serve"
        )
    with opened(settings) as app:
        yield app


@contextmanager
def assembled(settings: Config, trying: bool = False) -> "Iterator[ShardApp]":
    """The app as `serve` would make it, on a store that is thrown away: for what does not need the data.

    The store is empty; `trying` makes it a copy of the one there is, if that has to be upgraded.
    """
    with tempfile.TemporaryDirectory(prefix="shardapi-") as name:
        if trying and holds(settings.folder):
            with one_line(foreseen):
                _copy_if_due(settings, Path(name))
        with opened(msgspec.structs.replace(settings, data_dir=name)) as app:
            yield app


def _copy_if_due(settings: Config, folder: Path) -> None:
    from ..snapshot import take
    from ..upgrades import due

    if due(settings):
        take(settings.folder, folder / STORE)


def lenient(settings: Config) -> Config:
    """The settings with plugins that cannot run left out, for what is not about them."""
    return msgspec.structs.replace(
        settings, plugins=msgspec.structs.replace(settings.plugins, on_error="skip")
    )


def say(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def checked_name(name: str, what: str) -> str:
    """A name without the space around it; a usage error if it is none."""
    name = name.strip()
    if not 1 <= len(name) <= 64 or any(category(one) in ("Cc", "Cs") for one in name):
        raise click.UsageError(f"{what} has 1 to 64 characters, none of them a control character")
    return name

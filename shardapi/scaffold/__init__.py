"""`shardapi plugins new`: what a new plugin begins as, a package with everything or one file."""

import re
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from ..auth import SCOPES
from ..cli import COMMANDS
from ..config import ConfigError
from ..installed import GROUP, RESERVED

NAME = re.compile(r"(?=.{1,40}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")  # two _ together part the words of a variable
MODULE = "plugin"  # the folder that becomes the package


def check_name(name: str) -> None:
    """Raises ConfigError for what cannot be the name of a new plugin."""
    if not NAME.fullmatch(name):
        raise ConfigError(f'a plugin is named with a-z, 0-9 and single _, a letter first, not "{name[:64]}"')
    if name in {*RESERVED, *COMMANDS, *(entry.name for entry in entry_points(group=GROUP))}:
        raise ConfigError(f"the name {name} is taken")
    for scope in SCOPES.keys() & {f"read:{name}", f"write:{name}"}:
        raise ConfigError(f"the name {name} is taken: there is a scope {scope}")


def write_package(name: str, into: Path) -> list[Path]:
    """Write a package of its own into the new folder `into`; returns its files. Raises ConfigError."""
    check_name(name)
    if into.exists():
        raise ConfigError(f"{into} is there already")
    written: list[Path] = []
    _copy(files(__name__).joinpath("package"), into, name, written)
    return written


def write_file(name: str, into: Path) -> Path:
    """Write a plugin of one file into a folder; returns the file. Raises ConfigError."""
    check_name(name)
    path = into / f"{name}.py"
    if path.exists():
        raise ConfigError(f"{path} is there already")
    into.mkdir(parents=True, exist_ok=True)
    path.write_text(_filled(files(__name__).joinpath("single.txt"), name), "utf-8")
    return path


def _copy(source: Traversable, target: Path, name: str, written: list[Path]) -> None:
    """Copy a folder of templates; they end in .txt, because as they lie there they are no code."""
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        plain = entry.name.removesuffix(".txt").replace("NAME", name)
        if entry.is_dir():
            _copy(entry, target / (f"shardapi_{name}" if entry.name == MODULE else plain), name, written)
        elif entry.name.endswith(".txt"):
            (target / plain).write_text(_filled(entry, name), "utf-8")
            written.append(target / plain)


def _filled(template: Traversable, name: str) -> str:
    words = name.split("_")
    return Template(template.read_text("utf-8")).substitute(
        name=name,
        NAME=name.upper(),
        dist=name.replace("_", "-"),
        Name="".join(word.capitalize() for word in words),
        title=" ".join(words).strip().capitalize(),
    )

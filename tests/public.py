"""What the public names are and how they are called, a line each; run it to write tests/public.txt anew."""

import ast
import inspect
import re
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import shardapi
from shardapi import (
    Call,
    ErrorCode,
    Follower,
    Key,
    Logged,
    Shard,
    ShardApp,
    Write,
    create_app,
    hookspecs,
)
from shardapi.config import Config

RECORD = Path(__file__).with_name("public.txt")
MADE_BY_THE_CORE = (Call, Follower, Key, Logged, Shard, ShardApp, Write)  # whose makers may change


def own_names(module: str) -> list[str]:
    """The names without an underscore that a module makes itself, less its type variables."""
    tree = ast.parse(Path(import_module(f"shardapi.{module}").__file__ or "").read_text("utf-8"))
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            targets = [inner for target in node.targets for inner in ast.walk(target)]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return [name for name in names if not name.startswith("_") and (len(name) > 1) and name != "log"]


def is_public(module: str, name: str) -> bool:
    """Whether a plugin may say `from module import name`."""
    if module == "shardapi":
        return name in shardapi.__all__
    inner = module.removeprefix("shardapi.")
    if inner in shardapi.MODULES:
        return name in own_names(inner)
    return name in shardapi.PARTS.get(inner, ()) or shardapi._HOME.get(name) == inner


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """What a source file imports of shardapi: module and name, "" where it is a module alone."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] == "shardapi"
        ):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "shardapi")


def lines() -> Iterator[str]:
    """Every public thing with its signature."""
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction):
        if name.startswith("shardapi_"):
            yield f"hook {name}{_signature(function)}"
    for name in shardapi.__all__:
        if name not in shardapi.MODULES:
            yield from described(name, getattr(shardapi, name))
    for module in (*shardapi.MODULES, *shardapi.PARTS):
        for name in shardapi.PARTS.get(module) or own_names(module):
            yield from described(f"{module}.{name}", getattr(import_module(f"shardapi.{module}"), name))


def reached(shard: Shard) -> Iterator[str]:
    """What may be used through a shard, with its signature where it is a method."""
    for name, members in shardapi.REACHED.items():
        part = getattr(shard, name)
        yield f"shard.{name}{_signature(part) if inspect.ismethod(part) else ''}"
        for member in members:
            found = getattr(part, member)
            yield f"shard.{name}.{member}{_signature(found) if inspect.ismethod(found) else ''}"


def described(name: str, thing: Any) -> Iterator[str]:
    """A thing and, of a class, what can be called and read on it."""
    if isinstance(thing, ErrorCode):
        yield f"{name} = {thing.code} {thing.status}"
    elif inspect.isclass(thing):
        yield f"class {name}{'' if thing in MADE_BY_THE_CORE else _signature(thing)}"
        for member, found in sorted(vars(thing).items()):
            if member.startswith("_") or thing is Shard:
                continue
            if inspect.isfunction(found):
                yield f"{name}.{member}{_signature(found)}"
            elif isinstance(found, property):
                yield f"{name}.{member}"
    elif inspect.isroutine(thing):
        yield f"{name}{_signature(thing)}"
    else:
        yield name


def holds(old: str, new: str) -> bool:
    """Whether what could be called as the old line says can be called so still: more may be given, nothing must."""
    name, before, result = _taken_apart(old)
    if (name, result) != (_taken_apart(new)[0], _taken_apart(new)[2]):
        return False
    after = _taken_apart(new)[1]
    named = before.index("*") if "*" in before else len(before)
    in_place = after[:named] == before[:named]
    more = [one for one in after if one not in before]
    return in_place and set(before) <= {*after, "*"} and all("=" in one or one in ("*", "/") for one in more)


def _taken_apart(line: str) -> tuple[str, list[str], str]:
    """A line's name, its parameters, and what comes after them."""
    name, bracket, rest = line.partition("(")
    parameters, depth = [""], 1
    for place, letter in enumerate(rest):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return name + bracket, [one.strip() for one in parameters if one.strip()], rest[place:]
        if letter == "," and depth == 1:
            parameters.append("")
        else:
            parameters[-1] += letter
    return line, [], ""


def _signature(thing: Any) -> str:
    """How it is called; bounds and descriptions of the types are left out."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return "(…)"
    hints = {**_hints(getattr(thing, "__init__", None)), **_hints(thing)}
    plain = [
        one.replace(annotation=hints.get(one.name, one.annotation)) for one in signature.parameters.values()
    ]
    return re.sub(r"<function (\S+) at 0x\w+>", r"<\1>", str(signature.replace(parameters=plain)))


def _hints(thing: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(thing)
    except (NameError, TypeError):
        return {}  # it names what only the type checker imports


def record(shard: Shard) -> list[str]:
    """All of it."""
    return [*lines(), *reached(shard)]


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        app = create_app(Config(data_dir=folder))
        RECORD.write_text("\n".join(record(app.shard)) + "\n", "utf-8")
        app.shard.close()

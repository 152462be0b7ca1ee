"""What plugins may use: ours use nothing else, and what the first version had stays as it was."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from public import RECORD, holds, imports, is_public, record

import shardapi
from shardapi import ShardApp, hookspecs

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
SOURCES = sorted(PLUGINS.rglob("*.py"))


def test_our_own_plugins_import_public_names_only() -> None:
    hidden = [
        f"{file.relative_to(PLUGINS)} imports {name} of {module}"
        for file in SOURCES
        for module, name in imports(file)
        if not is_public(module, name)
    ]
    assert hidden == [], "a stranger's plugin could not: add it to shardapi/__init__.py, or do without"


def test_our_own_plugins_reach_public_parts_of_the_shard_only() -> None:
    used = {
        (file.relative_to(PLUGINS), found[1], found[2] or "")
        for file in SOURCES
        for found in re.finditer(r"\bshard\.(\w+)(?:\.(\w+))?", file.read_text("utf-8"))
    }
    assert len(used) > 20
    hidden = {
        one
        for one in used
        if one[1] not in shardapi.REACHED
        or (one[2] and shardapi.REACHED[one[1]] and one[2] not in shardapi.REACHED[one[1]])
    }
    assert hidden == set(), "a stranger's plugin could not: add it to shardapi/__init__.py, or do without"


def test_a_plugin_imports_no_other_plugin() -> None:
    for file in SOURCES:
        own = file.relative_to(PLUGINS).parts[0]
        found = set(re.findall(r"^\s*(?:from|import) (shardapi_\w+)", file.read_text("utf-8"), re.MULTILINE))
        assert found <= {own}, file


def test_what_is_public_is_as_it_was_in_the_first_version(app: ShardApp) -> None:
    kept, now = RECORD.read_text("utf-8").splitlines(), record(app.shard)
    assert len(kept) > 300
    changed = [old for old in kept if not any(holds(old, new) for new in now)]
    assert changed == [], (
        "plugins that were written for it break; if there can be none yet, run tests/public.py"
    )


@pytest.mark.parametrize(
    ("old", "new", "still"),
    [
        ("a.f(x: int) -> int", "a.f(x: int) -> int", True),
        ("a.f(x: int) -> int", "a.f(x: int, y: int = 0) -> int", True),
        ("a.f(x: int) -> int", "a.f(x: int, *, y: tuple[int, int] = (1, 2)) -> int", True),
        ("class C(*, x: int, y: int = 0)", "class C(*, z: int = 0, y: int = 0, x: int)", True),
        ("a.f(x: int, *, y: int) -> int", "a.f(x: int, y: int) -> int", True),
        ("a.f(x: int) -> int", "a.f(x: int, y: int) -> int", False),
        ("a.f(x: int) -> int", "a.f(y: int = 0, x: int = 0) -> int", False),
        ("a.f(x: int) -> int", "a.f(x: str) -> int", False),
        ("a.f(x: int) -> int", "a.f(x: int) -> str", False),
        ("a.f(x: int) -> int", "a.f() -> int", False),
        ("a.f(x: int) -> int", "a.g(x: int) -> int", False),
        ("a.F", "a.F", True),
        ("a.F", "a.G", False),
        ("errors.X = x 400", "errors.X = x 409", False),
    ],
)
def test_what_counts_as_the_same(old: str, new: str, still: bool) -> None:
    assert holds(old, new) is still


def test_every_name_of_the_public_list_is_in_the_record() -> None:
    kept = RECORD.read_text("utf-8")
    names = [name for name in shardapi.__all__ if name not in shardapi.MODULES]
    new = [name for name in names if not re.search(rf"^(class )?{name}\b", kept, re.MULTILINE)]
    assert new == [], "a new public name: run tests/public.py"


@pytest.mark.parametrize("name", shardapi.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(shardapi, name)
    assert isinstance(found, str) or found.__doc__


def test_the_hook_contract_fits_one_screen() -> None:
    text = Path(hookspecs.__file__).read_text("utf-8")
    assert len(text.splitlines()) <= 66
    hooks = [function for name, function in vars(hookspecs).items() if name.startswith("shardapi_")]
    assert len(hooks) == 5 and all(hook.__doc__ for hook in hooks)


def test_importing_the_names_imports_nothing_else() -> None:
    more = "[name for name in sys.modules if name.startswith(('shardapi.', 'flask', 'gevent'))]"
    code = f"import sys, shardapi; print({more})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What all tests share: the two sizes they come in, and what they need of the machine."""

import gc
import glob
import operator
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from shardapi import ShardApp

LONGEST = {
    "test_schema.py",
    "test_demo.py",
    "test_recipes.py",
    "test_tail.py",
}  # begun early, none is waited for alone
COMPARISONS = {"==": operator.eq, "<=": operator.le, ">=": operator.ge, ">": operator.gt}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The size that tests which come in two sizes run at."""
    parser.addoption("--size", choices=("ci", "soak"), help="how long and large a test may be (default: ci)")


def chosen_size(config: pytest.Config) -> str:
    """The size to run at: --size, else `soak` where -m names it, else `ci`."""
    named = config.getoption("markexpr") == "soak"
    return str(config.getoption("size") or ("soak" if named else "ci"))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """At full size each test has the machine to itself."""
    if chosen_size(config) == "soak":
        config.option.numprocesses, config.option.dist = 0, "no"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test with two sizes, so that -m finds it; leave out what comes in the other size only."""
    full, kept, left_out = chosen_size(config) == "soak", [], []
    for item in items:
        if item.get_closest_marker("soak") is not None and not full:
            left_out.append(item)
            continue
        if "size" in getattr(item, "fixturenames", ()):
            item.add_marker("soak")
        kept.append(item)
    items[:] = sorted(kept, key=lambda item: item.path.name not in LONGEST)
    if left_out:
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Have the collector pass over what is loaded by now, all of which stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine lacks the means for, and say so; in CI that is a failure."""
    missing = [
        f"{name} of a Debian package"
        for marker in item.iter_markers("debian")
        for name in marker.args
        if not (glob.glob(name) if "/" in name else shutil.which(name))
    ]
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        missing.append("root")
    if missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {', '.join(missing)}")


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> str:
    """The size to run at, `ci` or `soak`."""
    return chosen_size(request.config)


@pytest.fixture
def figure(size: str, capsys: pytest.CaptureFixture[str]) -> Callable[[str, float, str], None]:
    """Hold a figure to a target such as "<= 0"; at full size it is printed too: `id figure target pass|fail`."""

    def hold(name: str, value: float, target: str) -> None:
        comparison, _, bound = target.partition(" ")
        passed = COMPARISONS[comparison](value, float(bound))
        if size == "soak":
            with capsys.disabled():
                print(
                    f"\n{name} {value:g} {target.replace(' ', '')} {'pass' if passed else 'fail'}", flush=True
                )
        assert passed, f"{name} is {value:g}, not {target}"

    return hold


@pytest.fixture
def make_app(start_app: "Callable[..., ShardApp]") -> "Callable[..., ShardApp]":
    """Make apps in this process with settings such as LIMITS__DEFAULT="3/minute"; all on the store of `app`."""

    def make(data_dir: Path | None = None, **environ: str) -> "ShardApp":
        return start_app({f"SHARDAPI_{name}": value for name, value in environ.items()}, data_dir)

    return make

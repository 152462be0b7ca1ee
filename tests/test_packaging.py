"""A wheel built from the checkout holds all that a shard needs, and its registers name what is in the folders."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_BY_BUILDS = ("build", "dist", "*.egg-info", "__pycache__", ".*", "shard-data")


@pytest.fixture(scope="module")
def register() -> configparser.ConfigParser:
    """setup.cfg."""
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg", "utf-8")
    return read


def words(register: configparser.ConfigParser, section: str, name: str) -> list[str]:
    """The lines of a setting that has one value a line."""
    return register[section][name].split("\n")[1:]


def source_of(package: str) -> Path:
    """The folder of a package in the checkout."""
    top, *rest = package.split(".")
    return (ROOT if top == "shardapi" else ROOT / "plugins").joinpath(top, *rest)


def files_of(package: str) -> Iterator[Path]:
    """What lies in the folder of a package, and in the folders below it that are none."""
    folder = source_of(package)
    for path in folder.rglob("*"):
        below = {parent for parent in path.parents if folder in parent.parents}
        if path.is_file() and not any(
            parent.name == "__pycache__" or any(parent.glob("*.py")) for parent in below
        ):
            yield path


def packages_in(folder: Path) -> set[str]:
    """Every folder with Python files at or below one, as a package."""
    found = {file.parent.relative_to(folder.parent) for file in folder.rglob("*.py")}
    return {".".join(path.parts) for path in found}


@pytest.fixture(scope="module")
def plugins() -> set[str]:
    """The names of the bundled plugins, by their folders."""
    return {path.name.removeprefix("shardapi_") for path in (ROOT / "plugins").glob("shardapi_*/")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """A wheel built from a copy of the checkout, so that the checkout gets no build folder."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_BY_BUILDS))
    (copy / "conf" / "__pycache__").mkdir()  # as gunicorn leaves it
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*build, "--wheel-dir", str(folder), str(copy)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as built:
        yield built


def test_every_folder_is_registered(register: configparser.ConfigParser, plugins: set[str]) -> None:
    listed = words(register, "options", "packages")
    folders = packages_in(ROOT / "shardapi").union(
        *(packages_in(ROOT / "plugins" / f"shardapi_{name}") for name in plugins)
    )
    assert listed == sorted(listed)
    assert set(listed) == folders


def test_every_plugin_is_an_entry_point(register: configparser.ConfigParser, plugins: set[str]) -> None:
    entries = dict(line.split(" = ") for line in words(register, "options.entry_points", "shardapi"))
    assert entries == {name: f"shardapi_{name}" for name in plugins}


def test_the_wheel_holds_every_file_of_every_package(
    wheel: zipfile.ZipFile, register: configparser.ConfigParser
) -> None:
    packages = words(register, "options", "packages")
    files = {package: [*files_of(package)] for package in packages}
    for package, there in files.items():
        for file in there:
            inside = f"{package.replace('.', '/')}/{file.relative_to(source_of(package))}"
            assert wheel.read(inside) == file.read_bytes(), inside
    assert ROOT / "shardapi" / "migrations" / "0001_first.py" in files["shardapi.migrations"]


@pytest.mark.parametrize("folder", ["conf", "systemd"])
def test_the_wheel_holds_the_files_of_an_installation(wheel: zipfile.ZipFile, folder: str) -> None:
    top = next(name for name in wheel.namelist() if ".data/" in name).split("/")[0]
    files = [
        file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts
    ]
    assert files
    for file in files:
        inside = f"{top}/data/share/shardapi/{file.relative_to(ROOT)}"
        assert wheel.read(inside) == file.read_bytes()


def test_the_wheel_holds_the_guide_for_authors_of_plugins(wheel: zipfile.ZipFile) -> None:
    (inside,) = [
        name for name in wheel.namelist() if name.endswith(".data/data/share/shardapi/plugins/README.md")
    ]
    assert wheel.read(inside) == (ROOT / "plugins" / "README.md").read_bytes()


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile, register: configparser.ConfigParser) -> None:
    tops = {package.split(".")[0] for package in words(register, "options", "packages")}
    others = {name.split("/")[0] for name in wheel.namelist()} - tops
    assert {name.split("-")[0] for name in others} == {"shardapi"}
    assert len(others) == 2  # what it says of itself, and the files of an installation


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    facts = message_from_bytes(wheel.read(metadata))
    assert (facts["Name"], facts["Requires-Python"], facts["License"]) == (
        "shardapi",
        ">=3.11",
        "MIT",
    )
    assert {"test", "lint"} <= set(facts.get_all("Provides-Extra", []))
    assert "LICENSE" in str(facts.get_all("License-File"))


def test_an_installed_command_and_fixtures_are_announced(wheel: zipfile.ZipFile) -> None:
    file = next(name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(file).decode())
    assert dict(entries["console_scripts"]) == {"shardapi": "shardapi.cli:main"}
    assert dict(entries["pytest11"]) == {"shardapi": "shardapi.testing"}

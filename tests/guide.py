"""The guide of plugin authors taken apart: its blocks by kind, those that name a file written where they say.

Run it with a folder to have them written there.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).resolve().parents[1] / "plugins" / "README.md"
TEXT = FILE.read_text("utf-8")
NAME = re.compile(r"(?:\{?#|<!--|/\*) (\S+\.\w+)(?: -->| \*/| #\})?\n")


class Block(NamedTuple):
    """One block: what it is written in, the file that it says it is ("" if none), and its text."""

    kind: str
    file: str
    text: str


def _block(kind: str, text: str) -> Block:
    named = NAME.match(text)
    return Block(kind, named[1] if named else "", text)


BLOCKS = [_block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)]
FILES = {block.file: block.text for block in BLOCKS if block.file}
SINGLE = [Path(name).stem for name in FILES if re.fullmatch(r"plugins/\w+\.py", name)]


def write(folder: Path) -> Path:
    """Write every file of the guide, and say that the package is installed; returns the folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    info = folder / "packages" / "shardapi_tally-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shardapi-tally\nVersion: 1.0.0\n")
    (info / "entry_points.txt").write_text("[shardapi]\ntally = tally\n")
    return folder


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the tables under a heading: by their first cell, the other cells."""
    part = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in part.splitlines()
        if line[:1] == "|"
    ]
    return {row[0].lstrip("| ").strip(): row[1:] for row in rows}


if __name__ == "__main__":
    write(Path(sys.argv[1]))

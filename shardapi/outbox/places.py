"""Where each endpoint stands, in a file that is written after each delivery.

A commit for each delivery would be its most expensive part. What is written to a file survives the death of the process
as it is; the cursors in the store follow within a second and survive a power cut. A slot tells more than a cursor: what
was taken out of turn after it.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SLOT = 512
MOST_AHEAD = 50
HEAD = struct.Struct("<I16s32sqIH")  # crc, epoch, id, number, generation, how many are ahead
AHEAD = struct.Struct("<q")


class Place(NamedTuple):
    """All up to `number` is done, and of what comes after it `ahead`; `generation` counts how often it went back."""

    number: int
    generation: int = 0
    ahead: tuple[int, ...] = ()


class Places:
    """The file; one slot for an endpoint."""

    def __init__(self, path: Path, epoch: str) -> None:
        self.path, self._epoch = path, epoch.encode()
        self._slots: dict[str, int] = {}
        self._file = -1

    def open(self) -> dict[str, Place]:
        """What the process before has left; from now on this one writes."""
        self.close()
        return self._read()

    def _read(self) -> dict[str, Place]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        found = (self._parse(data[at : at + SLOT]) for at in range(0, len(data) - SLOT + 1, SLOT))
        return dict(one for one in found if one is not None)

    def _parse(self, slot: bytes) -> tuple[str, Place] | None:
        crc, epoch, id_, number, generation, count = HEAD.unpack_from(slot)
        if count > MOST_AHEAD or epoch.rstrip(b"\0") != self._epoch:
            return None
        end = HEAD.size + count * AHEAD.size
        if zlib.crc32(slot[4:end]) != crc:
            return None
        ahead = tuple(number for (number,) in AHEAD.iter_unpack(slot[HEAD.size : end]))
        return id_.rstrip(b"\0").decode(), Place(number, generation, ahead)

    def begin(self, places: Mapping[str, Place]) -> None:
        """Write where endpoints stand that have no slot yet, and take the slots of all others. Raises OSError."""
        if self._file < 0:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        for gone in self._slots.keys() - places.keys():
            os.pwrite(self._file, bytes(SLOT), self._slots.pop(gone))
        taken = {slot // SLOT for slot in self._slots.values()}
        free = (slot for slot in range(len(places)) if slot not in taken)
        for id_ in places.keys() - self._slots.keys():
            slot = next(free) * SLOT
            os.pwrite(self._file, bytes(SLOT), slot)  # takes the space, so that what follows needs none
            self._slots[id_] = slot
            self.keep(id_, places[id_])

    def keep(self, id_: str, place: Place) -> None:
        """Write where an endpoint stands; without a slot, the store alone knows."""
        slot = self._slots.get(id_)
        if slot is None:
            return
        packed = HEAD.pack(0, self._epoch, id_.encode(), place.number, place.generation, len(place.ahead))
        rest = packed[4:] + b"".join(map(AHEAD.pack, place.ahead))
        with suppress(OSError):
            os.pwrite(self._file, zlib.crc32(rest).to_bytes(4, "little") + rest, slot)

    def close(self) -> None:
        """Write no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file, self._slots = -1, {}


def later(kept: Place, left: Place | None, newest: int) -> Place:
    """The place to go on from: as the store has it, or as the file that the last process has left."""
    if left is None or left.generation < kept.generation or left.number > newest:
        return kept
    if left.generation > kept.generation or left.number >= kept.number:
        return left
    return kept

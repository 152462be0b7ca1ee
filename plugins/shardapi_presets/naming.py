"""Which net is meant: within a preset an id names the preset's own nets first, then the slots of the active ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

from shardapi import errors
from shardapi.errors import FieldError
from shardapi.guild import GLOBAL_SLOT, GLOBAL_UID, PUBLIC_SLOT, PUBLIC_UID

from .bodies import NetBody

K = TypeVar("K", str, int)

PROTECTED = (PUBLIC_SLOT, GLOBAL_SLOT, PUBLIC_UID, GLOBAL_UID)


class Meant(NamedTuple):
    """A net: its place among the preset's own (None for another), its number here (0: none), its uid ("": none yet)."""

    place: int | None
    number: int
    uid: str


class Naming:
    """The nets that a preset being saved can name.

    `slots` has the uid of each active net, `told` the number that a net has been called by before: it keeps that.
    """

    def __init__(self, nets: Sequence[NetBody], slots: Mapping[int, str], told: Mapping[str, int]) -> None:
        self.slots = slots
        self.uids = [_uid_of(net, f"nets[{place}]") for place, net in enumerate(nets)]
        self._by_uid = _places("netUid", self.uids)
        self._by_id = _places("id", [net.id for net in nets])
        self.ids = self._by_id.keys()
        self.numbers = self._number(nets)
        own = set(self.numbers)
        self._others = {uid: number for uid, number in told.items() if number and number not in own}
        taken = own.union(self._others.values())
        for slot, uid in slots.items():
            if slot not in taken:
                self._others.setdefault(uid, slot)

    def _number(self, nets: Sequence[NetBody]) -> list[int]:
        """The id of each own net: the one that was sent, else its live slot, else a number nobody has."""
        live = {uid: slot for slot, uid in self.slots.items()}
        taken = {net.id for net in nets if net.id is not None}
        numbers = []
        for net, uid in zip(nets, self.uids, strict=True):
            number = net.id
            if not number:
                number = live.get(uid, 0)
                if not number or number in taken:
                    number = next(n for n in range(1, 1000) if n not in taken and n not in self.slots)
                taken.add(number)
            numbers.append(number)
        return numbers

    def named(
        self,
        uid: str | None,
        number: int | None,
        path: str,
        known: Collection[tuple[int, str]] = (),
    ) -> Meant:
        """The net of this uid, or of this number; both must agree, save where the pair was answered by us.

        Raises invalid_value, net_not_found, net_protected, net_mismatch.
        """
        if uid:
            meant = self._of_uid(uid, f"{path}netUid")
            other = self.of_number(number) if number else None
            if other is not None and other != meant and (number, uid) not in known:
                problem = FieldError(f"{path}netUid", "Expected the net of netId")
                raise errors.NET_MISMATCH(
                    f"{uid} is not the net that netId {number} names.",
                    hint="Send netUid alone.",
                    errors=(problem,),
                )
            return meant
        if not number:
            problem = FieldError(f"{path}netUid", "Expected netUid or netId")
            raise errors.INVALID_VALUE("Name the net by netUid or netId.", errors=(problem,))
        _not_protected(number, f"{path}netId")
        found = self.of_number(number)
        if found is None:
            problem = FieldError(f"{path}netId", "Expected the id of a net")
            raise errors.NET_NOT_FOUND(
                f"No net of the preset has the id {number}, nor is a net active in that slot.",
                hint="Give the preset's nets ids, or name the net by netUid.",
                errors=(problem,),
            )
        return found

    def of_number(self, number: int) -> Meant | None:
        """The own net of this id, else the active one of this slot."""
        place = self._by_id.get(number)
        if place is not None:
            return self._own(place)
        return self._of_uid(self.slots[number]) if number in self.slots else None

    def _of_uid(self, uid: str, path: str = "") -> Meant:
        _not_protected(uid, path)
        place = self._by_uid.get(uid)
        return Meant(None, self._others.get(uid, 0), uid) if place is None else self._own(place)

    def _own(self, place: int) -> Meant:
        return Meant(place, self.numbers[place], self.uids[place])


def _uid_of(net: NetBody, path: str) -> str:
    uid = net.net_uid or net.uid or ""
    if net.uid and net.uid != uid:
        problem = FieldError(f"{path}.uid", "Expected the same as netUid")
        raise errors.NET_MISMATCH("uid and netUid of a net differ.", hint="Send netUid.", errors=(problem,))
    _not_protected(uid, f"{path}.netUid")
    _not_protected(net.id or 0, f"{path}.id")
    return uid


def _places(field: str, values: Sequence[K | None]) -> dict[K, int]:
    """Where each value is; None and "" are no values. Raises invalid_value for one that comes twice."""
    places: dict[K, int] = {}
    for place, value in enumerate(values):
        if value is None or value == "":
            continue
        if value in places:
            expected = f"Expected another than that of nets[{places[value]}]"
            problem = FieldError(f"nets[{place}].{field}", expected)
            raise errors.INVALID_VALUE(f"Two nets of the preset have the {field} {value}.", errors=(problem,))
        places[value] = place
    return places


def _not_protected(name: str | int, path: str) -> None:
    if name in PROTECTED:
        raise errors.NET_PROTECTED(
            "The Public Net and global push-to-talk are no nets of a preset.",
            hint="Leave them out; `features` can set the Public Net.",
            errors=(FieldError(path, "Expected another net"),),
        )

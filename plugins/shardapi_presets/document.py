"""What is kept of a preset, and answered: nets with ids, assignments as map and as list, every net with its uid."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import msgspec

from shardapi import errors
from shardapi.errors import FieldError
from shardapi.fields import clean_name

from .bodies import MOST_ASSIGNMENTS, PresetBody, PresetRuleBody
from .naming import Meant, Naming

Document = dict[str, Any]

OF_PRESET = ("name", "nets", "assignments", "assignmentList", "open", "rules", "features")
OF_NET = ("id", "uid", "netUid", "name")
OF_SEAT = ("userId", "netId", "netUid", "action")
OF_RULE = ("roleId", "netUids", "netIds", "netId")


class Answered:
    """What was told of nets before: by the document that is there, and by the list that came back with the map."""

    def __init__(self, old: Document | None, sent: Document) -> None:
        old = old or {}
        self.seats: dict[tuple[str, int], Mapping[str, Any]] = {}
        self.pairs: set[tuple[int, str]] = set()
        for seat in (*old.get("assignmentList", ()), *(sent.get("assignmentList") or ())):
            number, uid = seat.get("netId"), seat.get("netUid")
            if number is not None:
                self.seats[seat["userId"], number] = seat
                self.pairs.add((number, uid))
        for rule in old.get("rules", ()):
            self.pairs.update(zip(rule["netIds"], rule["netUids"], strict=True))


class Draft:
    """A document in the making, from a body that was accepted and all that was sent with it."""

    def __init__(
        self, body: PresetBody, sent: Document, slots: Mapping[int, str], old: Document | None
    ) -> None:
        self.body, self.sent, self.answered = body, sent, Answered(old, sent)
        told = {uid: number for number, uid in self.answered.pairs if uid}
        self.naming = Naming(body.nets or [], slots, told)

    def document(self) -> Document:
        """The whole. Raises invalid_value, net_not_found, net_protected, net_mismatch."""
        body, seats = self.body, list(self._seats())
        if len(seats) > MOST_ASSIGNMENTS:
            problem = FieldError("assignments", f"Expected at most {MOST_ASSIGNMENTS} in all")
            raise errors.INVALID_VALUE(f"There are {len(seats)} assignments, too many.", errors=(problem,))
        made: Document = {
            "name": clean_name(body.name),
            "nets": list(self._nets()),
            "assignments": _mapped(seats),
            "assignmentList": seats,
        }
        if body.open is not None:
            made["open"] = body.open
        if body.rules is not None:
            sent = self.sent["rules"]
            made["rules"] = [
                self._rule(at, *pair) for at, pair in enumerate(zip(body.rules, sent, strict=True))
            ]
        if body.features is not None:
            made["features"] = self._features()
        return {**made, **_others(self.sent, OF_PRESET)}

    def _nets(self) -> Iterator[Document]:
        naming = self.naming
        for place, net in enumerate(self.body.nets or ()):
            yield {
                "id": naming.numbers[place],
                "uid": naming.uids[place],
                "netUid": naming.uids[place],
                "name": clean_name(net.name, f"nets[{place}].name"),
                **_others(self.sent["nets"][place], OF_NET),
            }

    def _seats(self) -> Iterator[Document]:
        """The assignments, each once, in the order they came."""
        seen: set[tuple[str, Meant]] = set()
        for user, meant, more in self._named_seats():
            if (user, meant) not in seen:
                seen.add((user, meant))
                seat = {"userId": user, "netId": meant.number, "netUid": meant.uid, "action": "assign"}
                yield {**seat, **_others(more, OF_SEAT)}

    def _named_seats(self) -> Iterator[tuple[str, Meant, Mapping[str, Any]]]:
        given, name = self.body.assignments, "assignments"
        if given is None:
            given, name = self.body.assignment_list or [], "assignmentList"
        if isinstance(given, dict):
            for user, nets in given.items():
                for at, net in enumerate(nets):
                    yield user, *self._in_map(user, net, f"assignments.{user}[{at}].")
            return
        for at, (seat, sent) in enumerate(zip(given, self.sent.get(name) or (), strict=True)):
            path = f"{name}[{at}]."
            meant = self.naming.named(seat.net_uid, seat.net_id, path, self.answered.pairs)
            yield seat.user_id, meant, sent

    def _in_map(self, user: str, net: int | str, path: str) -> tuple[Meant, Mapping[str, Any]]:
        """A number that we have told of this user's nets means still the net that it meant then."""
        if isinstance(net, str):
            meant = self.naming.named(net, None, path)
            return meant, self.answered.seats.get((user, meant.number), {})
        before = self.answered.seats.get((user, net), {})
        uid = "" if net in self.naming.ids else before.get("netUid")
        return self.naming.named(uid, None if uid else net, path), before

    def _rule(self, at: int, rule: PresetRuleBody, sent: Mapping[str, Any]) -> Document:
        path, uids = f"rules[{at}].", rule.net_uids
        ids = [rule.net_id] if rule.net_ids is None and rule.net_id is not None else rule.net_ids
        if uids is None and ids is None:
            problem = FieldError(f"{path}netUids", "Expected netUids, netIds or netId")
            raise errors.INVALID_VALUE(
                "A rule names its nets by netUids, netIds or netId.", errors=(problem,)
            )
        pairs = list(zip_longest(uids or (), ids or ()))
        if (
            uids and ids and any(uids)
        ):  # a single netId is the first; the order of the others need not be the same
            pairs = [(uid, ids[n] if not uid and n < len(ids) else None) for n, uid in enumerate(uids)]
        nets = dict.fromkeys(self.naming.named(uid, number, path) for uid, number in pairs)
        for number in ids or ():
            self._same(number, nets, path)
        numbers = [net.number for net in nets]
        shown = {"roleId": rule.role_id, "netUids": [net.uid for net in nets], "netIds": numbers}
        return {**shown, **({"netId": numbers[0]} if numbers else {}), **_others(sent, OF_RULE)}

    def _same(self, number: int, nets: Mapping[Meant, None], path: str) -> None:
        other = self.naming.of_number(number) if number else None
        known = any((number, net.uid) in self.answered.pairs for net in nets)
        if other is not None and other not in nets and not known:
            problem = FieldError(f"{path}netIds", "Expected the nets of netUids")
            raise errors.NET_MISMATCH(
                "A rule names different nets by netUids and netIds.",
                hint="Send netUids alone.",
                errors=(problem,),
            )

    def _features(self) -> Document:
        features: Document = msgspec.to_builtins(self.body.features)
        link = features.get("orgLink", {})
        if link.get("netUid") or link.get("netId"):
            net = self.naming.named(
                link.get("netUid"), link.pop("netId", None), "features.orgLink.", self.answered.pairs
            )
            link["netUid"] = net.uid
            if not net.uid:
                link["netId"] = net.number
        return features


def alike(one: Document, other: Document) -> bool:
    """Whether two documents say the same: the order of assignments says nothing."""
    return _unordered(one) == _unordered(other)


def _unordered(document: Document) -> Document:
    lists = {user: sorted(map(str, nets)) for user, nets in document["assignments"].items()}
    seats = sorted(
        document["assignmentList"], key=lambda seat: (seat["userId"], f"{seat['netId']} {seat['netUid']}")
    )
    return {**document, "assignments": lists, "assignmentList": seats}


def _mapped(seats: list[Document]) -> dict[str, list[int | str]]:
    """The assignments as a map: ids where they have one, else uids."""
    found: dict[str, list[int | str]] = {}
    for seat in seats:
        found.setdefault(seat["userId"], []).append(seat["netId"] or seat["netUid"])
    return found


def _others(sent: Mapping[str, Any], ours: tuple[str, ...]) -> Document:
    """The members that we know nothing of."""
    return {name: value for name, value in sent.items() if name not in ours}

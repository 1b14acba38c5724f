"""The merge: why order, repetition and replay cannot hurt.

An item is a map from facet to a last-writer-wins register. The register orders its events by their stamps, so joining
is commutative, associative and idempotent (a join semilattice, as in Shapiro et al., *Conflict-free Replicated Data
Types*, 2011): any permutation, duplication or interleaving of the same events ends in the same state.

Two additions. A product holds a bounded number of instances of each facet (`stock:<place>`, `price:<list>`): those of the
least names. To keep the K least keys of a map of joins is a join again, since a key among the K least of all is among the
K least of whatever part it is met in, so it is never dropped on any route. One more than K are kept, as the witness that
some were dropped: the document says so, and it, too, is the same on every route. Tombstones count, or a deletion would
bring back what had been dropped.

And: a row may lack fields that its source could not give. The register then remembers, per such field, the
newest older event that gave one (`carried`), with that event's stamp: a deletion and a full row without the field give
"absent", which is a value too.

And: events of one register may be placed in their source's log or only counted (`SourceVersion.position`), where a release
counted what a later one places. Each kind has a total order, the two together have none, so the register is the product of two:
the newest counted event and the newest placed one, and which of them shows follows from both (`goes_before`). A product of
joins is a join.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

import orjson

from schemas.normalisers import FieldValue
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey, facet_name
from schemas.version import Stamp

MAX_INSTANCES: Final = 1_000
"""Instances of one facet (places with stock, price lists) that a product holds. With the longest names that is less than a
megabyte of its state; a merge, a write and a document each cost as much as the state, for every later change."""


class Absent(Enum):
    """Marks a field that an event gave as not there; JSON null is a value, this is none."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


class MergeOutcome(Enum):
    """What one event did to the state that it met."""

    APPLIED = "applied"
    """The event is the newest of its facet, or filled a field that newer rows could not give."""
    DUPLICATE = "duplicate"
    """The very same event was merged before."""
    STALE = "stale"
    """A newer event of the same facet was merged before; this one changes nothing."""
    BEYOND = "beyond"
    """The product holds as many instances of the facet as it may, all of lesser names; this one is not kept."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The value of a field that the newest row could not give, and the stamp of the event that last gave it."""

    stamp: Stamp
    value: FieldValue | Absent


@dataclass(frozen=True, slots=True)
class FacetState:
    """One register: the newest event's stamp, its fields (None for a tombstone), and the fields it could not give.

    `unavailable` are the names that the newest event could not give; `carried` holds those of them that an older event
    gave. `changed_at_us` is the newest event's commit time in microseconds since 1970, 0 where unknown.
    `reached` is the greatest sequence of the placed events of the newest one's epoch, where that is above its own. `other` is the
    register of the other kind where events of both met: of those that are placed, where a counted one shows, and the reverse.
    """

    stamp: Stamp
    fields: Mapping[str, FieldValue] | None
    unavailable: frozenset[str] = field(default_factory=frozenset)
    carried: Mapping[str, Carried] = field(default_factory=dict)
    changed_at_us: int = 0
    reached: int = 0
    other: FacetState | None = None

    @classmethod
    def of(cls, event: ChangeEvent) -> FacetState:
        """The register that holds nothing but one event."""
        return cls(
            stamp=event.stamp,
            fields=event.fields,
            unavailable=event.unavailable,
            changed_at_us=event.changed_at_us,
        )

    @property
    def is_tombstone(self) -> bool:
        """Whether the newest event deleted the row."""
        return self.fields is None

    @property
    def is_placed(self) -> bool:
        """Whether the register's events have positions, rather than being counted only."""
        return self.stamp.version.position is not None

    @property
    def reach(self) -> int:
        """The greatest sequence of the events of the newest one's epoch."""
        return max(self.reached, self.stamp.version.sequence)

    def goes_before(self, counted: FacetState) -> bool:
        """Whether this register of placed events shows, rather than one of counted events: once one of it was counted higher."""
        return (self.stamp.version.epoch, self.reach) > (counted.stamp.version.epoch, counted.stamp.version.sequence)

    def values(self) -> dict[str, FieldValue]:
        """The row as it now is: the newest event's fields and the carried ones; empty for a tombstone."""
        if self.fields is None:
            return {}
        carried = dict(self.carried)
        if self.other is not None:
            for name in self.unavailable - carried.keys():
                given = self.other.given(name)
                if given is not None:
                    carried[name] = given
        return {**self.fields, **{name: kept.value for name, kept in carried.items() if kept.value is not ABSENT}}

    def given(self, name: str) -> Carried | None:
        """What this register knows of one field, and since which event; None where no event gave it yet."""
        if name in self.unavailable:
            return self.carried.get(name)
        value = ABSENT if self.fields is None else self.fields.get(name, ABSENT)
        return Carried(self.stamp, value)


def join(left: FacetState, right: FacetState) -> FacetState:
    """The least upper bound of two registers of the same facet."""
    if left.other is None and right.other is None and left.is_placed == right.is_placed:
        return _newest(left, right)
    counted, placed = _of_each_kind((left, left.other, right, right.other))
    shown, other = (placed, counted) if placed.goes_before(counted) else (counted, placed)
    joined = replace(shown, other=other)
    return left if joined == left else right if joined == right else joined


def _of_each_kind(parts: Iterable[FacetState | None]) -> tuple[FacetState, FacetState]:
    """The join of the counted ones and that of the placed ones; there is one of either at least."""
    joined: dict[bool, FacetState] = {}
    for part in parts:
        if part is not None:
            alone = replace(part, other=None)
            held = joined.get(part.is_placed)
            joined[part.is_placed] = alone if held is None else _newest(held, alone)
    return joined[False], joined[True]


def _newest(left: FacetState, right: FacetState) -> FacetState:
    """The join of two registers of one kind."""
    newest, older = (left, right) if left.stamp >= right.stamp else (right, left)
    changed_at_us, reached = newest.changed_at_us, newest.reached
    if left.stamp == right.stamp:  # one event delivered twice, perhaps with another commit time: the later one counts
        changed_at_us = max(left.changed_at_us, right.changed_at_us)
    if newest.is_placed and older.stamp.version.epoch == newest.stamp.version.epoch and older.reach > newest.reach:
        reached = older.reach
    carried = dict(newest.carried)
    for name in newest.unavailable:
        offered = older.given(name)
        if offered is not None and (name not in carried or offered.stamp > carried[name].stamp):
            carried[name] = offered
    if carried == newest.carried and (changed_at_us, reached) == (newest.changed_at_us, newest.reached):
        return newest
    return replace(newest, carried=carried, changed_at_us=changed_at_us, reached=reached)


@dataclass(frozen=True, slots=True)
class ItemState:
    """All that is known of one product: its facets by key. Immutable; merging returns a new state."""

    facets: Mapping[FacetKey, FacetState] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the product exists: its item facet was seen and is no tombstone."""
        item = self.facets.get(ITEM_FACET)
        return item is not None and not item.is_tombstone

    @property
    def known(self) -> bool:
        """Whether an item event was ever seen, be it a deletion; before, the other facets wait, and there is no document."""
        return ITEM_FACET in self.facets

    def overfull(self, name: str) -> bool:
        """Whether the product has more instances of a facet than it may hold, so that some were dropped."""
        return len(self.facets) > MAX_INSTANCES and sum(facet_name(key) == name for key in self.facets) > MAX_INSTANCES

    def admits(self, facet: FacetKey) -> bool:
        """Whether a row of a facet would be kept: it is held, or there is room for it before those that are."""
        return facet in self.facets or self._dropped_for(facet) != facet

    def held(self) -> dict[FacetKey, FacetState]:
        """The facets without the witnesses that there are more."""
        return _least(self.facets, MAX_INSTANCES)

    @property
    def changed_at_us(self) -> int:
        """Commit time of the latest merged change, microseconds since 1970; 0 where no source said."""
        return max((facet.changed_at_us for facet in self.facets.values()), default=0)

    def merge(self, event: ChangeEvent) -> tuple[ItemState, MergeOutcome]:
        """Merge one event and say what it did."""
        held = self.facets.get(event.facet)
        if held is None:
            dropped = self._dropped_for(event.facet)
            if dropped == event.facet:
                return self, MergeOutcome.BEYOND
            facets = {**self.facets, event.facet: FacetState.of(event)}
            if dropped is not None:
                del facets[dropped]
            return ItemState(_bounded(facets)), MergeOutcome.APPLIED
        joined = join(held, FacetState.of(event))
        if held.stamp == event.stamp:
            return self if joined is held else ItemState({**self.facets, event.facet: joined}), MergeOutcome.DUPLICATE
        if joined is held:
            known = held.other is not None and held.other.stamp == event.stamp
            return self, MergeOutcome.DUPLICATE if known else MergeOutcome.STALE
        return ItemState({**self.facets, event.facet: joined}), MergeOutcome.APPLIED

    def _dropped_for(self, facet: FacetKey) -> FacetKey | None:
        """The instance that goes where a new one comes and there is no room: the greatest of all, which may be the new one.

        Without sorting: where very many rows of one product come, each of them looks here.
        """
        if len(self.facets) <= MAX_INSTANCES:
            return None
        prefix = f"{facet_name(facet)}:"
        instances = [key for key in self.facets if key.startswith(prefix) or key == prefix[:-1]]
        return max(facet, *instances) if len(instances) > MAX_INSTANCES else None

    def join(self, other: ItemState) -> ItemState:
        """The least upper bound of two states of the same product."""
        facets = dict(self.facets)
        for name, facet in other.facets.items():
            facets[name] = join(facets[name], facet) if name in facets else facet
        return ItemState(_bounded(facets))

    def conflicts_with(self, event: ChangeEvent) -> bool:
        """Whether a different row of the same facet already carries the event's version."""
        held = self.facets.get(event.facet)
        return held is not None and held.stamp.version == event.version and held.stamp != event.stamp

    def to_bytes(self) -> bytes:
        """Canonical JSON bytes: equal states have equal bytes."""
        return orjson.dumps(
            {name: _facet_to_json(facet) for name, facet in self.facets.items()}, option=orjson.OPT_SORT_KEYS
        )

    @classmethod
    def from_bytes(cls, raw: bytes | str) -> ItemState:
        """Read what `to_bytes` wrote."""
        return cls({FacetKey(name): _facet_from_json(facet) for name, facet in orjson.loads(raw).items()})


def merge_all(events: Iterable[ChangeEvent], state: ItemState | None = None) -> ItemState:
    """Merge the events of one product, in any order: the oracle of every convergence test."""
    merged = state or ItemState()
    for event in events:
        merged, _ = merged.merge(event)
    return merged


def _bounded(facets: dict[FacetKey, FacetState]) -> dict[FacetKey, FacetState]:
    """Of each facet the instances of the least names, and one more that shows that there are more."""
    return facets if len(facets) <= MAX_INSTANCES else _least(facets, MAX_INSTANCES + 1)


def _least(facets: Mapping[FacetKey, FacetState], most: int) -> dict[FacetKey, FacetState]:
    """At most so many instances of each facet, those of the least names."""
    by_name: dict[str, list[FacetKey]] = {}
    for key in facets:
        by_name.setdefault(facet_name(key), []).append(key)
    dropped = {key for keys in by_name.values() if len(keys) > most for key in sorted(keys)[most:]}
    return {key: facet for key, facet in facets.items() if key not in dropped}


def _facet_to_json(facet: FacetState) -> dict[str, Any]:
    raw: dict[str, Any] = {"s": facet.stamp.to_json(), "f": None if facet.fields is None else dict(facet.fields)}
    if facet.changed_at_us:
        raw["t"] = facet.changed_at_us
    if facet.unavailable:
        raw["u"] = sorted(facet.unavailable)
        raw["c"] = {
            name: [kept.stamp.to_json()] if kept.value is ABSENT else [kept.stamp.to_json(), kept.value]
            for name, kept in facet.carried.items()
        }
    if facet.reached:
        raw["r"] = facet.reached
    if facet.other is not None:
        raw["o"] = _facet_to_json(facet.other)
    return raw


def _facet_from_json(raw: dict[str, Any]) -> FacetState:
    carried = {
        name: Carried(Stamp.from_json(kept[0]), kept[1] if len(kept) > 1 else ABSENT)
        for name, kept in raw.get("c", {}).items()
    }
    return FacetState(
        stamp=Stamp.from_json(raw["s"]),
        fields=raw["f"],
        unavailable=frozenset(raw.get("u", ())),
        carried=carried,
        changed_at_us=raw.get("t", 0),
        reached=raw.get("r", 0),
        other=_facet_from_json(raw["o"]) if "o" in raw else None,
    )

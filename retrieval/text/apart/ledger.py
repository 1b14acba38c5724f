"""What a text index set apart: products that it holds without some part, and records that are no documents. Pure.

The ledger is committed with the data that it speaks of. An entry stays open until a newer document of its product is
written whole or the product is forgotten; and, open or not, it is kept until its letter is sent.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Self, TypeVar

from retrieval.text.apart.values import Apart, Flaw, LogNotes, Place

K = TypeVar("K")

MOST_ENTRIES: Final = 1000
"""Entries that a ledger keeps: the ledger is rewritten with every commit that changes it, some 300 bytes an entry.
Of what does not fit, the oldest go: products stay marked and counted in the index itself, records are counted."""

LONGEST_TEXT: Final = 300
"""Characters of a key or of a reason's sentence in the ledger; the letter has the whole."""

NAMELESS_KEPT_US: Final = 24 * 3600 * 1_000_000
"""No later document can mend a record that names no product: after a day the letter alone speaks of it."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The newest of what is set apart, oldest first. `dropped` counts open records that were let go for want of room."""

    entries: tuple[Apart, ...] = ()
    dropped: int = 0

    @property
    def untold(self) -> tuple[Apart, ...]:
        """Entries whose letters are to be sent."""
        return tuple(entry for entry in self.entries if not entry.told)

    def malformed(self) -> int:
        """How many open records are set apart as a whole."""
        return self.dropped + sum(entry.flaw.of_record and not entry.settled for entry in self.entries)

    def after(self, notes: LogNotes, *, written: Mapping[K, Apart | None], removed: Collection[K]) -> Self:
        """The ledger of the next commit: of each product `written`, None where it is whole, else what is said of it."""
        if not (notes.malformed or notes.told or self.entries or any(written.values())):
            return self
        places = {str(key): place for key, place in notes.places.items()}
        mended = {str(key): places.get(str(key)) for key, apart in written.items() if not (apart and notes.again)}
        mended |= {str(key): None for key in removed}
        found = [] if notes.again else [apart for apart in written.values() if apart is not None]
        found_again = {apart.place for apart in found}
        entries = [
            replace(
                entry,
                told=entry.told or entry.place in notes.told,
                settled=(entry.settled or entry.key in mended) and entry.place not in found_again,
            )
            for entry in self.entries
            if not _expired(entry, notes.now_us)
        ]
        for apart in notes.malformed:
            later = mended.get(apart.key)
            passed = (
                later is not None and later.partition == apart.place.partition and later.offset > apart.place.offset
            )
            found.append(replace(apart, settled=apart.settled or passed))
        known = {entry.place for entry in entries}
        entries += [_short(apart) for apart in found if apart.place not in known]
        return self._bounded([entry for entry in entries if not (entry.told and entry.settled)])

    def to_json(self) -> bytes:
        """As it is stored."""
        return json.dumps({"dropped": self.dropped, "entries": [asdict(entry) for entry in self.entries]}).encode()

    @classmethod
    def from_json(cls, stored: bytes) -> Self:
        """Read what `to_json` wrote."""
        content = json.loads(stored)
        entries = (
            Apart(**{**entry, "flaw": Flaw(entry["flaw"]), "place": Place(*entry["place"]), "lacks": tuple(entry["lacks"])})
            for entry in content["entries"]
        )  # fmt: skip
        return cls(tuple(entries), content["dropped"])

    def _bounded(self, entries: list[Apart]) -> Self:
        excess = len(entries) - MOST_ENTRIES
        if excess <= 0:
            return replace(self, entries=tuple(entries))
        # Those whose letters are in the log go first.
        leaving = {entry.place for entry in sorted(entries, key=lambda entry: not entry.told)[:excess]}
        lost = sum(e.place in leaving and e.flaw.of_record and not e.settled for e in entries)
        kept = tuple(entry for entry in entries if entry.place not in leaving)
        return replace(self, entries=kept, dropped=self.dropped + lost)


@dataclass(frozen=True, slots=True)
class SetApart:
    """The state of an index: its ledger, and how many products are exactly so."""

    ledger: Ledger = field(default_factory=Ledger)
    partly_indexed: int = 0
    not_indexed: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """What is open, by flaw; flaws of nothing are left out."""
        found = Counter(
            {
                Flaw.PARTLY_INDEXED.value: self.partly_indexed,
                Flaw.NOT_INDEXED.value: self.not_indexed,
                Flaw.MALFORMED_DOCUMENT.value: self.ledger.malformed(),
            }
        )
        return dict(+found)


def newly_apart(notes: LogNotes, written: Mapping[K, Apart | None]) -> tuple[Apart, ...]:
    """What a batch has set apart; what was tried again is no news."""
    return () if notes.again else (*(apart for apart in written.values() if apart is not None), *notes.malformed)


def _expired(entry: Apart, now_us: int) -> bool:
    return entry.told and not entry.names_product and now_us - entry.since_us > NAMELESS_KEPT_US


def _short(entry: Apart) -> Apart:
    return replace(entry, key=entry.key[:LONGEST_TEXT], detail=entry.detail[:LONGEST_TEXT])

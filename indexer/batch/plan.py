"""What one batch should do to one product: pure decisions from the stored point, the merged state and the encoder's revision.

The rule that makes streaming cheap lives here: a vector is computed again only where the digest of the embedded text or
the model's revision changed, so a change of price or stock costs no inference. The rule that makes crashes harmless
lives here too: an event that was merged before, or overtaken, changes nothing, but the product is published again, for
whoever worked on it first may have crashed between the vector store and the documents topic, or after producing a
document that had been overtaken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final

from indexer.ports import DocumentComposer
from indexer.records import InboundRecord
from retrieval.filters import filter_values
from retrieval.passages import passage_text, text_hash
from retrieval.vectors.port import NamedVectors, PointPayload, PointWrite
from schemas.changes import ChangeEvent
from schemas.documents import DocumentTimes, SearchDocument
from schemas.identity import SkuKey
from schemas.merge import ItemState, MergeOutcome


@dataclass(frozen=True, slots=True)
class Arrival:
    """A change event and the record that brought it."""

    event: ChangeEvent
    record: InboundRecord
    backfill: bool = False
    """It came by a bulk load or a replay."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A product's state after a batch, and what its events did to the state that was stored."""

    state: ItemState
    applied: int
    duplicates: int
    stale: int
    beyond: int = 0
    """Events of more places or lists than a product may hold."""
    conflicts: tuple[str, ...] = ()
    """The facets and versions of events that met another row of the same facet with the same version: their order is
    arbitrary, since the source does not say it."""


class Action(StrEnum):
    """What a plan does to its product."""

    EMBED = "embed"
    """The text changed: compute its vector, write it with the payload, then publish."""
    PATCH = "patch"
    """The vector still holds: write the payload alone, then publish."""
    DELETE = "delete"
    """The product is gone: write the state as a tombstone, then publish."""
    AWAIT = "await"
    """No item event of the product was ever seen: keep what came for the day it comes, and publish nothing. Nobody searches
    for such a product; and where the store has lost it, a document would delete what the topic still holds."""
    REPUBLISH = "republish"
    """Everything was merged before: nothing to write, but publish again."""
    STALE = "stale"
    """Newer events were merged before: nothing to write; published again only where this may be a redelivery."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to one product, in this order: compute `text`'s vector, `write`, publish `document`; None leaves a step out."""

    key: SkuKey
    action: Action
    merged: Merged
    write: PointWrite | None = None
    document: SearchDocument | None = None
    text: str | None = None

    def with_vectors(self, vectors: NamedVectors) -> Plan:
        """The same plan with the vectors of its text in the write."""
        return self if self.write is None else replace(self, write=replace(self.write, vectors=vectors))


_NO_VECTOR: Final = ("", "")
_NO_COUNTS: Final = dict.fromkeys(MergeOutcome, 0)


def fold(arrivals: Iterable[Arrival]) -> dict[SkuKey, list[Arrival]]:
    """Group a batch by product, in order of arrival, so that each point is read, written and published once."""
    by_key: dict[SkuKey, list[Arrival]] = {}
    for arrival in arrivals:
        by_key.setdefault(arrival.event.key, []).append(arrival)
    return by_key


def merge(stored: PointPayload | None, arrivals: Sequence[Arrival]) -> Merged:
    """Merge one product's events into what is stored of it."""
    state = ItemState() if stored is None else ItemState.from_bytes(stored.state)
    counts = dict(_NO_COUNTS)
    conflicts: list[str] = []
    for arrival in arrivals:
        if state.conflicts_with(arrival.event):
            conflicts.append(f"{arrival.event.facet} at {arrival.event.version}")
        state, outcome = state.merge(arrival.event)
        counts[outcome] += 1
    return Merged(
        state=state,
        applied=counts[MergeOutcome.APPLIED],
        duplicates=counts[MergeOutcome.DUPLICATE],
        stale=counts[MergeOutcome.STALE],
        beyond=counts[MergeOutcome.BEYOND],
        conflicts=tuple(conflicts),
    )


def plan(
    key: SkuKey,
    stored: PointPayload | None,
    merged: Merged,
    arrivals: Sequence[Arrival],
    *,
    compose: DocumentComposer,
    model: str,
    first_rev: int = 1,
) -> Plan:
    """Decide what to do about one product. `model` is the id of the running encoder's revision.

    A product that is not stored begins at `first_rev`; the pipeline gives the time in microseconds, so that one whose
    tombstone was collected begins above every revision that it ever had (decision 0021).
    """
    expected_rev = None if stored is None else stored.rev
    next_rev = first_rev if expected_rev is None else expected_rev + 1
    provenance = _NO_VECTOR if stored is None else (stored.text_hash, stored.text_model)
    times = DocumentTimes(
        changed_us=merged.state.changed_at_us,
        logged_us=_logged_us(arrivals),
        indexed_us=0,
        backfill=any(arrival.backfill for arrival in arrivals),
    )
    document = compose(key, merged.state, rev=next_rev, text_hash=provenance[0], model=provenance[1], times=times)
    write = partial(_write, key, expected_rev, merged.state, document)
    again = stored is not None and not merged.applied
    if not merged.state.known:
        return Plan(key, Action.AWAIT, merged, None if again else write(provenance))
    if stored is not None and again and not (merged.duplicates and merged.state.alive):
        action = Action.REPUBLISH if merged.duplicates else Action.STALE
        return Plan(key, action, merged, document=document.model_copy(update={"rev": stored.rev, "times": times}))
    if not merged.state.alive:
        return Plan(key, Action.DELETE, merged, write(provenance), document.model_copy(update={"times": times}))
    text = passage_text(document)
    wanted = (text_hash(text), model)
    if wanted != provenance:
        document = document.model_copy(update={"text_hash": wanted[0], "model": wanted[1]})
        return Plan(key, Action.EMBED, merged, write(wanted), document, text)
    if stored is not None and again:
        return Plan(key, Action.REPUBLISH, merged, document=document.model_copy(update={"rev": stored.rev}))
    return Plan(key, Action.PATCH, merged, write(provenance), document)


def _logged_us(arrivals: Sequence[Arrival]) -> int:
    return max((arrival.record.timestamp_ms for arrival in arrivals), default=0) * 1000


def _write(
    key: SkuKey, expected_rev: int | None, state: ItemState, document: SearchDocument, provenance: tuple[str, str]
) -> PointWrite:
    """The guarded write of a state. A deleted product keeps its vector's provenance, for it may come back unchanged."""
    payload = PointPayload(
        rev=document.rev,
        alive=state.alive,
        state=state.to_bytes(),
        text_hash=provenance[0],
        text_model=provenance[1],
        filterable=filter_values(document),
    )
    return PointWrite(key, expected_rev, payload)

"""What one batch should do to one product: pure decisions from the stored point, the merged state and the vector spaces.

The rule that makes streaming cheap lives here: a vector is computed again only where the digest of what is embedded or
its model's revision changed, space by space, so a change of price or stock costs no inference. The rule that makes crashes harmless
lives here too: an event that was merged before, or overtaken, changes nothing, but the product is published again, for
whoever worked on it first may have crashed between the vector store and the documents topic, or after producing a
document that had been overtaken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Final

from indexer.ports import DocumentComposer
from indexer.records import InboundRecord
from retrieval.filters import filter_values
from retrieval.passages import text_hash
from retrieval.vectors.port import NamedVectors, PointPayload, PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR, Provenance, Spaces
from schemas.documents import DocumentTimes, SearchDocument
from schemas.identity import SkuKey
from schemas.product.changes import ChangeEvent
from schemas.product.merge import ItemState, MergeOutcome


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
    """What some vector is made of changed: compute it, write it with the payload, then publish."""
    PATCH = "patch"
    """The vectors still hold: write the payload alone, then publish."""
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
    """What is done to one product, in this order: compute the vectors of `inputs` (by space), `write`, publish `document`."""

    key: SkuKey
    action: Action
    merged: Merged
    write: PointWrite | None = None
    document: SearchDocument | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)

    def with_vectors(self, vectors: NamedVectors) -> Plan:
        """The same plan with the vectors of its inputs in the write."""
        return self if self.write is None else replace(self, write=replace(self.write, vectors=vectors))


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
    spaces: Spaces,
    first_rev: int = 1,
) -> Plan:
    """Decide what to do about one product. `spaces` are those that the running encoders fill.

    A product that is not stored begins at `first_rev`; the pipeline gives the time in microseconds, so that one whose
    tombstone was collected begins above every revision that it ever had (decision 0021).
    """
    expected_rev = None if stored is None else stored.rev
    next_rev = first_rev if expected_rev is None else expected_rev + 1
    provenance = {} if stored is None else stored.provenance
    times = DocumentTimes(
        changed_us=merged.state.changed_at_us,
        logged_us=_logged_us(arrivals),
        indexed_us=0,
        backfill=any(arrival.backfill for arrival in arrivals),
    )
    of_text = provenance.get(TEXT_VECTOR, Provenance())
    document = compose(key, merged.state, rev=next_rev, text_hash=of_text.hash, model=of_text.revision, times=times)
    write = partial(_write, key, expected_rev, merged.state, document)
    again = stored is not None and not merged.applied
    if not merged.state.known:
        return Plan(key, Action.AWAIT, merged, None if again else write(provenance))
    if stored is not None and again and not (merged.duplicates and merged.state.alive):
        action = Action.REPUBLISH if merged.duplicates else Action.STALE
        return Plan(key, action, merged, document=document.model_copy(update={"rev": stored.rev, "times": times}))
    if not merged.state.alive:
        return Plan(key, Action.DELETE, merged, write(provenance), document.model_copy(update={"times": times}))
    # Made once where several spaces read the same.
    texts = {input_of: input_of(document) for input_of in {space.input_of for space in spaces.values()}}
    digests = {input_of: text_hash(text) for input_of, text in texts.items()}
    wanted = {name: Provenance(digests[space.input_of], space.revision) for name, space in spaces.items()}
    missing = {name: texts[spaces[name].input_of] for name, of in wanted.items() if of != provenance.get(name)}
    if missing:
        of_text = wanted[TEXT_VECTOR]
        document = document.model_copy(update={"text_hash": of_text.hash, "model": of_text.revision})
        return Plan(key, Action.EMBED, merged, write(wanted), document, missing)
    if stored is not None and again:
        return Plan(key, Action.REPUBLISH, merged, document=document.model_copy(update={"rev": stored.rev}))
    return Plan(key, Action.PATCH, merged, write(provenance), document)


def _logged_us(arrivals: Sequence[Arrival]) -> int:
    return max((arrival.record.timestamp_ms for arrival in arrivals), default=0) * 1000


def _write(
    key: SkuKey,
    expected_rev: int | None,
    state: ItemState,
    document: SearchDocument,
    provenance: Mapping[str, Provenance],
) -> PointWrite:
    """The guarded write of a state. A deleted product keeps its vector's provenance, for it may come back unchanged."""
    payload = PointPayload(
        rev=document.rev,
        alive=state.alive,
        state=state.to_bytes(),
        provenance=provenance,
        filterable=filter_values(document),
    )
    return PointWrite(key, expected_rev, payload)

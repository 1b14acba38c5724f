"""What one row of the truth says about the stores, and the event that would mend it. Pure.

A corrective event carries the smallest version that wins over what is stored, never the time of the comparison: a change
that the source made meanwhile, or makes next, has a higher version and wins over the correction. A correction that is
sent twice, or too late, therefore changes nothing for the worse. Where what is stored carries the largest version of its epoch, the
correction begins the next one, and says so: the source has to follow. Above the largest epoch's largest version there is nothing.

Store against store, the text replica's documents are compared with the vector index's points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from indexer.records import awaits_item
from retrieval.vectors.port import PointPayload
from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from schemas.normalisers import FieldValue
from schemas.product.building import stored_digest
from schemas.product.changes import ChangeEvent, FacetKey
from schemas.product.merge import FacetState, ItemState, MergeOutcome
from schemas.product.sources import MAX_OPERATOR_EPOCH
from schemas.version import MAX_SEQUENCE, POSITION_BITS, SourceVersion, canonical_digest

Register = tuple[SkuKey, FacetKey]
"""One facet of one product: what a row of the truth speaks of."""


class Kind(StrEnum):
    """How a store differs from what it should hold."""

    MISSING = "missing"
    """The truth has the row; the vector store has not, or holds it as deleted."""
    EXTRA = "extra"
    """The vector store has the row; the truth has not."""
    DIFFERENT = "different"
    """Both have the row, with other content."""
    REPLICA_MISSING = "replica_missing"
    """The vector store has the product; the text replica has no document of it."""
    REPLICA_OUTDATED = "replica_outdated"
    """The replica's document is of an older revision or of another state."""
    REPLICA_AHEAD = "replica_ahead"
    """The replica's document is newer than the vector store, which therefore lost a write."""
    REPLICA_EXTRA = "replica_extra"
    """The replica holds a product of which the vector store knows no item."""
    BEHIND = "behind"
    """The vector store's point has a lower revision than what was published of the product: replicas would refuse its next document."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side holds of a register: its version and the digest of its content; None for a deleted row."""

    version: SourceVersion | None
    digest: str | None

    @classmethod
    def of(cls, version: SourceVersion | None, fields: Mapping[str, FieldValue] | None) -> Side:
        """Digest the content."""
        return cls(version, None if fields is None else canonical_digest(dict(fields)))


@dataclass(frozen=True, slots=True)
class Difference:
    """One register on which the truth and the vector store differ; `events` mend it.

    There are none where no version wins over what is stored.
    """

    kind: Kind
    register: Register
    truth: Side | None
    stored: Side | None
    events: tuple[ChangeEvent, ...]

    @property
    def unbeatable(self) -> bool:
        """Whether nothing can mend it: what is stored carries the largest version of the largest epoch."""
        return not self.events

    @property
    def begun_epoch(self) -> int | None:
        """The epoch that mending begins, since no version of the stored row's is left; None where it begins none."""
        own = None if self.truth is None else self.truth.version
        version = self.events[0].version if self.events else None
        stored = None if self.stored is None else self.stored.version
        if version is None or stored is None or version == own or not _ends_its_epoch(stored):
            return None
        return version.epoch


def compare_row(held: FacetState | None, row: ChangeEvent, *, versioned: bool, now_us: int) -> Difference | None:
    """Compare a row of the truth as it now is with the stored register; None where they agree.

    `versioned` says that the row's version is the truth's own: a register that is stored at a higher version is then
    newer than the truth was when it was read, and no difference.
    """
    values = None if held is None or held.is_tombstone else held.values()
    wanted = None if row.fields is None else dict(row.fields)
    if values == wanted:
        return None
    if held is not None and versioned and held.stamp.version > row.version:
        return None
    kind = Kind.EXTRA if wanted is None else Kind.MISSING if values is None else Kind.DIFFERENT
    truth = Side.of(row.version if versioned else None, wanted)
    version = winning_version(held, row.version, versioned=versioned)
    return Difference(
        kind, (row.key, row.facet), truth, _side(held), _event((row.key, row.facet), version, wanted, now_us)
    )


def surplus_row(
    register: Register, held: FacetState, *, read_at: SourceVersion | None, now_us: int
) -> Difference | None:
    """A living stored register that the truth has no row of; None where it was stored after the truth was read.

    `read_at` is the position of the truth at which it was read, None where it has none.
    """
    if held.is_tombstone or (read_at is not None and held.stamp.version > read_at):
        return None
    version = next_version(held.stamp.version)
    return Difference(Kind.EXTRA, register, None, _side(held), _event(register, version, None, now_us))


def compare_change(state: ItemState | None, event: ChangeEvent) -> Difference | None:
    """Whether a logged change is missing in the stored state; None where the state is at least as new.

    The merge decides: a change that would alter the state was never merged into it. It mends itself by being sent again.
    """
    merged, outcome = (state or ItemState()).merge(event)
    if outcome is not MergeOutcome.APPLIED and merged == (state or ItemState()):
        return None
    held = None if state is None else state.facets.get(event.facet)
    kind = Kind.MISSING if held is None else Kind.DIFFERENT
    return Difference(kind, (event.key, event.facet), Side.of(event.version, event.fields), _side(held), (event,))


def winning_version(held: FacetState | None, truth: SourceVersion, *, versioned: bool) -> SourceVersion | None:
    """The smallest version that wins over the stored register and belongs to the truth's epoch or a later one; None: there is none.

    A truth that gives each row its own version gives a row that is not stored that version.
    """
    floor = truth if versioned and held is None else SourceVersion(truth.epoch, 0)
    if held is None:
        return floor
    above = next_version(held.stamp.version)
    return None if above is None else max(above, floor)


def next_version(version: SourceVersion) -> SourceVersion | None:
    """The version right above; the next epoch's first where the sequence is at its end; None where the epochs are, too.

    A correction may carry an operator's epoch, so what any producer can write has a version above it.
    """
    if version.position is not None and version.position + 1 < 1 << POSITION_BITS:  # it decides, so the count stays
        return replace(version, position=version.position + 1)
    if version.position is None and version.sequence < MAX_SEQUENCE:
        return replace(version, sequence=version.sequence + 1)
    return SourceVersion(version.epoch + 1, 0) if version.epoch < MAX_OPERATOR_EPOCH else None


def _ends_its_epoch(version: SourceVersion) -> bool:
    above = next_version(version)
    return above is None or above.epoch != version.epoch


def _event(
    register: Register, version: SourceVersion | None, fields: Mapping[str, FieldValue] | None, now_us: int
) -> tuple[ChangeEvent, ...]:
    """The event that mends a register; none where no version wins."""
    return () if version is None else (ChangeEvent(*register, version, fields, changed_at_us=now_us),)


def _side(held: FacetState | None) -> Side | None:
    if held is None:
        return None
    return Side.of(held.stamp.version, None if held.is_tombstone else held.values())


def compare_documents(
    points: Mapping[SkuKey, PointPayload], documents: Mapping[SkuKey, SearchDocument]
) -> dict[SkuKey, Kind]:
    """How the replica's documents differ from these points, by product; products that agree are left out.

    A product that awaits its item has no document, save a tombstone that was left over: one that lives is of an item that the
    store has lost. An equal revision of another state counts as outdated: publishing the product again mends it.
    """
    return {key: kind for key, point in points.items() if (kind := _difference(point, documents.get(key))) is not None}


def documents_ahead(
    points: Mapping[SkuKey, PointPayload], documents: Mapping[SkuKey, SearchDocument]
) -> dict[SkuKey, int]:
    """The revisions of the documents that would overrule what their points publish next.

    A write that was on its way while its store was replaced lands in the new one at a low revision; what is published of
    it is refused by every replica until it has been written often enough. This holds of products that await their item, too.
    """
    return {
        key: document.rev
        for key, document in documents.items()
        if (point := points.get(key)) is not None
        and (document.rev, document.state) != (point.rev, stored_digest(point.state))
        and document.rev >= point.rev
    }


def _difference(point: PointPayload, document: SearchDocument | None) -> Kind | None:
    if awaits_item(point):
        return None if document is None or document.deleted else Kind.REPLICA_EXTRA
    if document is None:
        return Kind.REPLICA_MISSING
    if document.rev > point.rev:
        return Kind.REPLICA_AHEAD
    if document.rev == point.rev and document.state == stored_digest(point.state):
        return None
    return Kind.REPLICA_OUTDATED

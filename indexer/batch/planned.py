"""A decision on its way through the stores: what it writes, what it publishes, and how it counts once it went through.

Counting waits for the guarded write: a refused decision is planned anew from newer state, and only the attempt that
went through may count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from indexer.batch.plan import Await, Decision, Delete, Embed, Merged, Noop, PatchPayload, Stale
from indexer.batch.report import MAX_TWINS, BatchReport
from retrieval.vectors.port import NamedVectors, PointWrite
from schemas.documents import SearchDocument
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """One product's decision and what its events did."""

    key: SkuKey
    decision: Decision
    merged: Merged

    @property
    def write(self) -> PointWrite | None:
        """The guarded write; None where nothing is written."""
        return None if isinstance(self.decision, Noop | Stale) else self.decision.write

    @property
    def document(self) -> SearchDocument | None:
        """What goes out after the write; None where the product has no document."""
        return None if isinstance(self.decision, Await) else self.decision.document

    @property
    def text(self) -> str | None:
        """The text whose vector is needed; None where the stored one holds."""
        return self.decision.text if isinstance(self.decision, Embed) else None

    def with_vectors(self, vectors: NamedVectors) -> PlannedWork:
        """The same work, its text's vectors included in the write."""
        if not isinstance(self.decision, Embed):
            return self
        write = replace(self.decision.write, vectors=vectors)
        return replace(self, decision=replace(self.decision, write=write))

    def count(self, report: BatchReport) -> None:
        """Add this work, which went through, to the batch's report."""
        count_events(self.merged, report)
        report.twins += [f"{self.key} {twin}" for twin in self.merged.conflicts][: MAX_TWINS - len(report.twins)]
        match self.decision:
            case Embed():
                report.embedded += 1
            case PatchPayload():
                report.patched += 1
            case Delete():
                report.deleted += 1
            case Await():
                report.awaiting += 1
            case Noop() | Stale():
                report.republished += 1


def count_events(merged: Merged, report: BatchReport) -> None:
    """Add what a product's events did to the batch's report."""
    report.applied += merged.applied
    report.duplicates += merged.duplicates
    report.stale += merged.stale
    report.conflicts += len(merged.conflicts)
    report.beyond += merged.beyond

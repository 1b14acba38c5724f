"""One reconciliation: go through the truth and both stores, look again at what differed, report, and mend on request.

A system that is in use always differs somewhere for a moment: a change is in the log and not yet in the stores. So what
differs is looked at a second time after a pause, and only what still differs counts. Memory holds the differences and
eight bytes for each row and product gone through, so a catalogue of millions fits.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog

from indexer.reconcile.compare import (
    Difference,
    Kind,
    Register,
    compare_change,
    compare_documents,
    compare_row,
    documents_ahead,
    surplus_row,
)
from indexer.reconcile.ports import ChangeSink, Republisher, SourceOfTruth
from indexer.reconcile.report import ReconcileReport, difference_sample, document_sample
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import PointPayload, VectorIndex
from runtime.clock import Clock, Sleep
from runtime.isolation import Batch, Isolation
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError
from schemas.identity import SkuKey, TenantId
from schemas.product.changes import ITEM_FACET, ChangeEvent, facet_name
from schemas.product.merge import ItemState
from schemas.version import SourceVersion

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PAGE: Final = 500
_FIRST_VERSION: Final = SourceVersion(0, 0)


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """`tenant` narrows to one tenant; `settle_s` is the pause before the second look, seconds; `samples` are kept a kind.

    `delete_extra` lets a repair delete what the truth does not have, at most `max_deletes` rows: a truth that was read
    from the wrong place must not empty a tenant's catalogue.

    Every point with a revision below `lift_below` is lifted above it: of a store that took another's place, where nobody can
    say at which revisions its products were published, since a late write may have overruled that in the topic.
    """

    tenant: TenantId | None = None
    settle_s: float = 5.0
    samples: int = 10
    delete_extra: bool = False
    max_deletes: int = 100
    lift_below: int = 0


class Reconciliation:
    """Compares once; `repair` then publishes what mends the differences found. `reader` None leaves the replica out."""

    def __init__(
        self,
        truth: SourceOfTruth | None,
        vectors: VectorIndex,
        reader: TextIndexReader | None,
        *,
        options: ReconcileOptions,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Without a truth, the two stores are compared with each other and nothing else."""
        self._truth = truth
        self._vectors = vectors
        self._reader = reader
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._open: dict[Register, list[ChangeEvent]] = {}
        """Rows of the truth that differed at the first look; none for a stored row that the truth has not."""
        self._open_documents: set[SkuKey] = set()
        self._seen_rows: set[int] = set()
        self._seen_products: set[int] = set()
        self._tenants: set[TenantId] = set()
        self._found: list[Difference] = []
        self._found_documents: dict[SkuKey, Kind] = {}
        self._ahead: dict[SkuKey, int] = {}
        """Revisions of documents that are newer than their points."""
        self._published: dict[SkuKey, int] = {}
        """Revisions that points have to be lifted above, by the truth's own documents and `lift_below`."""
        self._reading = Isolation("reading stored states")
        self._unreadable: set[SkuKey] = set()
        self.report = ReconcileReport(truth.name if truth else "stores", replica_compared=reader is not None)

    async def compare(self) -> ReconcileReport:
        """Look at everything, wait, look again at what differed.

        Raises:
            FerrofluxError: the truth or a store could not be read to its end; nothing is said then.
        """
        if self._truth is not None:
            async for page in self._truth.pages():
                await self._look_at_truth(
                    [row for row in page if self._options.tenant in (None, row.key.tenant)],
                    {
                        key: one
                        for key, one in self._truth.documents.items()
                        if self._options.tenant in (None, key.tenant)
                    },
                )
            self.report.rejected = self._truth.rejected
        await self._look_at_stores()
        if self._open or self._open_documents or self._published:
            await self._sleep(self._options.settle_s)
        for registers in _chunks(list(self._open), _PAGE):
            await self._look_again(registers)
        for keys in _chunks(sorted(self._open_documents), _PAGE):
            await self._look_again_at_documents(keys)
        await self._look_again_at_published()
        log.info("reconciled", **self.report.summary())
        return self.report

    async def repair(self, changes: ChangeSink, republisher: Republisher) -> ReconcileReport:
        """Publish what mends the differences: corrective events to the change topic, stored products to the replicas.

        Raises:
            ConfigurationError: it would delete more than is allowed; nothing was published.
            RetryableError: a log or store failed; repairing again is safe.
        """
        deletions = self._deletions()
        if self._options.delete_extra and len(deletions) > self._options.max_deletes:
            raise ConfigurationError(
                f"the repair would delete {len(deletions)} rows, more than --max-deletes {self._options.max_deletes}: "
                "look whether the source is the right one and whole, then allow as many"
            )
        # First, so that what the corrections publish is newer than what replicas hold already.
        for keys in _chunks(list(self._ahead), _PAGE):
            await republisher.overtake({key: self._ahead[key] for key in keys})
            self.report.republished += len(keys)
        mended = [found for found in self._found if found.kind is not Kind.EXTRA]
        events = [event for found in mended for event in found.events]
        events += deletions if self._options.delete_extra else []
        for chunk in _chunks(events, _PAGE):
            await changes.send(chunk)
            self.report.events_sent += len(chunk)
        # The indexer publishes what it changes; the others are published as they are stored.
        changed = {event.key for event in events} | self._ahead.keys()
        behind = [
            key
            for key, kind in self._found_documents.items()
            if kind in (Kind.REPLICA_MISSING, Kind.REPLICA_OUTDATED) and key not in changed
        ]
        for keys in _chunks(behind, _PAGE):
            await republisher.republish(keys)
            self.report.republished += len(keys)
        self.report.unmended = self.report.unbeatable + (0 if self._options.delete_extra else len(deletions))
        return self.report

    def _deletions(self) -> list[ChangeEvent]:
        surplus = [event for found in self._found if found.kind is Kind.EXTRA for event in found.events]
        # A product that only the replica knows is deleted like any other: the tombstone goes the way of every change.
        missing = {found.register[0] for found in self._found if found.kind is Kind.MISSING}
        unknown = [
            key
            for key, kind in self._found_documents.items()
            if kind is Kind.REPLICA_EXTRA and key not in missing and key.is_canonical
        ]
        return surplus + [
            ChangeEvent(key, ITEM_FACET, _FIRST_VERSION, None, changed_at_us=self._clock.now_us()) for key in unknown
        ]

    async def _look_at_truth(self, rows: Sequence[ChangeEvent], documents: Mapping[SkuKey, SearchDocument]) -> None:
        """One page of the truth, and what was published of its products where the truth knows that."""
        truth = self._truth
        assert truth is not None
        self.report.rows += len(rows)
        points = await self._vectors.read(list({row.key for row in rows} | documents.keys()))
        self._published |= documents_ahead(points, documents)
        states = self._states_of(points)
        for row in rows:
            register = (row.key, row.facet)
            if truth.exact:
                self._tenants.add(row.key.tenant)
                self._seen_rows.add(_fingerprint(str(row.key), row.facet))
                if self._difference(register, [row], states.get(row.key)) is None:
                    self._open.pop(register, None)  # an earlier row of the same register is overruled
                else:
                    self._open[register] = [row]
            elif compare_change(states.get(row.key), row) is not None:
                self._open.setdefault(register, []).append(row)

    async def _look_at_stores(self) -> None:
        async for points in self._vectors.scan(self._options.tenant, page=_PAGE):
            self.report.products += len(points)
            low = [key for key, point in points.items() if point.rev < self._options.lift_below]
            self._published |= {key: max(self._published.get(key, 0), self._options.lift_below) for key in low}
            if self._truth is not None and self._truth.exact:
                for key, point in points.items():
                    # One in another spelling is not surplus: the indexer joins it to its product, and to delete it would delete that.
                    if (
                        key.tenant in self._tenants
                        and key.is_canonical
                        and (state := self._state(key, point)) is not None
                    ):
                        self._look_for_surplus(key, state)
            if self._reader is not None:
                self._seen_products.update(_fingerprint(str(key)) for key in points)
                documents = await asyncio.to_thread(self._reader.fetch, list(points))
                self._open_documents.update(compare_documents(points, documents))
        if self._reader is not None:
            await asyncio.to_thread(self._look_for_unknown_documents, self._reader)

    def _look_for_surplus(self, key: SkuKey, state: ItemState) -> None:
        assert self._truth is not None
        for facet, held in state.facets.items():
            register = (key, facet)
            covered = facet_name(facet) in self._truth.facets
            if (
                covered
                and _fingerprint(str(key), facet) not in self._seen_rows
                and surplus_row(register, held, read_at=self._truth.read_at, now_us=0) is not None
            ):
                self._open[register] = []

    def _look_for_unknown_documents(self, reader: TextIndexReader) -> None:
        for key, _ in reader.revisions():
            if self._options.tenant in (None, key.tenant) and _fingerprint(str(key)) not in self._seen_products:
                self._open_documents.add(key)

    async def _look_again(self, registers: Sequence[Register]) -> None:
        states = self._states_of(await self._vectors.read(list({key for key, _ in registers})))
        for register in registers:
            found = self._difference(register, self._open[register], states.get(register[0]))
            if found is not None:
                self._found.append(found)
                self.report.unbeatable += found.unbeatable
                self.report.epochs_begun += found.begun_epoch is not None
                self.report.count(found.kind, difference_sample(found), samples=self._options.samples)

    async def _look_again_at_documents(self, keys: Sequence[SkuKey]) -> None:
        reader = self._reader
        assert reader is not None
        before = await self._vectors.read(keys)
        await asyncio.to_thread(reader.refresh)
        documents = await asyncio.to_thread(reader.fetch, keys)
        points = await self._vectors.read(keys)
        # A change between two reads would look like a difference against one of them, but never the same against both.
        earlier, later = compare_documents(before, documents), compare_documents(points, documents)
        differing = {key: kind for key, kind in later.items() if earlier.get(key) is kind}
        # A tombstone that only the replica holds was collected in the vector store, and its null record is on the way.
        unknown = [key for key, document in documents.items() if key not in points and not document.deleted]
        differing |= dict.fromkeys(unknown, Kind.REPLICA_EXTRA)
        for key, kind in differing.items():
            point, document = points.get(key), documents.get(key)
            stored, replica = point.rev if point else None, document.rev if document else None
            if kind is Kind.REPLICA_AHEAD and replica is not None:
                self._ahead[key] = replica
            sample = document_sample(kind, key, stored=stored, replica=replica)
            self.report.count(kind, sample, samples=self._options.samples)
        self._found_documents |= differing

    async def _look_again_at_published(self) -> None:
        for keys in _chunks(sorted(self._published), _PAGE):
            stored = await self._vectors.revisions(keys)
            for key in keys:
                if key in stored and stored[key] <= self._published[key]:
                    self._ahead[key] = max(self._ahead.get(key, 0), self._published[key])
                    sample = document_sample(
                        Kind.BEHIND, key, stored=stored[key], replica=None, published=self._published[key]
                    )
                    self.report.count(Kind.BEHIND, sample, samples=self._options.samples)

    def _difference(
        self, register: Register, rows: Sequence[ChangeEvent], state: ItemState | None
    ) -> Difference | None:
        truth, now_us = self._truth, self._clock.now_us()
        assert truth is not None
        if register[0] in self._unreadable:
            return None  # it is told by itself: no event mends a state that cannot be read
        if state is not None and not state.admits(register[1]):
            return None  # the product has more places or lists than it may hold, and this row is of those left out
        held = None if state is None else state.facets.get(register[1])
        if not rows:
            return None if held is None else surplus_row(register, held, read_at=truth.read_at, now_us=now_us)
        if truth.exact:
            return compare_row(held, rows[-1], versioned=truth.versioned, now_us=now_us)
        if state is None and self._was_deleted(register[0]):
            return None  # its tombstone was collected as garbage: nothing is missing
        return _history_difference(state, rows)

    def _was_deleted(self, key: SkuKey) -> bool:
        """Whether the newest logged change of a product that is not stored deletes it."""
        changes = self._open.get((key, ITEM_FACET), [])
        return bool(changes) and max(changes, key=lambda change: change.stamp).is_delete

    def _states_of(self, points: Mapping[SkuKey, PointPayload]) -> dict[SkuKey, ItemState]:
        return {key: state for key, point in points.items() if (state := self._state(key, point)) is not None}

    def _state(self, key: SkuKey, point: PointPayload) -> ItemState | None:
        """A stored state; None for one that cannot be read, which is counted: it keeps no other from being compared."""
        reading: Batch[SkuKey] = self._reading.batch(1)
        with reading.one(key, name=str(key)):
            return ItemState.from_bytes(point.state)
        self._unreadable.add(key)
        self.report.unreadable = len(self._unreadable)
        return None


def _history_difference(state: ItemState | None, changes: Sequence[ChangeEvent]) -> Difference | None:
    """What of a register's logged changes the stored state lacks; changes that newer ones overrule are left out."""
    merged, needed = ItemState(), []
    for change in changes:
        if compare_change(merged, change) is not None:
            merged, _ = merged.merge(change)
            needed.append(change)
    lacking = [found for change in needed if (found := compare_change(state, change)) is not None]
    if not lacking:
        return None
    newest = max(lacking, key=lambda found: found.events[0].stamp)
    return replace(newest, events=tuple(event for found in lacking for event in found.events))


def _fingerprint(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest())


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))

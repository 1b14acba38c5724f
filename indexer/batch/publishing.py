"""The last step of a batch, fenced: publish, then look whether the store has moved on, and if so publish the newer state.

The trouble it answers: a writer stops between its guarded write of revision 5 and its produce; another writes revision
6 and produces it; the first wakes up and produces 5. The compacted topic would end on 5 for ever. Whoever produces
therefore reads the revision back afterwards, and a key that has moved on is published again in its stored state, until
the last thing that this writer produced is what the store holds. Decision 0011 has the argument and what remains.

Stored products go the same way to the replicas again: as they are, or lifted above documents that they fell behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from indexer.batch.batch import PLAN, PUBLISH, Batch, Freshness, Stages, until_settled
from indexer.ports import Target
from indexer.records import awaits_item
from retrieval.vectors.port import PointPayload, PointWrite, VectorIndex
from retrieval.vectors.spaces import TEXT_VECTOR
from runtime.clock import Clock
from schemas.documents import DocumentTimes, SearchDocument
from schemas.errors import ContentionError, StoreUnavailableError
from schemas.identity import SkuKey
from schemas.product.merge import ItemState

_ROUNDS: Final = 8
"""How often a document may be overtaken before the batch is tried again as a whole."""

_SLOW_WRITER_SECONDS: Final = 2.0
"""A writer that needed longer from its write to its produce looks for newer revisions first, too: a process that was
stopped wakes up here, and what it does not produce needs no repair."""


class FencedPublisher:
    """Publishes documents so that the documents topic never ends on an older revision than this writer has seen."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock

    async def publish(self, documents: Sequence[SearchDocument], batch: Batch, *, written_at: float) -> None:
        """Publish documents of distinct products whose states are stored; returns when the newest of each is durable.

        `written_at` is the monotonic time at which their states were read or written. A product whose document the log
        never takes, or whose newer state builds none, is set apart; its last document stays, and the reason tells of it.

        Raises:
            LogUnavailableError: the log did not take them.
            StoreUnavailableError: the revisions could not be read back, or the store lost a write that it had confirmed.
            ContentionError: other writers overtook this one too often.
            LeaseLostError: the partitions were taken away before a produce.
        """
        pending = list(documents)
        if pending and self._clock.monotonic() - written_at > _SLOW_WRITER_SECONDS:
            pending = await self._newest(pending, batch)
        for _ in range(_ROUNDS):
            if not pending:
                return
            batch.lease.check()
            timed = self._timed(pending)
            published = await self._target.publisher.publish(timed)
            batch.report.incomplete += published.incomplete
            for key, refusal in published.refused.items():
                batch.note(PUBLISH, key, refusal)
            timed = [document for document in timed if document.key not in published.refused]
            batch.report.freshness.extend(_freshness(timed))
            moved = await self._moved(timed)
            batch.report.superseded += len(moved)
            pending = await self.stored_documents(moved, batch)
        raise ContentionError(f"{len(pending)} documents were overtaken {_ROUNDS} times while they were published")

    async def republish(self, keys: Sequence[SkuKey], batch: Batch) -> None:
        """Publish products as the store holds them; one that it does not hold is left out, one that builds no document set apart.

        Raises as `publish` does.
        """
        read_at = self._clock.monotonic()
        documents = await self.stored_documents(keys, batch)
        await self.publish(documents, batch, written_at=read_at)
        batch.report.apart |= batch.faults
        batch.report.republished += sum(document.key not in batch.report.apart for document in documents)

    async def stored_documents(self, keys: Sequence[SkuKey], batch: Batch) -> list[SearchDocument]:
        """The documents of products as the store now holds them; one that it does not hold, or that awaits its item, has none.

        One whose state builds no document is set apart.
        """
        if not keys:
            return []
        stored = await self._target.index.read(keys)
        documents: list[SearchDocument] = []
        for key in keys:
            if key in stored and not awaits_item(stored[key]):
                with batch.one(PLAN, key):
                    documents.append(self._document(key, stored[key]))
        return documents

    async def _newest(self, documents: Sequence[SearchDocument], batch: Batch) -> list[SearchDocument]:
        moved = await self._moved(documents)
        batch.report.superseded += len(moved)
        overtaken = frozenset(moved)
        kept = [document for document in documents if document.key not in overtaken]
        return kept + await self.stored_documents(moved, batch)

    async def _moved(self, documents: Sequence[SearchDocument]) -> list[SkuKey]:
        stored = await self._target.index.revisions([document.key for document in documents])
        moved = []
        for document in documents:
            rev = stored.get(document.key, 0)
            if rev < document.rev:
                raise StoreUnavailableError(
                    f"the vector store holds revision {rev} of {document.key} after it confirmed {document.rev}: it lost a write"
                )
            if rev > document.rev:
                moved.append(document.key)
        return moved

    def _document(self, key: SkuKey, payload: PointPayload) -> SearchDocument:
        state = ItemState.from_bytes(payload.state)
        return self._target.compose(
            key,
            state,
            rev=payload.rev,
            text_hash=payload.provenance_of(TEXT_VECTOR).hash,
            model=payload.provenance_of(TEXT_VECTOR).revision,
            times=DocumentTimes(changed_us=state.changed_at_us, logged_us=0, indexed_us=0),
        )

    def _timed(self, documents: Iterable[SearchDocument]) -> list[SearchDocument]:
        now_us = self._clock.now_us()
        return [document.timed(_indexed_at(document.times, now_us)) for document in documents]


def _indexed_at(times: DocumentTimes, now_us: int) -> DocumentTimes:
    return times.model_copy(update={"indexed_us": now_us, "visible_us": 0})


def _freshness(documents: Iterable[SearchDocument]) -> list[Freshness]:
    """The samples of live changes: what a bulk load or a replay brings was changed whenever it was."""
    return [
        Freshness(document.times.changed_us, document.times.logged_us, document.times.indexed_us)
        for document in documents
        if not document.times.backfill
    ]


class StoredDocuments:
    """The port `Republisher`: documents as the vector store holds them, behind the indexer's own fence (decision 0011)."""

    def __init__(self, target: Target, clock: Clock) -> None:
        """The target holds the products; its publisher appends to the topic that the replicas read."""
        self._index = target.index
        self._stages = Stages()
        self._documents = FencedPublisher(target, clock)

    async def republish(self, keys: Sequence[SkuKey]) -> None:
        """Publish; products that the store does not hold are left out, and so is one that builds no document, with a word in the log."""
        await self._documents.republish(keys, Batch(self._stages, len(keys)))

    async def overtake(self, revisions: Mapping[SkuKey, int]) -> None:
        """Lift the points, and publish them."""
        await lift(self._index, revisions)
        await self.republish(list(revisions))


async def lift(index: VectorIndex, revisions: Mapping[SkuKey, int]) -> None:
    """Give stored points a revision above these by guarded writes; one that another writer changed meanwhile is read and lifted again.

    Raises:
        ContentionError: others changed some in all attempts.
    """

    async def behind(keys: Collection[SkuKey]) -> Collection[SkuKey]:
        stored = await index.read(list(keys))
        low = [key for key in keys if key in stored and stored[key].rev <= revisions[key]]
        if low:
            await index.write(
                [PointWrite(key, stored[key].rev, replace(stored[key], rev=revisions[key] + 1)) for key in low]
            )
        return low

    await until_settled(list(revisions), behind, doing="give them a newer revision")

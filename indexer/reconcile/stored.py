"""Stored products on their way to the replicas again: published as they are, or lifted above the documents that they fell behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from indexer.batch.apart import Apart, Stages
from indexer.batch.publishing import FencedPublisher
from indexer.batch.report import BatchReport
from indexer.pipeline import PermanentLease
from indexer.ports import Clock, DocumentComposer, DocumentPublisher
from retrieval.vectors.port import PointWrite, VectorIndex
from schemas.errors import ContentionError
from schemas.identity import SkuKey

_ATTEMPTS: Final = 6


class StoredDocuments:
    """The port `Republisher`: documents as the vector store holds them, behind the indexer's own fence (decision 0011)."""

    def __init__(
        self, vectors: VectorIndex, publisher: DocumentPublisher, *, compose: DocumentComposer, clock: Clock
    ) -> None:
        """`vectors` holds the products; `publisher` appends to the topic that the replicas read."""
        self._clock = clock
        self._stages = Stages()
        self._vectors = vectors
        self._publisher = FencedPublisher(vectors, publisher, compose=compose, clock=clock)

    async def republish(self, keys: Sequence[SkuKey]) -> None:
        """Publish; products that the store does not hold are left out, and so is one that builds no document, with a word in the log."""
        read_at = self._clock.monotonic()
        apart = Apart(self._stages, len(keys))
        documents = await self._publisher.stored_documents(keys, apart)
        await self._publisher.publish(
            documents, written_at=read_at, lease=PermanentLease(), report=BatchReport(), apart=apart
        )

    async def overtake(self, revisions: Mapping[SkuKey, int]) -> None:
        """Lift the points, and publish them."""
        await lift(self._vectors, revisions)
        await self.republish(list(revisions))


async def lift(vectors: VectorIndex, revisions: Mapping[SkuKey, int]) -> None:
    """Give stored points a revision above these by guarded writes; one that another writer changed meanwhile is read and lifted again.

    Raises:
        ContentionError: others changed some in all attempts.
    """
    behind = dict(revisions)
    for _ in range(_ATTEMPTS):
        stored = await vectors.read(list(behind)) if behind else {}
        behind = {key: rev for key, rev in behind.items() if key in stored and stored[key].rev <= rev}
        if not behind:
            return
        await vectors.write(
            [PointWrite(key, stored[key].rev, replace(stored[key], rev=rev + 1)) for key, rev in behind.items()]
        )
    raise ContentionError(
        f"{len(behind)} products could not be given a newer revision: others changed them in all of {_ATTEMPTS} attempts"
    )

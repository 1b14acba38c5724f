"""Stored products on their way to the replicas again: published as they are, or lifted above the documents that they fell behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from indexer.batch.batch import Batch, Stages, until_settled
from indexer.batch.publishing import FencedPublisher
from indexer.ports import Clock, Target
from retrieval.vectors.port import PointWrite
from schemas.identity import SkuKey


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
        """Lift the points by guarded writes; one that another writer changed meanwhile is read and lifted again."""

        async def lift(keys: Collection[SkuKey]) -> Collection[SkuKey]:
            stored = await self._index.read(list(keys))
            behind = [key for key in keys if key in stored and stored[key].rev <= revisions[key]]
            if behind:
                await self._index.write(
                    [PointWrite(key, stored[key].rev, replace(stored[key], rev=revisions[key] + 1)) for key in behind]
                )
            return behind

        await until_settled(list(revisions), lift)
        await self.republish(list(revisions))

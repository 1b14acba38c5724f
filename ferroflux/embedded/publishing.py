"""Back-pressure between indexer and replica: documents, too, pass through a broker that keeps 5 MB a partition.

The replica reads thousands of documents a second and is nearly always ahead. Where it is not (a burst of price changes
of products with long texts), an indexer that went on would push documents out of the broker before they are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ferroflux.embedded.broker import PARTITION_CAP_BYTES
from ferroflux.embedded.intake.ends import LogEnds
from ferroflux.embedded.intake.progress import LogProgress, Stage
from indexer.ports import DocumentPublisher, Published
from schemas.documents import SearchDocument
from schemas.errors import PoisonError
from schemas.identity import SkuKey

LARGEST_BYTES: Final = PARTITION_CAP_BYTES // 4
"""The largest document or dead letter that goes through the broker: it must not push out what stands before it."""

WAIT_EVERY_BYTES: Final = PARTITION_CAP_BYTES // 2
"""Even if every document went to one partition, half of its room is left for the next call."""


class PacedPublisher:
    """A `DocumentPublisher` that lets the replica catch up before the broker could forget what it has not read."""

    def __init__(self, publisher: DocumentPublisher, documents: LogEnds, progress: LogProgress) -> None:
        self._publisher = publisher
        self._documents = documents
        self._progress = progress
        self._unread_bytes = 0
        self._counting = asyncio.Lock()

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        """Append documents in order, in portions that the broker can hold; one call at a time, or their sum would not be."""
        async with self._counting:
            return await self._publish(documents)

    async def _publish(self, documents: Sequence[SearchDocument]) -> Published:
        refused: dict[SkuKey, PoisonError] = {}
        incomplete = 0
        portion: list[SearchDocument] = []
        for document in documents:
            size = len(document.to_bytes())
            if self._unread_bytes + size > WAIT_EVERY_BYTES and (portion or self._unread_bytes):
                published = await self._publisher.publish(portion)
                refused |= published.refused
                incomplete += published.incomplete
                portion = []
                await self._documents.reached(self._progress, Stage.READABLE)
                self._unread_bytes = 0
            portion.append(document)
            self._unread_bytes += size
        published = await self._publisher.publish(portion)
        return Published({**refused, **published.refused}, incomplete + published.incomplete)

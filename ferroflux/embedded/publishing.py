"""What the embedded system publishes through its broker, which keeps 5 MB a partition: documents at the replica's pace, dead letters in a file first.

The replica reads thousands of documents a second and is nearly always ahead. Where it is not (a burst of price changes
of products with long texts), an indexer that went on would push documents out of the broker before they are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ferroflux.embedded.broker import PARTITION_CAP_BYTES
from ferroflux.embedded.intake.progress import LogEnds, LogProgress, Stage
from indexer.deadletters.file import DeadLetterFile
from indexer.ports import DocumentPublisher, Published
from query_api.replica.tailing.letters import LetterBox, ReplicaLetter
from schemas.documents import SearchDocument
from schemas.errors import PoisonError
from schemas.identity import SkuKey
from schemas.topics import LARGEST_RECORD_BYTES

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


class KeptLetterBox:
    """A `LetterBox` that keeps letters in the file before it passes them on."""

    def __init__(self, file: DeadLetterFile, onward: LetterBox) -> None:
        self._file = file
        self._onward = onward

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        """Keep and pass on; durable when it returns."""
        await self._file.append([letter.fitting(LARGEST_RECORD_BYTES) for letter in letters])
        await self._onward.send(letters)

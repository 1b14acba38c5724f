"""Which products there are, as the documents topic says; and those that wait in the store, of which it says nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import structlog

from indexer.awaiting import awaits_item
from indexer.kafka.reader import KafkaReader
from retrieval.vectors.port import VectorIndex
from schemas.errors import InvalidEventError
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)


async def listed_in(reader: KafkaReader, topic: str) -> AsyncIterator[Mapping[SkuKey, bool]]:
    """Pages over the topic from its first record to the end that it has now; a null record removes its product."""
    places = await reader.partitions([topic])
    begins, ends = await reader.begins(places), await reader.ends(places)
    async for records in reader.read(begins, ends):
        page: dict[SkuKey, bool] = {}
        for record in records:
            try:
                page[SkuKey.parse((record.key or b"").decode())] = record.value is not None
            except (InvalidEventError, UnicodeDecodeError) as error:
                log.warning("record of the documents topic names no product", at=record.coordinates, reason=str(error))
        yield page


async def waiting_in(index: VectorIndex) -> AsyncIterator[Mapping[SkuKey, bool]]:
    """Pages over the products that wait for their item: they have no document, and their prices must not be lost."""
    async for points in index.scan():
        waiting = [key for key, payload in points.items() if awaits_item(payload)]
        if waiting:
            yield dict.fromkeys(waiting, True)


async def both(
    first: AsyncIterator[Mapping[SkuKey, bool]], then: AsyncIterator[Mapping[SkuKey, bool]]
) -> AsyncIterator[Mapping[SkuKey, bool]]:
    """One listing after the other."""
    async for page in first:
        yield page
    async for page in then:
        yield page

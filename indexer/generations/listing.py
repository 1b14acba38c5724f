"""Which products there are, as the documents topic says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import structlog

from indexer.kafka.reader import KafkaReader
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

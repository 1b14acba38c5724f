"""Generations of a production system: Kafka and a Qdrant server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferroflux.operations.generations.desk import GenerationDesk
from indexer.generations.build import BuildOutcome, OnProgress, lag_of
from indexer.generations.builder import BuildRequest, GenerationBuilder
from indexer.generations.settings import settings_for
from indexer.kafka.groups import GroupAdmin
from indexer.kafka.reader import KafkaReader
from indexer.service.clock import SystemClock
from indexer.settings import IndexerSettings
from retrieval.encoders.factory import load_encoder
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.vectors.factory import drop_collection, open_vector_index
from retrieval.vectors.port import VectorCounts
from retrieval.vectors.settings import VectorStoreKind
from schemas.errors import ConfigurationError
from schemas.generations import Generation


class ProductionFacts:
    """The port `GenerationFacts` over the settings of the indexers."""

    def __init__(self, settings: IndexerSettings) -> None:
        self._settings = settings

    async def counts(self, manifest: Generation | None) -> VectorCounts:
        """Asked of the server."""
        index = await open_vector_index(settings_for(self._settings, manifest).vectors)
        try:
            return await index.counts()
        finally:
            await index.close()

    async def lag(self, manifest: Generation | None) -> int:
        """What the generation's group has not committed."""
        settings = settings_for(self._settings, manifest)
        async with GroupAdmin(settings.kafka) as admin, KafkaReader(settings.kafka) as reader:
            places = await reader.partitions(settings.kafka.topics.consumed)
            ends = await reader.ends(places)
            return lag_of(await admin.committed(settings.consumer.group_id), await reader.begins(places), ends)

    async def followers(self, manifest: Generation | None) -> int:
        """Members of the generation's group."""
        settings = settings_for(self._settings, manifest)
        async with GroupAdmin(settings.kafka) as admin:
            return await admin.members(settings.consumer.group_id)

    async def remove(self, manifest: Generation | None) -> None:
        """Remove the collection and the documents topic."""
        settings = settings_for(self._settings, manifest)
        await drop_collection(settings.vectors)
        async with GroupAdmin(settings.kafka) as admin:
            await admin.delete_topics([settings.kafka.topics.documents])


@asynccontextmanager
async def production_desk(settings: IndexerSettings) -> AsyncIterator[GenerationDesk]:
    """The desk over the settings of the indexers.

    Raises:
        ConfigurationError: the vector store is Edge, which a running `ferroflux up` owns.
    """
    store = _store(settings)
    try:
        yield GenerationDesk(store, ProductionFacts(settings), SystemClock())
    finally:
        await store.close()


async def build(request: BuildRequest, on_progress: OnProgress) -> BuildOutcome:
    """Build a generation in this process, until the live indexers can take it on."""
    store = _store(request.settings)
    try:
        return await GenerationBuilder(request, store, load=load_encoder).run(on_progress)
    finally:
        await store.close()


def _store(settings: IndexerSettings) -> KafkaGenerationStore:
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "vectors.kind is edge, which belongs to a running `ferroflux up`: generations beside `main` need a server, so set "
            "FERROFLUX_VECTORS__KIND=qdrant and FERROFLUX_VECTORS__URL"
        )
    return KafkaGenerationStore(settings.kafka)

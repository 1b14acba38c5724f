"""The port `Operations` on a production system: Kafka and a Qdrant server, by the settings of the indexers."""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path
from typing import Final

from ferroflux.operations.building import build_request
from ferroflux.operations.direct import DirectOperations, gc_json
from ferroflux.operations.generations.service import GenerationService
from ferroflux.operations.port import BuildBody, Json, OnProgress, Replay, TombstoneGcRequest
from indexer.deadletters.kafka import KafkaDeadLetterStore
from indexer.deadletters.service import DeadLetterService
from indexer.generations.build import BuildProgress, lag_of
from indexer.generations.settings import configured_by, settings_for, settings_of
from indexer.kafka.groups import GroupAdmin
from indexer.kafka.reader import KafkaReader
from indexer.process.generation_builder import GenerationBuilder
from indexer.process.offline import offline_indexer
from indexer.replay.replayer import ReplayCheckpoint, Replayer, digest_of
from indexer.replay.sources import KafkaReplaySource
from indexer.settings import IndexerSettings
from indexer.sources.kafka import KafkaSourceStore
from indexer.sources.service import SourceService
from indexer.tombstone_gc import KafkaTombstones, TombstoneGc
from retrieval.encoders.factory import load_encoder
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.vectors.factory import drop_collection, open_vector_index
from retrieval.vectors.port import VectorCounts
from retrieval.vectors.settings import VectorStoreKind
from runtime.clock import SystemClock
from schemas.errors import ConfigurationError
from schemas.identity import tenant_id
from schemas.mapping.loading import load_mapping
from schemas.records.generations import Generation

_CLOCK: Final = SystemClock()


class ProductionOperations(DirectOperations):
    """Connects for each operation anew, and only to what it needs. Replays and tombstones are of one generation."""

    def __init__(self, settings: IndexerSettings, *, generation: str = "", checkpoints: Path) -> None:
        """`generation` is the one that is named, else the live one; `checkpoints` is the folder of interrupted replays."""
        self._settings = settings
        self._generation = generation
        self._checkpoints = checkpoints

    @cached_property
    def dead_letters(self) -> DeadLetterService:
        """In their topic."""
        return DeadLetterService(KafkaDeadLetterStore(self._settings.kafka, clock=_CLOCK))

    @cached_property
    def sources(self) -> SourceService:
        """In their topic, beside what the mapping file declares."""
        mapping = load_mapping(self._settings.mapping, self._settings.default_tenant)
        return SourceService(KafkaSourceStore(self._settings.kafka), mapping.declared)

    @cached_property
    def generation_service(self) -> GenerationService:
        """In their topic.

        Raises:
            ConfigurationError: the vector store is Edge, which a running `ferroflux up` owns.
        """
        facts, own = ProductionFacts(self._settings), configured_by(self._settings)
        return GenerationService(_store(self._settings), facts, _CLOCK, configured=own)

    async def replay(self, asked: Replay, on_progress: OnProgress) -> Json:
        """Through a pipeline of this process."""
        selection = asked.to_selection()
        settings = await settings_of(self._settings, self._generation)
        # A generation has a position of its own: what was replayed into one is to be replayed into another.
        name = digest_of({"asked": asked.asked or selection.digest, "collection": settings.vectors.collection})
        checkpoint = ReplayCheckpoint.of(self._checkpoints, selection, name)
        if asked.restart:
            checkpoint.clear()
        async with offline_indexer(settings) as indexer, KafkaReader(settings.kafka) as reader:
            replayer = Replayer(
                KafkaReplaySource(reader, settings.kafka.topics.consumed),
                indexer.pipeline,
                indexer.index,
                indexer.parser,
                clock=indexer.clock,
                rng=random.Random(),  # noqa: S311 - jitter, no secret
            )
            counts = await replayer.run(
                selection,
                apply=asked.apply,
                checkpoint=checkpoint,
                records_per_s=asked.records_per_s,
                on_progress=lambda so_far: on_progress(so_far.to_json()),
            )
        return counts.to_json()

    async def tombstone_gc(self, asked: TombstoneGcRequest) -> Json:
        """Of the vector store and the documents topic; the change log begins where Kafka's retention says."""
        settings = await settings_of(self._settings, self._generation)
        tenant = tenant_id(asked.tenant) if asked.tenant else None
        before_us = _CLOCK.now_us() - int(asked.older_than_s * 1e6)
        async with offline_indexer(settings) as indexer, KafkaReader(settings.kafka) as reader:
            oldest_ms = await reader.oldest_ms(await reader.partitions(settings.kafka.topics.consumed))
            if oldest_ms is not None:
                before_us = min(before_us, oldest_ms * 1000)
            gc = TombstoneGc(
                indexer.index,
                KafkaTombstones(reader, settings.kafka.topics.documents),
                indexer.documents,
                indexer.pipeline.republish,
            )
            found = await gc.run(before_us=before_us, apply=asked.apply, tenant=tenant)
        return gc_json(found, before_us)

    async def build(self, asked: BuildBody, on_progress: OnProgress) -> Json:
        """In this process, until the live indexers can take it on."""
        request = build_request(self._settings, asked)
        store = _store(self._settings)
        try:
            built = await GenerationBuilder(request, store, load=load_encoder).run(
                lambda progress: on_progress(progress_of(progress))
            )
        finally:
            await store.close()
        return built.to_json()


def progress_of(progress: BuildProgress) -> Json:
    """As the API tells it."""
    return {"what": progress.what, "fraction": progress.fraction, "text": progress.text}


class ProductionFacts:
    """The port `GenerationFacts` over the settings of the indexers."""

    def __init__(self, settings: IndexerSettings) -> None:
        self._settings = settings

    async def counts(self, manifest: Generation) -> VectorCounts:
        """Asked of the server."""
        index = await open_vector_index(settings_for(self._settings, manifest).vectors)
        try:
            return await index.counts()
        finally:
            await index.close()

    async def lag(self, manifest: Generation) -> int:
        """What the generation's group has not committed."""
        settings = settings_for(self._settings, manifest)
        async with GroupAdmin(settings.kafka) as admin, KafkaReader(settings.kafka) as reader:
            places = await reader.partitions(settings.kafka.topics.consumed)
            ends = await reader.ends(places)
            return lag_of(await admin.committed(settings.consumer.group_id), await reader.begins(places), ends)

    async def followers(self, manifest: Generation) -> int:
        """Members of the generation's group."""
        settings = settings_for(self._settings, manifest)
        async with GroupAdmin(settings.kafka) as admin:
            return await admin.members(settings.consumer.group_id)

    async def remove(self, manifest: Generation) -> None:
        """Remove the collection and the documents topic."""
        settings = settings_for(self._settings, manifest)
        await drop_collection(settings.vectors)
        async with GroupAdmin(settings.kafka) as admin:
            await admin.delete_topics([settings.kafka.topics.documents])


def _store(settings: IndexerSettings) -> KafkaGenerationStore:
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "vectors.kind is edge, which belongs to a running `ferroflux up`: generations beside `main` need a server, so set "
            "FERROFLUX_VECTORS__KIND=qdrant and FERROFLUX_VECTORS__URL"
        )
    return KafkaGenerationStore(settings.kafka)

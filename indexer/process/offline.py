"""A pipeline without a consumer, for the operator's commands: replay, garbage collection, repairs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from indexer.batch.caching import CachingEncoder
from indexer.batch.embedding import Embedding
from indexer.batch.pipeline import Intake, Pipeline
from indexer.batch.settling import PipelineLimits
from indexer.kafka.publisher import KafkaDeadLetterSink, KafkaDocumentPublisher
from indexer.kafka.topics import TopicAdmin
from indexer.ports import Target, Timing
from indexer.settings import IndexerSettings
from indexer.sources.kafka import KafkaSourceStore
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.vectors.factory import open_vector_index, opened_contents
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.self_check import open_collection
from retrieval.vectors.settings import VectorStoreKind
from runtime.clock import Clock, SystemClock
from runtime.kafka.log_writer import LogWriter
from schemas.errors import ConfigurationError
from schemas.events.admission import AdmissionRules
from schemas.events.parser import EventParser
from schemas.mapping.loading import load_mapping
from schemas.product.building import build_document
from schemas.product.sources import SourceHistory


@dataclass(frozen=True, slots=True)
class OfflineIndexer:
    """The parts that a command works with. They stand behind the same guards as the live ones."""

    pipeline: Pipeline
    index: VectorIndex
    parser: EventParser
    documents: KafkaDocumentPublisher
    clock: Clock


@asynccontextmanager
async def offline_indexer(settings: IndexerSettings) -> AsyncIterator[OfflineIndexer]:
    """Connect to the vector store and the log; the encoder must be the one that wrote the collection.

    Raises:
        ConfigurationError: the vector store is Edge, which a running `ferroflux up` owns.
        FatalError, RetryableError: as the indexer's own start.
    """
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "vectors.kind is edge, which belongs to a running `ferroflux up`: leave --kafka out to work through that one, "
            "or set FERROFLUX_VECTORS__KIND=qdrant"
        )
    clock = SystemClock()
    topics = settings.kafka.topics
    async with AsyncExitStack() as stack:
        mapping = load_mapping(settings.mapping, settings.default_tenant)
        history = SourceHistory(await KafkaSourceStore(settings.kafka).entries())
        rules = AdmissionRules(settings.max_ahead_s, lambda: history)
        parser = EventParser(mapping, settings.default_tenant, admission=rules)
        index = await open_vector_index(settings.vectors)
        stack.push_async_callback(index.close)
        chosen = await asyncio.to_thread(settle_layers, settings.encoder, await index.recorded())
        encoder = await asyncio.to_thread(load_encoder, chosen)
        executor = stack.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode"))
        await open_collection(index, encoder)
        contents = await stack.enter_async_context(opened_contents(settings.vectors))
        writer = LogWriter(settings.kafka)
        stack.push_async_callback(writer.stop)
        await writer.start()
        async with TopicAdmin(settings.kafka) as admin:
            writer.carries(await admin.limits())
        documents = KafkaDocumentPublisher(writer, topics.documents)
        pipeline = Pipeline(
            Target(index, documents, partial(build_document, policy=mapping.policy)),
            Embedding(CachingEncoder(encoder, executor, contents)),
            Timing(clock, random.Random()),  # noqa: S311 - jitter, no secret
            Intake(parser, KafkaDeadLetterSink(writer, topics.dead_letters, clock=clock)),
            PipelineLimits(embed_chunk=settings.consumer.embed_chunk),
        )
        yield OfflineIndexer(pipeline, index, parser, documents, clock)

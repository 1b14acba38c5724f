"""The build itself, put together from an indexer of the generation's own; see `indexer.generations.build` for its course."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from indexer.batch.caching import CachingEncoder
from indexer.batch.embedding import CollectionReuse, Embedding
from indexer.batch.settling import PipelineLimits, Settler
from indexer.generations.backfill import Backfill
from indexer.generations.build import (
    BuildOutcome,
    CatchUp,
    OnProgress,
    backfill_progress,
    both,
    change_log_range,
    listed_in,
    origin_of,
    starts_of,
    waiting_in,
)
from indexer.generations.leadership import Leadership
from indexer.generations.settings import configured_by, settings_for
from indexer.kafka.groups import GroupAdmin
from indexer.kafka.publisher import KafkaDocumentPublisher
from indexer.kafka.reader import KafkaReader
from indexer.kafka.topics import TopicAdmin
from indexer.ports import Target, Timing
from indexer.process.app import IndexerApp
from indexer.process.bootstrap import IndexerParts, build_indexer
from indexer.settings import IndexerSettings
from indexer.sources.kafka import KafkaSourceStore
from indexer.sources.live import LiveSources
from retrieval.encoders.models.architecture import settle_layers
from retrieval.encoders.port import Matrix, SparseEncoder, SparseVector, TextEncoder
from retrieval.encoders.settings import EncoderSettings, LayerChoice
from retrieval.generations import transitions
from retrieval.generations.fitting import built_with, planned, require_revision, require_text_fit
from retrieval.generations.port import GenerationStore
from retrieval.generations.view import view_of
from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.factory import open_vector_index, opened_contents
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR, spaces_of
from runtime.clock import Clock, SystemClock
from runtime.kafka.log_writer import LogWriter
from runtime.retry import Backoff, BackoffPolicy, retry
from schemas.events.admission import AdmissionRules
from schemas.events.parser import EventParser
from schemas.mapping.loading import load_mapping
from schemas.product.building import build_document
from schemas.records.generations import Generation, Origin, StoreChoice

log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 20
_BACKOFF: Final = BackoffPolicy(base_s=1.0, cap_s=2.0)
"""A second between two attempts on average."""
_AWAY: Final = "build waits for a dependency"

LoadEncoder = Callable[[EncoderSettings], TextEncoder]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build. `settings` are those of the live indexers, `encoder` and `store` those of the new generation."""

    name: str
    settings: IndexerSettings
    encoder: EncoderSettings
    store: StoreChoice
    origin: Origin | None = None
    take_over: bool = True


class CountingEncoder:
    """A `TextEncoder` that counts the texts it encodes, by space."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.revision = encoder.revision
        self.computed: Counter[str] = Counter()
        self.sparse = None if encoder.sparse is None else CountingSparseEncoder(encoder.sparse, self.computed)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """As the encoder does."""
        return self._encoder.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        """Count and encode; one thread calls it."""
        self.computed[TEXT_VECTOR] += len(texts)
        return self._encoder.encode_passages(texts)

    def passage_lengths(self, texts: Sequence[str]) -> list[int]:
        """As the encoder does."""
        return self._encoder.passage_lengths(texts)


class CountingSparseEncoder:
    """The `SparseEncoder` of a `CountingEncoder`."""

    def __init__(self, encoder: SparseEncoder, computed: Counter[str]) -> None:
        self._encoder = encoder
        self._computed = computed
        self.revision = encoder.revision
        self.encode_queries = encoder.encode_queries

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Count and encode; one thread calls it."""
        self._computed[SPARSE_VECTOR] += len(texts)
        return self._encoder.encode_passages(texts)


class GenerationBuilder:
    """One build over Kafka and a vector server."""

    def __init__(self, request: BuildRequest, store: GenerationStore, *, load: LoadEncoder) -> None:
        self._request = request
        self._store = store
        self._load = load
        self._clock = SystemClock()

    async def run(self, on_progress: OnProgress) -> BuildOutcome:
        """Build until the generation is prepared.

        Raises:
            GenerationRefusedError: the name is taken by another generation, or this one was dropped meanwhile.
            FatalError, RetryableError: as the indexer's own start; the same command goes on where this one stopped.
        """
        began = self._clock.monotonic()
        view = view_of(await self._store.records(), configured_by(self._request.settings))
        source = view.manifest(view.live)
        chosen = await self._chosen(source)
        encoder = CountingEncoder(await asyncio.to_thread(self._load, chosen))
        manifest = view.manifests.get(self._request.name) or await self._plan(chosen, encoder, source)
        require_text_fit(manifest)
        require_revision(manifest, encoder.revision)
        await self._store.commit(transitions.create(manifest, now_us=self._clock.now_us()))
        outcome = BuildOutcome(manifest)
        settings = settings_for(self._request.settings, manifest)
        source_settings = settings_for(self._request.settings, source)
        async with (
            _opened(settings) as target,
            _opened(source_settings) as origin,
            opened_contents(settings.vectors, wanted=self._request.take_over) as contents,
        ):
            reuse = CollectionReuse(origin, spaces_of(encoder.revision)) if self._request.take_over else None
            work = _Work(
                settings, source_settings, target, origin, encoder, reuse, contents, outcome, on_progress, self._clock
            )
            await work.carry_out()
        await self._store.commit(
            transitions.mark_prepared(manifest.name, now_us=self._clock.now_us(), set_apart=outcome.set_apart.total())
        )
        outcome.seconds = self._clock.monotonic() - began
        log.info("generation prepared", live=view.live, **outcome.to_json())
        return outcome

    async def _chosen(self, source: Generation) -> EncoderSettings:
        """Where the layers are open, those of the generation that answers, whose vectors can then be taken over."""
        chosen = self._request.encoder
        if chosen.layers is not LayerChoice.AUTO:
            return chosen
        async with _opened(settings_for(self._request.settings, source)) as origin:
            recorded = await origin.recorded()
        return await asyncio.to_thread(settle_layers, chosen, recorded)

    async def _plan(self, chosen: EncoderSettings, encoder: TextEncoder, source: Generation) -> Generation:
        request = self._request
        log_range = await change_log_range(request.settings, source)
        origin = origin_of(log_range, request.origin)
        starts = log_range.starts if origin is Origin.DOCUMENTS else None
        main, now_us = configured_by(request.settings), self._clock.now_us()
        plan = planned(request.name, main, request.store, now_us=now_us, origin=origin, starts=starts)
        mapping = load_mapping(request.settings.mapping, request.settings.default_tenant)
        return built_with(plan, chosen, encoder, mapping.policy)


@dataclass(slots=True)
class _Work:
    """One build with everything opened that it works on."""

    settings: IndexerSettings
    source_settings: IndexerSettings
    target: VectorIndex
    origin: VectorIndex
    encoder: CountingEncoder
    reuse: CollectionReuse | None
    contents: ContentVectors | None
    outcome: BuildOutcome
    on_progress: OnProgress
    clock: Clock
    leadership: Leadership = field(init=False)
    sources: LiveSources = field(default_factory=LiveSources)

    async def carry_out(self) -> None:
        """Backfill where that is due, follow the change log until it is caught up, and count."""
        async with TopicAdmin(self.settings.kafka) as admin:
            await admin.ensure()
            limits = await admin.limits()
        self.leadership = Leadership(self.outcome.manifest.name)
        app = self._indexer()
        app.topics_take(limits)
        following = asyncio.create_task(KafkaSourceStore(self.settings.kafka).follow(self.sources))
        try:
            await retry(app.prepare, _AWAY, backoff=Backoff(_BACKOFF), attempts=_ATTEMPTS)
            if self.outcome.manifest.origin is Origin.DOCUMENTS:
                await self._backfill_once(limits)
            await retry(app.start, _AWAY, backoff=Backoff(_BACKOFF), attempts=_ATTEMPTS)
            await self._until_caught_up(app)
        finally:
            await app.stop()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        self.outcome.set_apart.update(self.leadership.found)
        self.outcome.products = (await self.target.counts()).alive
        self.outcome.taken_over = 0 if self.reuse is None else self.reuse.given
        self.outcome.computed = self.encoder.computed

    def _indexer(self) -> IndexerApp:
        mapping = load_mapping(self.settings.mapping, self.settings.default_tenant)
        return build_indexer(
            self.settings,
            IndexerParts(
                self.target,
                self.encoder,
                EventParser(
                    mapping,
                    self.settings.default_tenant,
                    admission=AdmissionRules(self.settings.max_ahead_s, self.sources.history),
                ),
                partial(build_document, policy=mapping.policy),
                self.reuse,
                self.contents,
            ),
            # Not live: what the parse finds the live generation has sent to the dead letters, and it moves no snapshots.
            leadership=self.leadership,
            # The texts of the check would count as embedded; the live indexers make it when they take the generation on.
            self_check=False,
        )

    async def _backfill_once(self, limits: Mapping[str, int]) -> None:
        """Backfill, then set where the group begins: a group with offsets says that its backfill was done."""
        group = self.settings.consumer.group_id
        async with GroupAdmin(self.settings.kafka) as admin:
            if await admin.committed(group):
                return
            await self._backfill(limits)
            await admin.begin_at(group, starts_of(self.outcome.manifest))

    async def _backfill(self, limits: Mapping[str, int]) -> None:
        mapping = load_mapping(self.settings.mapping, self.settings.default_tenant)
        counts = await self.origin.counts()
        expected = counts.alive + counts.dead
        writer = LogWriter(self.settings.kafka)
        writer.carries(limits)
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
        try:
            async with KafkaReader(self.settings.kafka) as reader:
                settler = Settler(
                    Target(
                        self.target,
                        KafkaDocumentPublisher(writer, self.settings.kafka.topics.documents),
                        partial(build_document, policy=mapping.policy),
                    ),
                    Embedding(CachingEncoder(self.encoder, executor, self.contents), self.reuse),
                    Timing(self.clock, random.Random()),  # noqa: S311 - jitter, no secret
                    PipelineLimits(embed_chunk=self.settings.consumer.embed_chunk),
                )
                backfilled = await Backfill(settler, self.origin).run(
                    both(listed_in(reader, self.source_settings.kafka.topics.documents), waiting_in(self.origin)),
                    lambda so_far: self.on_progress(backfill_progress(so_far, expected)),
                )
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            await writer.stop()
        self.outcome.without_state = len(backfilled.without_state)
        self.outcome.set_apart.update(fault.reason.code for fault in backfilled.apart.values())

    async def _until_caught_up(self, app: IndexerApp) -> None:
        wait = CatchUp(self.settings, self.settings.consumer.group_id).wait(self.on_progress)
        catching_up, failing = asyncio.ensure_future(wait), asyncio.ensure_future(app.failed())
        try:
            await asyncio.wait({catching_up, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise failing.result()
            catching_up.result()
        finally:
            for task in (catching_up, failing):
                task.cancel()
            await asyncio.gather(catching_up, failing, return_exceptions=True)


@asynccontextmanager
async def _opened(settings: IndexerSettings) -> AsyncIterator[VectorIndex]:
    index = await open_vector_index(settings.vectors)
    try:
        yield index
    finally:
        await index.close()

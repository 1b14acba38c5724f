"""An indexer process, put together from the production classes: consumer, lanes, diversion, runner with pipeline, verifier."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import orjson
from prometheus_client import CollectorRegistry

from indexer.batch.embedding import Embedding
from indexer.batch.pipeline import Intake, Pipeline
from indexer.batch.settling import PipelineLimits
from indexer.consuming.lanes import Lanes, SliceLength
from indexer.consuming.publish_lock import PublishLock
from indexer.consuming.runner import BatchRunner, Observers
from indexer.identity import OffsetGuard
from indexer.kafka.consumer import RevocationListener
from indexer.kafka.diversion import SnapshotDiversion
from indexer.kafka.publisher import KafkaDeadLetterSink, KafkaDocumentPublisher
from indexer.metrics import IndexerMetrics
from indexer.ports import Target, Timing
from indexer.readiness import ConsumerHealth
from indexer.records import InboundRecord, TopicPartition
from indexer.verification.feed import FedRecord
from indexer.verification.verifier import DocumentVerifier
from retrieval.testing import HashingEncoder
from retrieval.vectors.port import AnyVector
from retrieval.vectors.spaces import spaces_of
from runtime.kafka.log_writer import OutboundRecord
from runtime.retry import BackoffPolicy
from schemas.documents import SearchDocument
from schemas.errors import FatalError, LogUnavailableError, PoisonError, RetryableError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.product.merge import ItemState
from schemas.topics import LARGEST_RECORD_BYTES
from tests.sim.cluster.removed import (
    ByArrival,
    NoLock,
    NothingApart,
    WholeDocuments,
    documents_of_nothing,
    nothing_moved,
)
from tests.sim.model.broker import BULK, CHANGES, DEAD_LETTERS, DOCUMENTS, Broker, Sender
from tests.sim.model.groups import Group, GroupClient
from tests.sim.model.oddities import Oddity
from tests.sim.model.store import ModelStore, SimIndex
from tests.sim.model.world import Process

MODEL: Final = HashingEncoder(2).revision
METRICS: Final = IndexerMetrics(CollectorRegistry())
BACKOFF: Final = BackoffPolicy(base_s=0.05, cap_s=0.4)
_SETTLE_S: Final = 0.5


class SimEncoder:
    """Takes time, and may be stopped meanwhile; what it computes is of no interest here."""

    spaces = spaces_of(MODEL)

    def __init__(self, process: Process) -> None:
        self._process = process

    async def encode(self, space: str, texts: Sequence[str]) -> Sequence[AnyVector]:
        await asyncio.sleep(self._process.world.latency())
        await self._process.point()
        if any(Oddity.ENCODE in text for text in texts):
            raise ZeroDivisionError
        return [np.zeros(2, dtype=np.float32) for _ in texts]

    async def lengths(self, texts: Sequence[str]) -> Sequence[int]:
        await asyncio.sleep(self._process.world.latency())
        await self._process.point()
        return [len(text) for text in texts]


class SimTopics:
    """A process's way to the topics: as a `LogWriter`, and by production's adapters on it as the ports of the pipeline."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._sender = Sender(broker, process)
        self._process = process
        kind = KafkaDocumentPublisher if process.world.guards.shortened else WholeDocuments
        writer: Any = self
        self.publish = kind(writer, DOCUMENTS).publish
        self.remove = kind(writer, DOCUMENTS).remove
        self.send = KafkaDeadLetterSink(writer, DEAD_LETTERS, clock=process.world).send

    def limit(self, topic: str) -> int:
        oddities = self._process.world.oddities
        return (oddities.limit(topic) if oddities.known else None) or LARGEST_RECORD_BYTES

    async def append(self, topic: str, records: Sequence[OutboundRecord]) -> None:
        await self.append_each(topic, records)

    async def append_each(self, topic: str, records: Sequence[OutboundRecord]) -> list[PoisonError | None]:
        world = self._process.world
        refusals = [world.oddities.refusal(topic, record.value) for record in records]
        if any(refusals) and not world.guards.refusals_named:
            raise LogUnavailableError
        rows = [_row(topic, record) for record, refusal in zip(records, refusals, strict=True) if refusal is None]
        if not rows:
            await self._process.point()
        elif topic == BULK and not world.guards.diverted_first:
            self._process.spawn(self._unheard(topic, rows))
        else:
            await self._sender.send(topic, rows)
        return refusals

    async def _unheard(self, topic: str, rows: Sequence[tuple[bytes | None, bytes | None, str]]) -> None:
        """A send whose end nobody waits for, out of a producer's buffer that goes down with its process."""
        await asyncio.sleep(self._process.world.rng.uniform(0, 0.5))
        await self._process.point()
        with suppress(LogUnavailableError):
            await self._sender.send(topic, rows)


def _row(topic: str, record: OutboundRecord) -> tuple[bytes | None, bytes | None, str]:
    """A record as the model keeps it, without headers, and what the trace says of it."""
    if topic == DEAD_LETTERS:
        place = {name: (value or b"").decode() for name, value in record.headers}
        coordinates = f"{place['ferroflux.topic']}/{place['ferroflux.partition']}@{place['ferroflux.offset']}"
        return b"", coordinates.encode(), "letter"
    if topic == DOCUMENTS and record.value is None:
        return record.key, None, f"{SkuKey.parse((record.key or b'').decode()).sku} null"
    if topic == DOCUMENTS:
        raw = orjson.loads(record.value or b"")
        return record.key, record.value, f"{raw['sku']} r{raw['rev'] % 10**9}{' dead' if raw.get('deleted') else ''}"
    return record.key, record.value, "diverted"


def compose(key: SkuKey, state: ItemState, **options: Any) -> SearchDocument:
    """Production's document, where the product is not the odd one of which none is built."""
    document = build_document(key, state, **options)
    if Oddity.PLAN in document.title:
        raise ZeroDivisionError
    return document


def build_pipeline(
    process: Process, index: Any, topics: Any, rng: random.Random, parser: EventParser | None = None
) -> Pipeline:
    """The production pipeline of one process on these ports."""
    guards = process.world.guards
    pipeline = Pipeline(
        Target(index, topics, compose),
        Embedding(SimEncoder(process)),
        Timing(process.world, rng),
        Intake((parser or EventParser()) if guards.version else ByArrival(), topics),
        PipelineLimits(slice_products=2, slices_in_flight=2, embed_chunk=2, plan_slice=4),
    )
    if not guards.item_awaited:
        documents_of_nothing(pipeline, compose)
    if not guards.isolated:
        pipeline._settler.stages = NothingApart()
    if not guards.fence:
        pipeline._settler._documents._moved = nothing_moved  # type: ignore[method-assign] # the guard is taken away
    return pipeline


class IndexerProcess:
    """A consumer, lanes, a runner with its pipeline, and a verifier, as `build_indexer` puts them together."""

    def __init__(
        self, process: Process, *, store: ModelStore, broker: Broker, changes: Group, documents: Group
    ) -> None:
        world = process.world
        self.process = process
        self._broker = broker
        self._lock = PublishLock() if world.guards.publish_lock else NoLock()
        progress = ConsumerHealth()
        # `forget` is called as the last step of a revocation: from then on this process has given its partitions up.
        listener = RevocationListener(self._lock, progress, grace_s=0.8, forget=self._gave_up)
        self._given_up = 0
        self._polled_at: dict[tuple[str, int, int], int] = {}
        self._batch_polled_at: int | None = None
        self._client = GroupClient(changes, process, listener)
        index, topics = SimIndex(store, process), SimTopics(broker, process)
        rng = random.Random(world.rng.getrandbits(32))
        parser = world.feeds.parser_of(process) if world.feeds.active else None
        live = build_pipeline(process, _Watched(index, self._entitled), _Watched(topics, self._entitled), rng, parser)
        self._runner = BatchRunner(
            live, self._client, self._lock, Observers(progress, METRICS), Timing(world, rng),
            backoff=BACKOFF, divert=SnapshotDiversion(topics, BULK) if world.rng.random() < 0.8 else None,  # type: ignore[arg-type] # only what it calls
        )  # fmt: skip
        self._lanes = Lanes(
            self._run, self, bulk_topic=BULK, live_turns=2, slice_length=SliceLength(0.05, 3, products=1, smallest=1),
            clock=world,
        )  # fmt: skip
        self.feed = SimFeed(GroupClient(documents, process), broker, process)
        self.verifier = DocumentVerifier(
            lambda: self.feed, index, build_pipeline(process, index, topics, rng).republish,  # type: ignore[arg-type] # only what it calls
            metrics=METRICS, clock=world, rng=rng, settle_s=_SETTLE_S, backoff=BACKOFF,
        )  # fmt: skip

    def guarded_by(self, guard: OffsetGuard, tell: Callable[[FatalError], None]) -> None:
        """Start as production does: offsets and store are compared before the group is joined, and now and then.

        `tell` hears of what ended the process, as the operator does.
        """
        self._client.beside = guard.beside
        self.process.spawn(self._guarded(guard, tell))

    async def _guarded(self, guard: OffsetGuard, tell: Callable[[FatalError], None]) -> None:
        world = self.process.world
        try:
            while True:
                await self.process.point()
                try:
                    await guard.settle()
                    break
                except RetryableError as error:
                    world.note(self.process.name, "waits:", str(error))
                    await asyncio.sleep(0.3)
            self.start()
            while True:
                await guard.watch()
        except FatalError as error:
            world.note(self.process.name, "ends:", error.code)
            tell(error)
            self.process.kill()

    def start(self) -> None:
        self.process.spawn(self._client.heartbeats())
        self.process.spawn(self._consume())
        if self.process.world.guards.verifier:
            self.process.spawn(self.feed.client.heartbeats())
            self.process.supervise("document-verifier", self.verifier.run)

    @property
    def revocations(self) -> int:
        """The port `LaneControl`, with `poll_live` and `rewind`."""
        return self._lock.revocations if self.process.world.guards.lane_epoch else 0

    async def poll_live(self) -> Sequence[InboundRecord]:
        world = self.process.world
        if not world.calm and world.rng.random() < 0.1:
            # aiokafka answers when the group has settled: a rebalance can begin and end while it is asked.
            await asyncio.sleep(world.rng.uniform(0, 3.0))
        await self.process.point()
        return self._polled(self._client.fetch(4, topics=(CHANGES,)))

    async def more_live(self) -> Sequence[InboundRecord]:
        return await self.poll_live()

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.process.world.guards.give_back:
            self._client.rewind(offsets)

    async def _consume(self) -> None:
        world = self.process.world
        while True:
            await self.process.point()
            records = self._polled(self._client.fetch(6, lambda: world.rng.randint(1, 8)))
            if not records:
                await self._broker.appended(0.3)
                continue
            await self._lanes.take(records)

    async def _run(self, records: Sequence[InboundRecord]) -> bool:
        self.process.world.note(self.process.name, "takes", [r.coordinates for r in records])
        self._batch_polled_at = min(self._polled_at[r.topic, r.partition, r.offset] for r in records)
        try:
            return await self._runner.run(records)
        finally:
            self._batch_polled_at = None

    def _polled(self, records: list[InboundRecord]) -> list[InboundRecord]:
        self._polled_at |= {(r.topic, r.partition, r.offset): self._given_up for r in records}
        return records

    def _gave_up(self) -> None:
        self._given_up += 1

    def _entitled(self, what: str) -> None:
        """The hand-over's rule: whoever has answered a revocation starts nothing more with what was polled before."""
        if self._batch_polled_at is not None and self._given_up > self._batch_polled_at:
            self.process.world.violate(f"{self.process.name} began to {what} after it had given its partitions up")


class SimFeed:
    """The port `DocumentFeed` on the model broker."""

    def __init__(self, client: GroupClient, broker: Broker, process: Process) -> None:
        self.client = client
        self._broker = broker
        self._process = process

    async def open(self) -> None:
        await self._process.point()
        self.client.restart()

    async def poll(self) -> list[FedRecord]:
        await self._process.point()
        self._process.stumble()
        records = self.client.fetch(20)
        if not records:
            await self._broker.appended(0.2)
            await self._process.point()
            records = self.client.fetch(20)
        return [FedRecord((r.topic, r.partition), r.offset, r.key, r.value) for r in records]

    @property
    def epoch(self) -> int:
        return self.client.revocations

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        await self.client.commit(next_offsets)

    async def close(self) -> None:
        """A dead or resting process keeps its membership until its session is over."""


class _Watched:
    """A port of the live pipeline; what it begins to change is checked against the hand-over's rule."""

    def __init__(self, port: Any, entitled: Callable[[str], None]) -> None:
        self._port = port
        self._entitled = entitled
        self.read, self.revisions = getattr(port, "read", None), getattr(port, "revisions", None)

    async def write(self, writes: Any) -> Any:
        self._entitled("write")
        return await self._port.write(writes)

    async def publish(self, documents: Any) -> Any:
        self._entitled("publish")
        return await self._port.publish(documents)

    async def send(self, letters: Any) -> None:
        self._entitled("send dead letters")
        await self._port.send(letters)

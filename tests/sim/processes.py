"""The processes of an installation, put together from the production classes: indexers with their verifiers, and a replica."""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from prometheus_client import CollectorRegistry

from indexer.kafka.consumer import RevocationListener
from indexer.pipeline import Pipeline, PipelineLimits
from indexer.publish_lock import PublishLock
from indexer.records import DeadLetter, TopicPartition
from indexer.runner import BackoffPolicy, BatchRunner
from indexer.service.metrics import IndexerMetrics
from indexer.service.progress import Progress
from indexer.verification.feed import FedRecord
from indexer.verification.verifier import DocumentVerifier
from query_api.replica.backoff import Backoff
from query_api.replica.log.port import Bounds, LogRecord, LogView, Polled
from query_api.replica.operations.metrics import ReplicaMetrics
from query_api.replica.tailer import ReplicaTailer
from retrieval.encoders.port import Matrix
from retrieval.text.memory import MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Applied, Checkpoint
from schemas.building import build_document
from schemas.documents import SearchDocument
from schemas.events.outcome import Changes, ParsedRecord
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.version import SourceVersion
from tests.sim.broker import DEAD_LETTERS, DOCUMENTS, Broker, Group, GroupClient, Sender
from tests.sim.store import ModelStore, SimIndex
from tests.sim.world import Process

MODEL: Final = "model-1"
_SETTLE_S: Final = 0.5
_METRICS: Final = IndexerMetrics(CollectorRegistry())
_REPLICA_METRICS: Final = ReplicaMetrics()


class SimEncoder:
    """Takes time, and may be stopped meanwhile; what it computes is of no interest here."""

    model = MODEL

    def __init__(self, process: Process) -> None:
        self._process = process

    async def encode(self, texts: Sequence[str]) -> Matrix:
        await asyncio.sleep(self._process.world.latency())
        await self._process.point()
        return np.zeros((len(texts), 2), dtype=np.float32)


class IndexerProcess:
    """A consumer, a runner with its pipeline, and a verifier, as `build_indexer` puts them together."""

    def __init__(
        self, process: Process, *, store: ModelStore, broker: Broker, changes: Group, documents: Group
    ) -> None:
        world = process.world
        self.process = process
        self._broker = broker
        self._batch_began_at: int | None = None
        lock = PublishLock() if world.guards.publish_lock else _NoLock()
        progress = Progress()
        # `forget` is called as the last step of a revocation: from then on this process has given its partitions up.
        listener = RevocationListener(lock, progress, grace_s=0.8, forget=self._gave_up)
        self._given_up = 0
        self._client = GroupClient(changes, process, listener)
        self._sender = Sender(broker, process)
        index = SimIndex(store, process)
        rng = random.Random(world.rng.getrandbits(32))
        live = self._pipeline(_Watched(index, self._entitled), _Watched(self, self._entitled), rng)
        backoff = BackoffPolicy(base_s=0.05, cap_s=0.4)
        self._runner = BatchRunner(
            pipeline=live, control=self._client, lock=lock, progress=progress, metrics=_METRICS, clock=world, rng=rng,
            backoff=backoff,
        )  # fmt: skip
        self.feed = SimFeed(GroupClient(documents, process), broker, process)
        self.verifier = DocumentVerifier(
            lambda: self.feed, index, self._pipeline(index, self, rng).republish,  # type: ignore[arg-type] # only what it calls
            metrics=_METRICS, clock=world, rng=rng, settle_s=_SETTLE_S, backoff=backoff,
        )  # fmt: skip

    def start(self) -> None:
        self.process.spawn(self._client.heartbeats())
        self.process.spawn(self._consume())
        if self.process.world.guards.verifier:
            self.process.spawn(self.feed.client.heartbeats())
            self.process.spawn(self.verifier.run())

    async def publish(self, documents: Sequence[SearchDocument]) -> None:
        """The port `DocumentPublisher`."""
        await self._sender.send(
            DOCUMENTS,
            [
                (d.key.kafka_key, d.to_bytes(), f"{d.sku} r{d.rev % 10**9}{' dead' if d.deleted else ''}")
                for d in documents
            ],
        )

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """The port `DeadLetterSink`."""
        await self._sender.send(
            DEAD_LETTERS, [(b"", letter.record.coordinates.encode(), "letter") for letter in letters]
        )

    async def _consume(self) -> None:
        world = self.process.world
        while True:
            await self.process.point()
            records = self._client.fetch(6, lambda: world.rng.randint(1, 8))
            if not records:
                await self._broker.appended(0.3)
                continue
            world.note(self.process.name, "takes", [f"{r.partition}@{r.offset}" for r in records])
            self._batch_began_at = self._given_up
            await self._runner.run(records)
            self._batch_began_at = None

    def _gave_up(self) -> None:
        self._given_up += 1

    def _entitled(self, what: str) -> None:
        """The hand-over's rule: whoever has answered a revocation starts nothing more for the batch of before."""
        if self._batch_began_at is not None and self._given_up > self._batch_began_at:
            self.process.world.violate(f"{self.process.name} began to {what} after it had given its partitions up")

    def _pipeline(self, index: Any, publisher: Any, rng: random.Random) -> Pipeline:
        guards = self.process.world.guards
        pipeline = Pipeline(
            parser=EventParser() if guards.version else _ByArrival(),
            index=index,
            publisher=publisher,
            dead_letters=self if publisher is self else publisher,
            encoder=SimEncoder(self.process),
            compose=build_document,
            clock=self.process.world,
            rng=rng,
            limits=PipelineLimits(embed_chunk=2, plan_slice=4),
        )
        if not guards.fence:
            pipeline._documents._moved = _nothing_moved  # type: ignore[method-assign] # the guard is taken away
        return pipeline


class ReplicaProcess:
    """The real tailer over a text index in memory that outlives it."""

    def __init__(self, process: Process, broker: Broker, store: MemoryTextStore) -> None:
        self.process = process
        self._tailer = ReplicaTailer(
            _Writer(store, process),
            lambda: SimDocumentLog(broker, process),
            topic=DOCUMENTS,
            report_to=None,
            backoff=Backoff(0.0, 0.0),
            metrics=_REPLICA_METRICS,
            now_us=process.world.now_us,
        )

    def start(self) -> None:
        self.process.spawn(self._tailer.run())


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


class SimDocumentLog:
    """The replica's port `DocumentLog` on the model broker."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process
        self._positions: dict[int, int] = {}

    async def open(self) -> LogView:
        await self._process.point()
        ends = self._broker.ends(DOCUMENTS)
        return LogView("log-1", {number: Bounds(0, end) for (_, number), end in ends.items()})

    def follow(self, positions: Mapping[int, int]) -> None:
        self._positions = dict(positions)

    async def poll(self) -> Polled:
        await self._process.point()
        records = self._take()
        if not records:
            await self._broker.appended(0.5)
            await self._process.point()
            records = self._take()
        return Polled(records, dict(self._positions), {n: e for (_, n), e in self._broker.ends(DOCUMENTS).items()})

    def partitions(self) -> frozenset[int]:
        return frozenset(number for _, number in self._broker.ends(DOCUMENTS))

    async def close(self) -> None:
        """Nothing is held."""

    def _take(self) -> list[LogRecord]:
        taken = []
        for number, at in self._positions.items():
            rows = self._broker.logs[DOCUMENTS, number][at : at + self._process.world.rng.randint(1, 8)]
            self._positions[number] = at + len(rows)
            taken += [LogRecord(number, row.offset, row.key, row.value) for row in rows]
        return taken


class _Writer(MemoryTextWriter):
    """The text index's writer in a process that can die at the commit: before it or after it, and never in between."""

    def __init__(self, store: MemoryTextStore, process: Process) -> None:
        super().__init__(store)
        self._process = process

    def apply(
        self, documents: Sequence[SearchDocument], checkpoint: Checkpoint, *, removed: Collection[SkuKey] = ()
    ) -> Applied:
        world = self._process.world
        dies = not world.calm and world.rng.random() < world.weather.fault_rate / 4
        if dies and world.rng.random() < 0.5:
            if not world.guards.checkpoint:
                super().apply((), checkpoint)
            self._process.kill()
            raise _KilledInCommitError
        before = {key: entry.document.rev for key, entry in self._store.commit.entries.items()}
        if not world.guards.replica_revision:
            removed = {document.key for document in documents}
        applied = super().apply(documents, checkpoint, removed=removed)
        for key, entry in self._store.commit.entries.items():
            if entry.document.rev < before.get(key, 0):
                world.violate(f"the replica went back to an older revision of {key}")
        if dies:
            self._process.kill()
            raise _KilledInCommitError
        return applied


class _KilledInCommitError(Exception):
    """The process ended here; nobody is left to see this."""


class _NoLock(PublishLock):
    """The publish lock taken away: a revocation waits for nothing, and leases never end."""

    async def revoke(self, grace_s: float) -> bool:
        del grace_s
        return True


class _ByArrival(EventParser):
    """The version check taken away: what arrives later counts as newer."""

    arrived = 0

    def parse(self, key: bytes | None, value: bytes | None) -> ParsedRecord:
        parsed = super().parse(key, value)
        if isinstance(parsed, Changes):
            _ByArrival.arrived += 1
            for event in parsed.events:
                object.__setattr__(event, "version", SourceVersion(0, _ByArrival.arrived))
        return parsed


class _Watched:
    """A port of the live pipeline; what it begins to change is checked against the hand-over's rule."""

    def __init__(self, port: Any, entitled: Callable[[str], None]) -> None:
        self._port = port
        self._entitled = entitled
        self.read, self.revisions = getattr(port, "read", None), getattr(port, "revisions", None)

    async def write(self, writes: Any) -> Any:
        self._entitled("write")
        return await self._port.write(writes)

    async def publish(self, documents: Any) -> None:
        self._entitled("publish")
        await self._port.publish(documents)

    async def send(self, letters: Any) -> None:
        self._entitled("send dead letters")
        await self._port.send(letters)


async def _nothing_moved(documents: object) -> list[SkuKey]:
    del documents
    return []

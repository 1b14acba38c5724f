"""The replica: the production tailer over a text index in memory that outlives its process."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from query_api.replica.tailing.letters import ReplicaLetter
from query_api.replica.tailing.log import Bounds, LogRecord, LogView, Polled
from query_api.replica.tailing.metrics import ReplicaMetrics
from query_api.replica.tailing.tailer import ReplicaTailer
from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import AnalysedText
from retrieval.text.apart.ledger import Ledger, SetApart
from retrieval.text.apart.values import NO_NOTES, LogNotes
from retrieval.text.memory import MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Applied, Checkpoint, TextIndexWriter
from runtime.isolation import Isolation
from runtime.retry import Backoff, BackoffPolicy
from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from tests.sim.cluster.removed import NoIsolation, Unheard
from tests.sim.model.broker import DEAD_LETTERS, DOCUMENTS, Broker, Sender
from tests.sim.model.world import Process

_METRICS: Final = ReplicaMetrics()


def build_tailer(process: Process, broker: Broker, writer: TextIndexWriter) -> ReplicaTailer:
    """The tailer of one process over this broker's documents topic."""
    box = SimLetterBox(broker, process)
    return ReplicaTailer(
        writer,
        lambda: SimDocumentLog(broker, process),
        topic=DOCUMENTS,
        report_to=None,
        backoff=Backoff(BackoffPolicy(0.0, 0.0)),
        letters=box if process.world.guards.letters_again else Unheard(box),
        metrics=_METRICS,
        clock=process.world,
    )


class ReplicaProcess:
    """The real tailer over a text index in memory that outlives it."""

    def __init__(self, process: Process, broker: Broker, store: MemoryTextStore) -> None:
        self.process = process
        self.writer = MortalWriter(store, process)
        self._broker = broker

    def start(self) -> None:
        self.process.supervise("replica", lambda: build_tailer(self.process, self._broker, self.writer).run())


class SimLetterBox:
    """The port `LetterBox` on the model broker; the oracle knows a letter by its record's coordinates."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._sender = Sender(broker, process)

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        places = [f"{DOCUMENTS}/{one.apart.place}" for one in letters]
        await self._sender.send(DEAD_LETTERS, [(b"", place.encode(), f"letter of {place}") for place in places])


class SimDocumentLog:
    """The replica's port `DocumentLog` on the model broker."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process
        self._positions: dict[int, int] = {}

    async def open(self) -> LogView:
        await self._process.point()
        ends = self._broker.ends(DOCUMENTS)
        return LogView(self._broker.log_id, {number: Bounds(0, end) for (_, number), end in ends.items()})

    def follow(self, positions: Mapping[int, int]) -> None:
        self._positions = dict(positions)

    async def poll(self) -> Polled:
        await self._process.point()
        self._process.stumble()
        world = self._process.world
        await asyncio.sleep(
            world.latency() + (world.rng.expovariate(1 / slow) if (slow := world.weather.replica_s) else 0)
        )
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


class MortalWriter(MemoryTextWriter):
    """The text index's writer in a process that can die at the commit: before it or after it, and never in between."""

    def __init__(self, store: MemoryTextStore, process: Process) -> None:
        world = process.world
        self.poison = world.poison()
        """The title that this process cannot analyse; another version may."""
        isolation = (
            Isolation("analyse documents") if world.guards.replica_isolated else NoIsolation("analyse documents")
        )
        super().__init__(store, analyser=self._analyse, isolation=isolation)
        self._process = process
        self._own = Ledger()
        """The ledger of a process that does not commit it."""

    def _analyse(self, text: str) -> AnalysedText:
        if self.poison and text == self.poison:
            raise ValueError(f"cannot analyse {text}")
        return analyse(text)

    def to_try_again(self, limit: int) -> list[SearchDocument]:
        return super().to_try_again(limit) if self._process.world.guards.analysed_again else []

    def set_apart(self) -> SetApart:
        held = super().set_apart()
        return held if self._process.world.guards.ledger else replace(held, ledger=self._own)

    def apply(
        self,
        documents: Sequence[SearchDocument],
        checkpoint: Checkpoint,
        *,
        removed: Collection[SkuKey] = (),
        notes: LogNotes = NO_NOTES,
    ) -> Applied:
        world = self._process.world
        dies = not world.calm and world.rng.random() < world.weather.fault_rate / 2
        if dies and world.rng.random() < 0.5:
            if not world.guards.checkpoint:
                super().apply((), checkpoint)
            self._process.kill()
            raise KilledInCommitError
        before = {key: entry.document.rev for key, entry in self._store.commit.entries.items()}
        if not world.guards.replica_revision:
            removed = {document.key for document in documents}
        if not world.guards.ledger:
            self._store.commit = replace(self._store.commit, ledger=self._own)
        applied = super().apply(documents, checkpoint, removed=removed, notes=notes)
        world.apart |= {f"{DOCUMENTS}/{one.place}": one.key for one in applied.apart}
        if not world.guards.ledger:
            self._own, self._store.commit = self._store.commit.ledger, replace(self._store.commit, ledger=Ledger())
        for key, entry in self._store.commit.entries.items():
            if entry.document.rev < before.get(key, 0):
                world.violate(f"the replica went back to an older revision of {key}")
        if dies:
            self._process.kill()
            raise KilledInCommitError
        return applied


class KilledInCommitError(Exception):
    """The process ended here; nobody is left to see this."""

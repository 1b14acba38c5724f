"""A documents log and a text index in memory, with the ports' meaning and nothing else."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from query_api.replica.tailing.letters import ReplicaLetter
from query_api.replica.tailing.log import Bounds, LogRecord, LogView, Polled
from retrieval.text.apart.values import NO_NOTES, LogNotes
from retrieval.text.content import Analyse
from retrieval.text.memory import MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Applied, Checkpoint
from schemas.documents import SearchDocument
from schemas.errors import LogUnavailableError
from schemas.identity import SkuKey


class SetClock:
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self.us = 1_000_000_000

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6


def document(sku: str, rev: int = 1, **fields: Any) -> SearchDocument:
    return SearchDocument(tenant="acme", sku=sku, rev=rev, state=f"{rev:016x}", title=f"title {sku}", **fields)


def key(sku: str) -> SkuKey:
    return SkuKey.of("acme", sku)


@dataclass
class FakeBroker:
    """Partitions of records that outlive every connection. `down` makes it answer nothing; `begin` is what it still holds."""

    log_id: str = "log-1"
    records: dict[int, list[LogRecord]] = field(default_factory=lambda: {0: [], 1: []})
    begin: dict[int, int] = field(default_factory=dict)
    down: bool = False
    opened: int = 0
    batch: int = 100

    def append(
        self,
        partition: int,
        value: SearchDocument | bytes | None,
        raw_key: bytes | None = None,
        headers: tuple[tuple[str, bytes | None], ...] = (),
    ) -> None:
        if isinstance(value, SearchDocument):
            raw_key, value = value.key.kafka_key, value.to_bytes()
        rows = self.records[partition]
        rows.append(LogRecord(partition, len(rows), raw_key, value, 1000 + len(rows), headers))

    def connect(self) -> "FakeLog":
        return FakeLog(self)


class FakeLog:
    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._positions: dict[int, int] = {}
        self.closed = False

    def _check(self) -> None:
        if self._broker.down:
            raise LogUnavailableError("the fake broker is down")

    async def open(self) -> LogView:
        self._broker.opened += 1
        self._check()
        bounds = {
            number: Bounds(self._broker.begin.get(number, 0), len(rows))
            for number, rows in self._broker.records.items()
        }
        return LogView(self._broker.log_id, bounds)

    def follow(self, positions: Mapping[int, int]) -> None:
        self._positions = dict(positions)

    async def poll(self) -> Polled:
        await asyncio.sleep(0)
        self._check()
        if any(position < self._broker.begin.get(number, 0) for number, position in self._positions.items()):
            raise LogUnavailableError("offset out of range")
        taken: list[LogRecord] = []
        for number in self._positions:
            rows = self._broker.records[number][self._positions[number] :][: self._broker.batch - len(taken)]
            self._positions[number] += len(rows)
            taken.extend(rows)
        ends = {number: len(self._broker.records[number]) for number in self._positions}
        return Polled(taken, dict(self._positions), ends)

    def partitions(self) -> frozenset[int]:
        return frozenset(self._broker.records)

    async def close(self) -> None:
        self.closed = True


class FakeWriter(MemoryTextWriter):
    """The index in memory; `fail_with` is raised once in place of a commit, like a crash before it."""

    def __init__(self, *, analyser: Analyse | None = None) -> None:
        self.store = MemoryTextStore()
        super().__init__(self.store, analyser=analyser)
        self.commits: list[Checkpoint] = []
        self.fail_with: Exception | None = None

    @property
    def held(self) -> dict[SkuKey, SearchDocument]:
        return {key: entry.document for key, entry in self.store.commit.entries.items()}

    def checkpoint(self) -> Checkpoint | None:
        return self.commits[-1] if self.commits else None

    def apply(
        self,
        documents: Sequence[SearchDocument],
        checkpoint: Checkpoint,
        *,
        removed: Collection[SkuKey] = (),
        notes: LogNotes = NO_NOTES,
    ) -> Applied:
        if self.fail_with is not None:
            failure, self.fail_with = self.fail_with, None
            raise failure
        applied = super().apply(documents, checkpoint, removed=removed, notes=notes)
        self.commits.append(checkpoint)
        return applied

    def forget(self) -> None:
        """Lose all documents."""
        self.store.commit = replace(self.store.commit, entries={})


class FakeBox:
    """A dead-letter topic; `fail_with` is raised while it is set."""

    def __init__(self) -> None:
        self.letters: list[ReplicaLetter] = []
        self.fail_with: Exception | None = None
        self.tries = 0

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        self.tries += 1
        if self.fail_with is not None:
            raise self.fail_with
        self.letters += letters

    def headers(self) -> list[dict[str, str]]:
        return [dict(letter.ours) for letter in self.letters]

"""A documents log and a text index in memory, with the ports' meaning and nothing else."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from query_api.replica.log.port import Bounds, LogRecord, LogView, Polled
from retrieval.text.port import Applied, Checkpoint
from schemas.documents import SearchDocument
from schemas.errors import LogUnavailableError
from schemas.identity import SkuKey


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

    def append(self, partition: int, value: SearchDocument | bytes | None, raw_key: bytes | None = None) -> None:
        if isinstance(value, SearchDocument):
            raw_key, value = value.key.kafka_key, value.to_bytes()
        rows = self.records[partition]
        rows.append(LogRecord(partition, len(rows), raw_key, value))

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


class FakeWriter:
    """Keeps documents under the port's rules; `fail_with` is raised once in place of a commit, like a crash before it."""

    def __init__(self) -> None:
        self.held: dict[SkuKey, SearchDocument] = {}
        self.commits: list[Checkpoint] = []
        self.fail_with: Exception | None = None
        self.closed = False

    def checkpoint(self) -> Checkpoint | None:
        return self.commits[-1] if self.commits else None

    def apply(
        self, documents: Sequence[SearchDocument], checkpoint: Checkpoint, *, removed: Collection[SkuKey] = ()
    ) -> Applied:
        if self.fail_with is not None:
            failure, self.fail_with = self.fail_with, None
            raise failure
        for gone in removed:
            self.held.pop(gone, None)
        written = 0
        for entry in documents:
            held = self.held.get(entry.key)
            if held is None or entry.rev >= held.rev:
                self.held[entry.key] = entry
                written += 1
        self.commits.append(checkpoint)
        return Applied(written, len(documents) - written)

    def close(self) -> None:
        self.closed = True

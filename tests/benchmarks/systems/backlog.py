"""An indexer before a full log: how fast it works the backlog off, and where its time goes."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from tests.benchmarks.report.processes import cpu_seconds
from tests.benchmarks.systems.production import GROUP, TOPIC, Production
from tests.benchmarks.workload.changes import Change
from tests.support.kafka.clients import Record, append, committed, end_offsets

STAGES = ("read", "encode", "write", "publish", "total")


@dataclass(frozen=True, slots=True)
class Drained:
    """`seconds` lie between the beginning of the first batch and the end of the last; `stages` are milliseconds in all."""

    records: int
    batches: int
    seconds: float
    stages: dict[str, float]
    cpu_ms: dict[str, float]
    """Processor time that each process spent a record."""

    @property
    def per_second(self) -> float:
        return self.records / self.seconds

    def as_json(self) -> dict[str, object]:
        return {
            "records": self.records,
            "batches": self.batches,
            "seconds": round(self.seconds, 2),
            "per_second": round(self.per_second, 1),
            "stage_seconds": {name: round(value / 1e3, 2) for name, value in self.stages.items()},
            "cpu_ms_a_record": self.cpu_ms,
        }


def drain(system: Production, changes: Sequence[Change]) -> Drained:
    """Let a stopped indexer find these changes in the log, and wait until it has committed the last."""
    if "indexer" not in system.processes:
        # Its first start makes the topics.
        system.start("indexer")
        system.wait_ready("indexer")
    indexer = system.processes["indexer"]
    indexer.stop()
    asyncio.run(_append(system, changes))
    pids = {"vectors": system.processes["vectors"].pid} if "vectors" in system.processes else {}
    pids["kafka"] = system.kafka.process.pid
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    indexer.start()
    asyncio.run(_committed(system))
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    used["indexer and its start"] = cpu_seconds(indexer.pid)
    milliseconds = {name: round(1e3 * seconds / len(changes), 3) for name, seconds in used.items()}
    return _read_log(indexer.log.read_bytes(), milliseconds)


async def _append(system: Production, changes: Sequence[Change]) -> None:
    now_us = time.time_ns() // 1000
    await append(
        system.kafka.bootstrap,
        TOPIC,
        (Record(change.key.kafka_key, change.encode(now_us + number)) for number, change in enumerate(changes)),
    )


async def _committed(system: Production, timeout_s: float = 900) -> None:
    ends = await end_offsets(system.kafka.bootstrap, TOPIC)
    async with asyncio.timeout(timeout_s):
        while True:
            done = await committed(system.kafka.bootstrap, GROUP)
            if all(done.get((TOPIC, number), 0) >= end for number, end in ends.items()):
                return
            await asyncio.sleep(0.5)


def _read_log(log: bytes, cpu_ms: dict[str, float]) -> Drained:
    batches = [line for line in map(orjson.loads, log.splitlines()) if line.get("event") == "batch indexed"]
    ends = [_seconds(batch["timestamp"]) for batch in batches]
    began = min(end - batch["total_ms"] / 1e3 for end, batch in zip(ends, batches, strict=True))
    return Drained(
        records=sum(batch["records"] for batch in batches),
        batches=len(batches),
        seconds=max(ends) - began,
        stages={name: sum(batch[f"{name}_ms"] for batch in batches) for name in STAGES},
        cpu_ms=cpu_ms,
    )


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()

"""Whether the indexer does its work, and if not, why: sentences for the operator, gathered from every part.

A broker's ping would not do: it stays green with a dead consume loop, a lost assignment or a store that is away.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from indexer.records import TopicPartition
from retrieval.vectors.port import VectorIndex
from runtime.clock import Clock
from schemas.errors import FerrofluxError
from schemas.identity import PROBE_TENANT, SkuId, SkuKey

_PROBE_KEY: Final = SkuKey(PROBE_TENANT, SkuId("readiness"))
_PROBE_SECONDS: Final = 2.0
_PROBE_KEPT_SECONDS: Final = 2.0
_STUCK_SECONDS: Final = 120.0
_SILENT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer: ready where there is no reason against it. `lag` is in records by `topic/partition`."""

    reasons: tuple[str, ...]
    assignment: tuple[str, ...] = ()
    lag: Mapping[str, int] = field(default_factory=dict)
    seconds_since_batch: float | None = None
    seconds_since_fetch: float | None = None
    live: str = ""
    """The generation that answers queries."""
    degraded: Mapping[str, str] = field(default_factory=dict)
    """What is wrong though changes are indexed, by background task, and by stage what was set apart there."""
    generations: Mapping[str, str] = field(default_factory=dict)
    """Every generation that is to be indexed, and what is against it; empty text: nothing."""

    @property
    def ready(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


class ReadinessProbe:
    """Judges the consumer's health and asks the vector store for a sign of life, at most every two seconds."""

    def __init__(self, health: ConsumerHealth, index: VectorIndex, clock: Clock) -> None:
        self._health = health
        self._index = index
        self._clock = clock
        self._store_reason: str | None = None
        self._store_asked: float | None = None

    async def check(self, lag: Mapping[TopicPartition, int], *, seconds_since_fetch: float | None = None) -> Readiness:
        """Everything that speaks against being ready, now."""
        now = self._clock.monotonic()
        reasons = self._consumer_reasons(now, seconds_since_fetch)
        store = await self._ask_store(now)
        if store:
            reasons.append(store)
        last = self._health.last_batch
        return Readiness(
            reasons=tuple(reasons),
            assignment=tuple(sorted(f"{topic}/{partition}" for topic, partition in self._health.assignment)),
            lag={f"{topic}/{partition}": records for (topic, partition), records in sorted(lag.items())},
            seconds_since_batch=None if last is None else round(now - last, 3),
            seconds_since_fetch=None if seconds_since_fetch is None else round(seconds_since_fetch, 3),
            degraded={
                f"set apart at {stage}": f"{count} since the start: `ferroflux dlq list` has them with their reasons"
                for stage, count in sorted(self._health.set_apart.items())
            },
        )

    def _consumer_reasons(self, now: float, seconds_since_fetch: float | None) -> list[str]:
        health = self._health
        reasons = []
        # While a batch is worked on or rested after, its records fill the buffers and nothing is fetched.
        polling = health.batch_since is None and health.failure is None
        if polling and seconds_since_fetch is not None and seconds_since_fetch > _SILENT_SECONDS:
            reasons.append(f"Kafka has not answered a fetch for {seconds_since_fetch:.0f} s")
        if not health.joined:
            reasons.append("the consumer group has given no assignment yet; it is joining or rebalancing")
        failure = health.failure
        if failure is not None:
            left = max(0.0, failure.at + failure.resting_s - now)
            reasons.append(
                f"paused after {health.failures} failed attempts in a row, next in {left:.1f} s: "
                f"{failure.code}: {failure.message}"
            )
        if health.batch_since is not None and now - health.batch_since > _STUCK_SECONDS:
            reasons.append(f"one batch has been worked on for {now - health.batch_since:.0f} s")
        return reasons

    async def _ask_store(self, now: float) -> str | None:
        if self._store_asked is None or now - self._store_asked > _PROBE_KEPT_SECONDS:
            self._store_asked = now
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self._index.revisions([_PROBE_KEY])
            except TimeoutError:
                self._store_reason = f"the vector store did not answer in {_PROBE_SECONDS:.0f} s"
            except FerrofluxError as error:
                self._store_reason = f"{error.code}: {error}"
            else:
                self._store_reason = None
        return self._store_reason


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last batch failed, when it did (monotonic seconds) and how long the consumer rests because of it."""

    code: str
    message: str
    at: float
    resting_s: float


@dataclass(slots=True)
class ConsumerHealth:
    """Written by the consumer, read by readiness, on one event loop."""

    assignment: frozenset[TopicPartition] = field(default_factory=frozenset)
    joined: bool = False
    """Whether the group has given an assignment, be it an empty one, since start or since the last revocation."""
    batch_since: float | None = None
    """Monotonic time since when a batch is being worked on; None between batches."""
    last_batch: float | None = None
    """Monotonic time when a batch last ended well."""
    failures: int = 0
    """Batches that failed in a row."""
    failure: Failure | None = None
    set_apart: Counter[str] = field(default_factory=Counter)
    """Since the start, by stage: products that were set apart, and records whose parse showed a defect of ours."""

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """The group gave these partitions; whatever rested before belongs to an earlier assignment."""
        self.assignment = partitions
        self.joined = True

    def revoked(self) -> None:
        """The group is about to give the partitions anew."""
        self.assignment = frozenset()
        self.joined = False

    def batch_began(self, now: float) -> None:
        """A batch is being worked on."""
        self.batch_since = now

    def batch_ended(self, now: float) -> None:
        """The batch is done and committed, or belongs to another indexer."""
        self.batch_since = None
        self.last_batch = now
        self.failures = 0
        self.failure = None

    def batch_failed(self, now: float, code: str, message: str, *, resting_s: float) -> None:
        """The batch will be read again."""
        self.batch_since = None
        self.failures += 1
        self.failure = Failure(code, message, now, resting_s)

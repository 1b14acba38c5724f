"""The one loop by which products are brought to a state: read, plan, encode, write under guard, publish, until no write is refused.

Live changes, replays, the backfill of a generation and the join of two spellings differ in how they plan a product, and in
nothing else. The vector store is written first (it holds the merged state, so a change that comes again is recognised),
then the documents topic.

A batch is worked in two lanes: plans that need no inference are written and published at once, in slices of which a few
are under way side by side, and those that do need it follow in chunks, texts of like length together, each chunk's
encoding running beside the chunks before it being written. A product is in one slice or chunk of a round, so what runs
side by side never concerns the same product.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from indexer.batch.batch import (
    ATTEMPTS,
    ENCODE,
    PERMANENT,
    PLAN,
    READ,
    WRITE,
    Batch,
    BatchReport,
    Stages,
    until_settled,
)
from indexer.batch.embedding import Embedding, VectorReuse
from indexer.batch.plan import Plan
from indexer.batch.publishing import FencedPublisher
from indexer.batch.task_group import BoundedTaskGroup
from indexer.ports import Lease, Target, Timing
from retrieval.vectors.port import PointPayload
from runtime.isolation import concerns_one
from runtime.retry import BackoffPolicy
from schemas.identity import SkuKey

Planner = Callable[[SkuKey, PointPayload | None], Plan | None]
"""Plans one product against its stored point; None where nothing is to be done. It is asked again where a write was refused."""

_ENCODED_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Bounds of one batch.

    `slice_products` are read, planned, written and published together, and `slices_in_flight` of them are on their way
    through the stores at a time. `embed_chunk` texts are encoded together; `plan_slice` products are planned before the
    event loop gets its turn (heartbeats live there). A refused write is tried again up to `contention_attempts` times, after a pause drawn
    uniformly from 0 to `contention_pause_s` times 2 to the power of the attempt (full jitter).
    """

    slice_products: int = 128
    slices_in_flight: int = 3
    embed_chunk: int = 32
    plan_slice: int = 128
    contention_attempts: int = ATTEMPTS
    contention_pause_s: float = 0.01
    max_record_bytes: int = 4_194_304


class Settler:
    """Brings products to what a planner says, in one target. Several may work on it, in any number of processes."""

    def __init__(
        self, target: Target, embedding: Embedding, timing: Timing, limits: PipelineLimits | None = None
    ) -> None:
        self.target = target
        self.embedding = embedding
        self.timing = timing
        self.limits = limits or PipelineLimits()
        self.stages = Stages()
        self._documents = FencedPublisher(target, timing.clock)
        self._backoff = BackoffPolicy(base_s=self.limits.contention_pause_s, cap_s=math.inf)

    def reusing(self, reuse: VectorReuse) -> Settler:
        """One on the same target that takes vectors from elsewhere, too."""
        return Settler(self.target, replace(self.embedding, reuse=reuse), self.timing, self.limits)

    async def pause(self, attempt: int) -> None:
        """Rest before the next attempt (full jitter)."""
        await self.timing.sleep(self._backoff.delay(attempt, self.timing.rng))

    async def settle(self, keys: Sequence[SkuKey], planner: Planner, batch: Batch) -> None:
        """Read, plan, write and publish until no guarded write is refused; the batch's report then names what was set apart.

        Raises:
            RetryableError: a dependency failed, or others kept writing; doing it again is safe.
            LeaseLostError: the batch's partitions were taken away.
            DefectError: too many products showed a defect of ours.
        """

        async def attempt(pending: Collection[SkuKey]) -> Collection[SkuKey]:
            refused = await self._round([key for key in keys if key in pending], planner, batch)
            batch.report.contended += len(refused)
            return refused

        await until_settled(frozenset(keys), attempt, attempts=self.limits.contention_attempts, pause=self.pause)
        batch.report.apart |= batch.faults

    async def republish(self, keys: Sequence[SkuKey], lease: Lease = PERMANENT) -> BatchReport:
        """Publish the documents of products as the vector store holds them; products that it does not hold are left out.

        One that cannot be published stops no other: the report's `apart` names it.

        Raises:
            RetryableError: a dependency failed; publishing them again is safe.
            DefectError: too many products showed a defect of ours.
        """
        started = self.timing.clock.monotonic()
        once = list(dict.fromkeys(keys))
        batch = Batch(self.stages, len(once), lease=lease)
        with self.stages.of_a_try():
            await self._documents.republish(once, batch)
        batch.report.total_seconds = self.timing.clock.monotonic() - started
        return batch.report

    async def _round(self, keys: Sequence[SkuKey], planner: Planner, batch: Batch) -> frozenset[SkuKey]:
        """Read, plan, write and publish every product once; returns the keys whose guarded writes were refused."""
        size, clock = self.limits.slice_products, self.timing.clock
        heavy: list[Plan] = []
        async with BoundedTaskGroup(self.limits.slices_in_flight) as commits:
            for start in range(0, len(keys), size):
                read_at = clock.monotonic()
                stored = dict(await batch.together(READ, keys[start : start + size], _itself, self._read))
                batch.report.read_seconds += clock.monotonic() - read_at
                planned = await self._plan(stored, planner, batch)
                light = [plan for plan in planned if not plan.inputs]
                heavy += [plan for plan in planned if plan.inputs]
                if light:
                    await commits.begin(partial(self._commit, light, read_at, batch))
            await self._encode_and_commit(heavy, commits, batch)
        return commits.refused

    async def _read(self, keys: Sequence[SkuKey]) -> list[tuple[SkuKey, PointPayload | None]]:
        held = await self.target.index.read(keys)
        return [(key, held.get(key)) for key in keys]

    async def _plan(self, stored: Mapping[SkuKey, PointPayload | None], planner: Planner, batch: Batch) -> list[Plan]:
        planned: list[Plan] = []
        for number, (key, point) in enumerate(stored.items(), start=1):
            with batch.one(PLAN, key):
                plan = planner(key, point)
                if plan is not None:
                    planned.append(plan)
            if number % self.limits.plan_slice == 0:
                await asyncio.sleep(0)
        return planned

    async def _encode_and_commit(self, heavy: Sequence[Plan], commits: BoundedTaskGroup, batch: Batch) -> None:
        """The lane with inference: chunks are encoded ahead of those that are being written.

        Two are handed over at a time, so that the encoder goes on with the next one before this loop has heard of the last.
        """
        size = self.limits.embed_chunk
        by_length = heavy if len(heavy) <= size else await self._by_length(heavy)
        chunks = [by_length[start : start + size] for start in range(0, len(by_length), size)]
        ahead = deque(self._start_encoding(chunk, batch) for chunk in chunks[:_ENCODED_AHEAD])
        try:
            for number in range(_ENCODED_AHEAD, len(chunks) + _ENCODED_AHEAD):
                ready = await ahead[0]
                ahead.popleft()
                if number < len(chunks):
                    ahead.append(self._start_encoding(chunks[number], batch))
                if ready:
                    await commits.begin(partial(self._commit, ready, self.timing.clock.monotonic(), batch))
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _by_length(self, heavy: Sequence[Plan]) -> list[Plan]:
        """Texts of like length beside one another: a chunk is padded to its longest, and characters say little of tokens."""
        texts = [next(iter(plan.inputs.values())) for plan in heavy]
        try:
            lengths = list(await self.embedding.encoder.lengths(texts))
        except Exception as error:
            if not concerns_one(error):
                raise
            # The encoder will show which text it was; for the order, characters do.
            lengths = [len(text) for text in texts]
        return [heavy[row] for row in sorted(range(len(heavy)), key=lengths.__getitem__)]

    def _start_encoding(self, chunk: Sequence[Plan], batch: Batch) -> asyncio.Task[list[Plan]]:
        clock = self.timing.clock
        asked = clock.monotonic()

        async def encode() -> list[Plan]:
            ready = await batch.together(ENCODE, chunk, _key, self.embedding.embed)
            batch.report.encoded(since=asked, until=clock.monotonic())
            return ready

        return asyncio.create_task(encode())

    async def _commit(self, planned: Sequence[Plan], read_at: float, batch: Batch) -> frozenset[SkuKey]:
        """One guarded write and one fenced publication; returns the keys that the guard refused."""
        clock, report = self.timing.clock, batch.report
        writing = [plan for plan in planned if plan.write is not None]
        # What is only published again was true when it was read; what is written is true from the write on.
        written_at = read_at if len(writing) < len(planned) else clock.monotonic()
        accepted = list(planned)
        refused: set[SkuKey] = set()
        if writing:
            batch.lease.check()
            started = clock.monotonic()
            tried = await batch.together(WRITE, writing, _key, partial(self._write, refused=refused))
            report.write_seconds += clock.monotonic() - started
            held_back = refused | ({plan.key for plan in writing} - {plan.key for plan in tried})
            accepted = [plan for plan in planned if plan.key not in held_back]
        started = clock.monotonic()
        documents = [plan.document for plan in accepted if plan.document is not None]
        await self._documents.publish(documents, batch, written_at=written_at)
        report.publish_seconds += clock.monotonic() - started
        for plan in accepted:
            report.count(plan)
        return frozenset(refused)

    async def _write(self, planned: Sequence[Plan], refused: set[SkuKey]) -> Sequence[Plan]:
        """The guarded write; keys that its guard refused are noted in `refused`."""
        refused |= await self.target.index.write([plan.write for plan in planned if plan.write is not None])
        return planned


def _itself(key: SkuKey) -> SkuKey:
    return key


def _key(plan: Plan) -> SkuKey:
    return plan.key

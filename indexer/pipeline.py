"""One batch through the indexer: parse, fold, read, merge, plan, encode, write under guard, publish fenced, bury the bad.

The order of effects is what makes every crash harmless: the vector store first (it holds the merged state, so a
redelivered event is recognised), then the documents topic, then the dead letters, and only then may the caller commit.
A batch is worked in two lanes: changes that need no inference are written and published at once, in slices of which a
few are under way side by side, and those that do need it follow in chunks, texts of like length together, each chunk's
encoding running beside the chunks before it being written. A product is in one slice or chunk of a round, so what runs
side by side never concerns the same product.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from indexer.batch.apart import ENCODE, PLAN, READ, WRITE, Apart, Stages
from indexer.batch.plan import Arrival, Stale, fold, merge, plan
from indexer.batch.planned import PlannedWork, count_events
from indexer.batch.publishing import FencedPublisher
from indexer.batch.report import BatchReport
from indexer.batch.side_by_side import SideBySide
from indexer.batch.triage import dead_letter, triage
from indexer.generations.takeover import VectorDonor, with_vectors
from indexer.ports import DeadLetterSink, DocumentComposer, DocumentPublisher, Lease, PassageEncoder
from indexer.records import DeadLetter, InboundRecord
from retrieval.encoders.sharing import Urgency, on_behalf_of, urgency
from retrieval.vectors.port import PointPayload, VectorIndex
from runtime.clock import Clock, Sleep
from runtime.isolation import UNEXPECTED, concerns_one
from schemas.errors import ContentionError, RetryableError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)


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
    contention_attempts: int = 6
    contention_pause_s: float = 0.01
    max_record_bytes: int = 4_194_304


class PermanentLease:
    """A lease that nobody takes away: for replays, reconciliation and tests, which own no partitions."""

    def check(self) -> None:
        """Return at once."""


_PERMANENT = PermanentLease()
_ENCODED_AHEAD: Final = 2


class Pipeline:
    """Takes batches of records into the indexes. Several may work on the same stores, in any number of processes."""

    def __init__(
        self,
        *,
        parser: EventParser,
        index: VectorIndex,
        publisher: DocumentPublisher,
        dead_letters: DeadLetterSink,
        encoder: PassageEncoder,
        compose: DocumentComposer,
        clock: Clock,
        rng: random.Random,
        sleep: Sleep = asyncio.sleep,
        limits: PipelineLimits | None = None,
        donor: VectorDonor | None = None,
        bulk_topic: str = "",
    ) -> None:
        """Put the parts together.

        `donor` gives vectors that another collection holds already, so that they are not computed again; changes of
        `bulk_topic` do not count as samples of freshness.
        """
        self._parser = parser
        self._index = index
        self._dead_letters = dead_letters
        self._encoder = encoder
        self._donor = donor
        self._compose = compose
        self._clock = clock
        self._rng = rng
        self._sleep = sleep
        self._limits = limits or PipelineLimits()
        self._bulk_topic = bulk_topic
        self._stages = Stages()
        self._documents = FencedPublisher(index, publisher, compose=compose, clock=clock)

    async def process(self, records: Sequence[InboundRecord], lease: Lease = _PERMANENT) -> BatchReport:
        """Take one batch in. When it returns, every record is in both indexes' logs or in the dead letters.

        Raises:
            RetryableError: a dependency failed; processing the same records again is safe and completes them.
            LeaseLostError: the batch's partitions were taken away; their new owner gets the records again.
            DefectError: too many records or products showed a defect of ours; nothing may be committed.
        """
        started = self._clock.monotonic()
        with self._stages_of_a_try(), on_behalf_of(self._urgency(records)):
            first_look = triage(
                records,
                self._parser,
                max_record_bytes=self._limits.max_record_bytes,
                isolation=self._stages.parse,
                now_us=self._clock.now_us(),
                bulk_topic=self._bulk_topic,
            )
            report = BatchReport(records=len(records), ignored=first_look.ignored)
            report.defects = sum(letter.reason == UNEXPECTED for letter in first_look.letters)
            letters = await self._settle(fold(first_look.arrivals), report, lease, publish_stale=True)
            await self._bury([*first_look.letters, *letters], report, lease)
        if report.conflicts:
            log.warning(
                "changes of one version differ: which of them stands is arbitrary; let the source send versions that grow",
                changes=report.conflicts,
                first=report.twins,
            )
        report.total_seconds = self._clock.monotonic() - started
        return report

    async def apply(self, arrivals: Sequence[Arrival], lease: Lease = _PERMANENT) -> BatchReport:
        """Take parsed changes in, whatever log they came from: the entrance for replays and rebuilds.

        Unlike in `process`, a product of which only older changes come is not published again: they were taken in
        long ago, and a replay of the whole log would otherwise publish the whole catalogue.

        Raises:
            RetryableError: a dependency failed; applying the same changes again is safe and completes them.
            DefectError: too many products showed a defect of ours.
        """
        started = self._clock.monotonic()
        report = BatchReport(records=len(arrivals))
        old = (Arrival(arrival.event, arrival.record, backfill=True) for arrival in arrivals)
        with self._stages_of_a_try(), on_behalf_of(Urgency.BULK):
            letters = await self._settle(fold(old), report, lease, publish_stale=False)
            await self._bury(letters, report, lease)
        report.total_seconds = self._clock.monotonic() - started
        return report

    async def republish(self, keys: Sequence[SkuKey], lease: Lease = _PERMANENT) -> BatchReport:
        """Publish the documents of products as the vector store holds them; products that it does not hold are left out.

        One that cannot be published stops no other: the report's `apart` names it.

        Raises:
            RetryableError: a dependency failed; publishing them again is safe.
            DefectError: too many products showed a defect of ours.
        """
        started = self._clock.monotonic()
        report = BatchReport()
        once = list(dict.fromkeys(keys))
        apart = Apart(self._stages, len(once))
        with self._stages_of_a_try():
            documents = await self._documents.stored_documents(once, apart)
            await self._documents.publish(documents, written_at=started, lease=lease, report=report, apart=apart)
        report.apart |= apart.faults
        report.republished = sum(document.key not in report.apart for document in documents)
        report.total_seconds = self._clock.monotonic() - started
        return report

    def _urgency(self, records: Sequence[InboundRecord]) -> Urgency:
        """A load's records are urgent for nobody; others are as urgent as whoever calls has them."""
        return Urgency.BULK if all(record.topic == self._bulk_topic for record in records) else urgency.get()

    @contextmanager
    def _stages_of_a_try(self) -> Iterator[None]:
        """A batch that comes again shows the same products: they are not in a row with themselves."""
        try:
            yield
        except RetryableError:
            self._stages.again()
            raise

    async def _settle(
        self, groups: Mapping[SkuKey, list[Arrival]], report: BatchReport, lease: Lease, *, publish_stale: bool
    ) -> list[DeadLetter]:
        """Merge and write until no guarded write is refused; returns the records of the products that were set apart."""
        work = _Work(groups, report, lease, Apart(self._stages, len(groups)), publish_stale=publish_stale)
        pending = frozenset(groups)
        for attempt in range(self._limits.contention_attempts):
            if not pending:
                break
            if attempt:
                await self._sleep(self._rng.uniform(0, self._limits.contention_pause_s * 2**attempt))
            pending = await self._round([key for key in groups if key in pending], work)
            report.contended += len(pending)
        if pending:
            raise ContentionError(
                f"{len(pending)} products were changed by others in all of {self._limits.contention_attempts} attempts"
            )
        report.apart |= work.apart.faults
        return [
            dead_letter(arrival.record, fault.reason, key, stage=fault.stage)
            for key, fault in work.apart.faults.items()
            for arrival in groups[key]
        ]

    async def _round(self, keys: Sequence[SkuKey], work: _Work) -> frozenset[SkuKey]:
        """Read, plan, write and publish every product once; returns the keys whose guarded writes were refused."""
        size = self._limits.slice_products
        heavy: list[PlannedWork] = []
        async with SideBySide(self._limits.slices_in_flight) as commits:
            for start in range(0, len(keys), size):
                read_at = self._clock.monotonic()
                stored = dict(await work.apart.together(READ, keys[start : start + size], _itself, self._read))
                work.report.read_seconds += self._clock.monotonic() - read_at
                planned = await self._plan(stored, work)
                light = [one for one in planned if one.text is None]
                heavy += [one for one in planned if one.text is not None]
                if light:
                    await commits.begin(partial(self._commit, light, read_at, work))
            await self._encode_and_commit(heavy, commits, work)
        return commits.refused

    async def _read(self, keys: Sequence[SkuKey]) -> list[tuple[SkuKey, PointPayload | None]]:
        held = await self._index.read(keys)
        return [(key, held.get(key)) for key in keys]

    async def _plan(self, stored: Mapping[SkuKey, PointPayload | None], work: _Work) -> list[PlannedWork]:
        planned: list[PlannedWork] = []
        for number, (key, point) in enumerate(stored.items(), start=1):
            with work.apart.one(PLAN, key):
                arrivals = work.groups[key]
                merged = merge(point, arrivals)
                decision = plan(
                    key,
                    point,
                    merged,
                    arrivals,
                    compose=self._compose,
                    model=self._encoder.model,
                    first_rev=self._clock.now_us(),
                )
                if isinstance(decision, Stale) and not work.publish_stale:
                    count_events(merged, work.report)
                else:
                    planned.append(PlannedWork(key, decision, merged))
            if number % self._limits.plan_slice == 0:
                await asyncio.sleep(0)
        return planned

    async def _encode_and_commit(self, heavy: Sequence[PlannedWork], commits: SideBySide, work: _Work) -> None:
        """The lane with inference: chunks are encoded ahead of those that are being written.

        Two are handed over at a time, so that the encoder goes on with the next one before this loop has heard of the last.
        """
        size = self._limits.embed_chunk
        by_length = heavy if len(heavy) <= size else await self._by_length(heavy)
        chunks = [by_length[start : start + size] for start in range(0, len(by_length), size)]
        ahead = deque(self._start_encoding(chunk, work) for chunk in chunks[:_ENCODED_AHEAD])
        try:
            for number in range(_ENCODED_AHEAD, len(chunks) + _ENCODED_AHEAD):
                ready = await ahead[0]
                ahead.popleft()
                if number < len(chunks):
                    ahead.append(self._start_encoding(chunks[number], work))
                if ready:
                    await commits.begin(partial(self._commit, ready, self._clock.monotonic(), work))
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _by_length(self, heavy: Sequence[PlannedWork]) -> list[PlannedWork]:
        """Texts of like length beside one another: a chunk is padded to its longest, and characters say little of tokens."""
        texts = [one.text or "" for one in heavy]
        try:
            lengths = list(await self._encoder.lengths(texts))
        except Exception as error:
            if not concerns_one(error):
                raise
            # The encoder will show which text it was; for the order, characters do.
            lengths = [len(text) for text in texts]
        return [heavy[row] for row in sorted(range(len(heavy)), key=lengths.__getitem__)]

    def _start_encoding(self, chunk: Sequence[PlannedWork], work: _Work) -> asyncio.Task[list[PlannedWork]]:
        asked = self._clock.monotonic()

        async def encode() -> list[PlannedWork]:
            encoding = partial(with_vectors, encoder=self._encoder, donor=self._donor)
            ready = await work.apart.together(ENCODE, chunk, _key, encoding)
            work.report.encoded(since=asked, until=self._clock.monotonic())
            return ready

        return asyncio.create_task(encode())

    async def _commit(self, planned: Sequence[PlannedWork], read_at: float, work: _Work) -> frozenset[SkuKey]:
        """One guarded write and one fenced publication; returns the keys that the guard refused."""
        report = work.report
        writing = [one for one in planned if one.write is not None]
        # What is only published again was true when it was read; what is written is true from the write on.
        written_at = read_at if len(writing) < len(planned) else self._clock.monotonic()
        accepted = list(planned)
        refused: set[SkuKey] = set()
        if writing:
            work.lease.check()
            started = self._clock.monotonic()
            tried = await work.apart.together(WRITE, writing, _key, partial(self._write, refused=refused))
            report.write_seconds += self._clock.monotonic() - started
            held_back = refused | ({one.key for one in writing} - {one.key for one in tried})
            accepted = [one for one in planned if one.key not in held_back]
        started = self._clock.monotonic()
        await self._documents.publish(
            [one.document for one in accepted if one.document is not None],
            written_at=written_at,
            lease=work.lease,
            report=report,
            apart=work.apart,
        )
        report.publish_seconds += self._clock.monotonic() - started
        for one in accepted:
            one.count(report)
        return frozenset(refused)

    async def _write(self, planned: Sequence[PlannedWork], refused: set[SkuKey]) -> Sequence[PlannedWork]:
        """The guarded write; keys that its guard refused are noted in `refused`."""
        refused |= await self._index.write([one.write for one in planned if one.write is not None])
        return planned

    async def _bury(self, letters: Sequence[DeadLetter], report: BatchReport, lease: Lease) -> None:
        if not letters:
            return
        # One record can concern several products; it is buried once.
        once = list({letter.record.coordinates: letter for letter in letters}.values())
        lease.check()
        await self._dead_letters.send(once)
        report.dead_letters.update(letter.reason for letter in once)


@dataclass(frozen=True, slots=True)
class _Work:
    """One batch on its way: its arrivals by product, what it counts, its lease, and what it sets apart."""

    groups: Mapping[SkuKey, list[Arrival]]
    report: BatchReport
    lease: Lease
    apart: Apart
    publish_stale: bool


def _itself(key: SkuKey) -> SkuKey:
    return key


def _key(work: PlannedWork) -> SkuKey:
    return work.key

"""Change events into the indexes: parse, fold, settle, and send what is bad to the dead letters.

The order of effects is what makes every crash harmless: the vector store and the documents topic first (`batch.settling`),
then the dead letters, and only then may the caller commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from indexer.batch.batch import PERMANENT, Batch, BatchReport
from indexer.batch.embedding import Embedding
from indexer.batch.plan import Action, Arrival, Plan, fold, merge, plan
from indexer.batch.settling import PipelineLimits, Planner, Settler
from indexer.batch.triage import dead_letter, triage
from indexer.ports import DeadLetterSink, Lease, Target, Timing
from indexer.records import DeadLetter, InboundRecord
from retrieval.encoders.sharing import Urgency, on_behalf_of, urgency
from retrieval.vectors.port import PointPayload
from runtime.isolation import UNEXPECTED
from schemas.events.parser import EventParser
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Intake:
    """How records are read, and where those go that cannot be; changes of `bulk_topic` are no samples of freshness."""

    parser: EventParser
    dead_letters: DeadLetterSink
    bulk_topic: str = ""


class Pipeline:
    """Takes batches of records into the indexes. Several may work on the same stores, in any number of processes."""

    def __init__(
        self,
        target: Target,
        embedding: Embedding,
        timing: Timing,
        intake: Intake,
        limits: PipelineLimits | None = None,
    ) -> None:
        self._intake = intake
        self._clock = timing.clock
        self._settler = Settler(target, embedding, timing, limits)
        self.republish = self._settler.republish

    async def process(self, records: Sequence[InboundRecord], lease: Lease = PERMANENT) -> BatchReport:
        """Take one batch in. When it returns, every record is in both indexes' logs or in the dead letters.

        Raises:
            RetryableError: a dependency failed; processing the same records again is safe and completes them.
            LeaseLostError: the batch's partitions were taken away; their new owner gets the records again.
            DefectError: too many records or products showed a defect of ours; nothing may be committed.
        """
        started = self._clock.monotonic()
        with self._settler.stages.of_a_try(), on_behalf_of(self._urgency(records)):
            first_look = triage(
                records,
                self._intake.parser,
                max_record_bytes=self._settler.limits.max_record_bytes,
                isolation=self._settler.stages.parse,
                now_us=self._clock.now_us(),
                bulk_topic=self._intake.bulk_topic,
            )
            report = BatchReport(records=len(records), ignored=first_look.ignored)
            report.defects = sum(letter.reason == UNEXPECTED for letter in first_look.letters)
            await self._take_in(first_look.arrivals, report, lease, letters=first_look.letters, publish_stale=True)
        if report.conflicts:
            log.warning(
                "changes of one version differ: which of them stands is arbitrary; let the source send versions that grow",
                changes=report.conflicts,
                first=report.twins,
            )
        report.total_seconds = self._clock.monotonic() - started
        return report

    async def apply(self, arrivals: Sequence[Arrival], lease: Lease = PERMANENT) -> BatchReport:
        """Take parsed changes in, whatever log they came from: the entrance for replays and rebuilds.

        Unlike in `process`, a product of which only older changes come is not published again: they were taken in
        long ago, and a replay of the whole log would otherwise publish the whole catalogue.

        Raises:
            RetryableError: a dependency failed; applying the same changes again is safe and completes them.
            DefectError: too many products showed a defect of ours.
        """
        started = self._clock.monotonic()
        report = BatchReport(records=len(arrivals))
        old = [Arrival(arrival.event, arrival.record, backfill=True) for arrival in arrivals]
        with self._settler.stages.of_a_try(), on_behalf_of(Urgency.BULK):
            await self._take_in(old, report, lease, letters=(), publish_stale=False)
        report.total_seconds = self._clock.monotonic() - started
        return report

    def _urgency(self, records: Sequence[InboundRecord]) -> Urgency:
        """A load's records are urgent for nobody; others are as urgent as whoever calls has them."""
        return Urgency.BULK if all(record.topic == self._intake.bulk_topic for record in records) else urgency.get()

    async def _take_in(
        self,
        arrivals: Sequence[Arrival],
        report: BatchReport,
        lease: Lease,
        *,
        letters: Sequence[DeadLetter],
        publish_stale: bool,
    ) -> None:
        """Settle the changes, then send `letters` and the records of the products that were set apart to the dead letters."""
        groups = fold(arrivals)
        batch = Batch(self._settler.stages, len(groups), lease=lease, report=report)
        await self._settler.settle(list(groups), self._planner(groups, report, publish_stale=publish_stale), batch)
        apart = [
            dead_letter(arrival.record, fault.reason, key, stage=fault.stage)
            for key, fault in batch.faults.items()
            for arrival in groups[key]
        ]
        # One record can concern several products; it is sent once.
        once = list({letter.record.coordinates: letter for letter in (*letters, *apart)}.values())
        if once:
            lease.check()
            await self._intake.dead_letters.send(once)
            report.dead_letters.update(letter.reason for letter in once)

    def _planner(
        self, groups: Mapping[SkuKey, Sequence[Arrival]], report: BatchReport, *, publish_stale: bool
    ) -> Planner:
        settler = self._settler

        def planned(key: SkuKey, point: PointPayload | None) -> Plan | None:
            arrivals = groups[key]
            merged = merge(point, arrivals)
            found = plan(
                key,
                point,
                merged,
                arrivals,
                compose=settler.target.compose,
                spaces=settler.embedding.encoder.spaces,
                first_rev=self._clock.now_us(),
            )
            if found.action is Action.STALE and not publish_stale:
                report.count_events(merged)
                return None
            return found

        return planned

"""The tailer: one loop from the documents log into the text index.

Data and offsets are committed together by the writer, so there is nothing to acknowledge and nothing to lose: after any
stop the loop begins where the index says. It commits as soon as a poll returned something; while a commit runs (and a breath
longer), the consumer fetches on, so a burst makes larger commits and never a queue that grows.

    log ──poll (≤ batch_records)──▶ decode, fold ──▶ writer.apply(documents, checkpoint)   one thread, off the loop
     ▲                                                        │
     └── opened again after a pause, from the checkpoint      └──▶ report, metrics, dead letters

One record or document that fails stops no other: it is set apart in the commit, and told in the dead letters.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from query_api.replica.tailing.decode import Decoded, decode, place_of
from query_api.replica.tailing.letters import LetterBox, LetterDispatch
from query_api.replica.tailing.log import DocumentLog, Polled
from query_api.replica.tailing.metrics import ReplicaMetrics
from query_api.replica.tailing.progress import Progress, plan_start
from query_api.replica.tailing.report import HEARTBEAT_US, Report
from retrieval.serving.replica_status import FreshnessSample
from retrieval.text.apart.values import LogNotes, Place
from retrieval.text.port import Applied, TextIndexWriter
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.event_loop import freeze_heap
from runtime.isolation import DefectError, Isolation
from runtime.kafka.topic_identity import is_same_log
from runtime.retry import Backoff
from schemas.documents import DocumentTimes, SearchDocument
from schemas.errors import FerrofluxError, RetryableError

log = structlog.get_logger(__name__)


_BREATH_S: Final = 0.015
"""Rest after a commit. Measured at 200 changes a second over 20,000 products: the median hardly moves, a third of the
processor time is saved and the tail is shorter, since a commit costs about the same for one document and for five."""


_AGAIN_AT_ONCE: Final = 500
"""Documents that are analysed again in one commit."""


async def breathe() -> None:
    """Let documents gather before the next commit; a change that comes after a pause of its own is not held up."""
    await asyncio.sleep(_BREATH_S)


class ReplicaTailer:
    """Follows one documents log into one text index. `run` is the whole life, once; `request_stop` ends it in order.

    The writer stays its owner's: it is not closed here, and not used any more once `run` has returned.
    `report_to` is the folder of the report for the API workers; None writes none. `letters` takes the dead letters of
    what is set apart; without it they stay unsent, and the report says how many.
    """

    def __init__(
        self,
        writer: TextIndexWriter,
        open_log: Callable[[], DocumentLog],
        *,
        topic: str,
        report_to: Path | None,
        backoff: Backoff,
        letters: LetterBox | None = None,
        metrics: ReplicaMetrics | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rest: Callable[[], Awaitable[None]] = breathe,
    ) -> None:
        self._writer = writer
        self._open_log = open_log
        self._report_to = report_to
        self._backoff = backoff
        self._clock = clock
        self._rest = rest
        self._stopping = asyncio.Event()
        # One thread: commits follow each other in order, and none runs any more once the pool is shut down.
        self._index_thread = ThreadPoolExecutor(1, thread_name_prefix="replica-index")
        self._waiting_for: str | None = "the log's first answer"
        self._reading = Isolation("read documents")
        self._letters = LetterDispatch(letters, topic=topic, clock=clock, backoff=Backoff(backoff.policy, backoff.rng))
        self.metrics = metrics or ReplicaMetrics()
        self.report = Report(topic, os.getpid(), clock.now_us())

    @property
    def not_ready(self) -> str | None:
        """What the replica waits for; None when it is whole and follows the log."""
        if self._waiting_for is not None:
            return self._waiting_for
        return None if self.report.caught_up else f"catching up: {sum(p.lag for p in self.report.partitions)} records"

    @property
    def degraded(self) -> dict[str, str]:
        """What is not as it should be although the replica answers, by part, as a sentence."""
        return self.report.status(self._clock.now_us()).degraded

    def request_stop(self) -> None:
        """Ask `run` to return; from the loop's own thread."""
        self._stopping.set()

    async def run(self) -> None:
        """Follow the log until a stop is asked for. A log that is away is waited for; any other failure is raised."""
        freeze_heap()
        try:
            await self._try_again()
            while not self._stopping.is_set():
                try:
                    await self._follow()
                except RetryableError as error:
                    await self._wait_after(error)
        except Exception as error:
            self.report.ended = _ending(error)
            raise
        finally:
            await self._letters.close()
            if self.report.ended and self._report_to is not None:
                # The workers beside us go on with the last commit, and say so.
                with suppress(OSError):
                    self.report.write(self._report_to, self._clock.now_us())
            await asyncio.to_thread(self._index_thread.shutdown)

    async def _try_again(self) -> None:
        """Analyse once more what an earlier version could not: after a fix it is whole, and nobody has to ask for it."""
        open_now = self._writer.set_apart().counts
        if not open_now:
            return

        def analyse_again() -> tuple[int, int]:
            checkpoint = self._writer.checkpoint()
            held = self._writer.to_try_again(sum(open_now.values()))
            for start in range(0, len(held), _AGAIN_AT_ONCE):
                assert checkpoint is not None, "what is held was committed with one"
                notes = LogNotes(now_us=self._clock.now_us(), again=True)
                self._writer.apply(held[start : start + _AGAIN_AT_ONCE], checkpoint, notes=notes)
            return len(held), len(self._writer.to_try_again(len(held)))

        tried, left = await asyncio.get_running_loop().run_in_executor(self._index_thread, analyse_again)
        if tried:
            log.info("what was set apart is tried again", tried=tried, mended=tried - left)
        self._note_set_apart()

    async def _follow(self) -> None:
        document_log = self._open_log()
        try:
            view = await document_log.open()
            plan = plan_start(self._writer.checkpoint(), view)
            progress = Progress(view, plan.positions, log_id=plan.log_id)
            document_log.follow(progress.positions)
            await self._adopt(progress)
            self._backoff.reset()
            self._waiting_for = None
            self.metrics.following(len(plan.rewound))
            log.info(
                "replica follows the log",
                log_id=view.log_id,
                new_log=plan.new_log,
                rewound=sorted(plan.rewound),
                behind=sum(progress.lag.values()),
            )
            await self._note(progress)
            while not self._stopping.is_set():
                polled = await document_log.poll()
                progress.advance(polled.positions, polled.ends)
                if polled.records:
                    await self._apply(polled, progress)
                await self._tell()
                await self._note(progress)
                if polled.records and self.report.caught_up:
                    await self._rest()
                added = document_log.partitions() - progress.positions.keys()
                if added:
                    progress.add(frozenset(added))
                    document_log.follow(progress.positions)
                    log.info("partitions were added", partitions=sorted(added))
        finally:
            await document_log.close()

    async def _adopt(self, progress: Progress) -> None:
        """Commit the topic's id where a checkpoint of this very log lacks it: the next start can then tell it from another."""
        checkpoint = self._writer.checkpoint()
        if (
            checkpoint is not None
            and checkpoint.log_id != progress.log_id
            and is_same_log(checkpoint.log_id, progress.log_id)
        ):
            adopt = partial(self._writer.apply, (), progress.checkpoint())
            await asyncio.get_running_loop().run_in_executor(self._index_thread, adopt)

    async def _apply(self, polled: Polled, progress: Progress) -> None:
        checkpoint = progress.checkpoint()

        def decode_and_commit() -> tuple[Decoded, Applied]:
            now_us = self._clock.now_us()
            decoded = decode(polled.records, isolation=self._reading, now_us=now_us)
            documents = [_stamped(document, now_us) for document in decoded.documents]
            notes = LogNotes(now_us, decoded.places, decoded.incomplete, decoded.malformed)
            return decoded, self._writer.apply(documents, checkpoint, removed=decoded.removed, notes=notes)

        began = time.perf_counter()
        decoded, applied = await asyncio.get_running_loop().run_in_executor(self._index_thread, decode_and_commit)
        seconds = time.perf_counter() - began
        now_us = self._clock.now_us()
        # What is read while catching up was changed long ago, so was what a bulk load or a replay brings, and what a repair
        # publishes again was not logged for it: their ages say nothing of how fresh a change arrives.
        timed = (document.times for document in decoded.documents)
        fresh = [times for times in timed if times.logged_us and not times.backfill]
        samples = [_sample(times, now_us) for times in fresh] if self.report.caught_up else []
        outcomes = {
            "written": applied.written,
            "outdated": applied.outdated,
            "removed": len(decoded.removed),
            "malformed": len(decoded.malformed),
        }
        self.report.committed(
            now_us,
            written=applied.written,
            outdated=applied.outdated,
            malformed=len(decoded.malformed),
            samples=samples,
        )
        self.metrics.committed(seconds=seconds, outcomes=outcomes, samples=samples)
        log.debug("batch committed", records=len(polled.records), seconds=round(seconds, 4), **outcomes)
        if applied.apart:
            self._letters.hold(applied.apart, {place_of(record): record for record in polled.records})
            log.warning(
                "set apart",
                count=len(applied.apart),
                record=str(applied.apart[0].place),
                reason=applied.apart[0].flaw.value,
                detail=applied.apart[0].sentence,
            )
        self.metrics.set_apart(applied.apart)

    async def _tell(self) -> None:
        """Send letters where some wait, and commit that they were sent."""
        told = self._letters.turn(self._writer.set_apart().ledger.untold)
        if told:
            await asyncio.get_running_loop().run_in_executor(self._index_thread, self._commit_told, told)
        self._note_set_apart()

    def _commit_told(self, told: tuple[Place, ...]) -> None:
        checkpoint = self._writer.checkpoint()
        assert checkpoint is not None, "what was told was committed with one"
        self._writer.apply((), checkpoint, notes=LogNotes(self._clock.now_us(), told=frozenset(told)))

    def _note_set_apart(self) -> None:
        set_apart = self._writer.set_apart()
        self.metrics.open(set_apart.counts)
        self.report.apart(set_apart, self._letters.trouble)

    async def _note(self, progress: Progress) -> None:
        self.report.progressed(progress)
        self.metrics.progressed(progress.lag, caught_up=self.report.caught_up)
        await self._write_report()

    async def _write_report(self) -> None:
        now_us = self._clock.now_us()
        if self._report_to is not None and self.report.due(now_us):
            await asyncio.get_running_loop().run_in_executor(
                self._index_thread, self.report.write, self._report_to, now_us
            )

    async def _wait_after(self, error: RetryableError) -> None:
        """Wait the backoff's time, reporting as always: the index is still served, and the workers see our heartbeat."""
        seconds = self._backoff.next()
        self._waiting_for = str(error)
        self.metrics.failed()
        log.warning("the log is away", error=str(error), code=error.code, again_in_s=round(seconds, 2))
        while not self._stopping.is_set() and seconds > 0:
            await self._write_report()
            pause = min(seconds, HEARTBEAT_US / 1e6)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            seconds -= pause


def _ending(error: Exception) -> str:
    """For the workers beside us, whose callers read no host or path; the log has the whole."""
    if isinstance(error, DefectError):
        return str(error)
    return (
        str(type(error)()) if isinstance(error, FerrofluxError) else f"{type(error).__name__}; the log has the details"
    )


def _stamped(document: SearchDocument, now_us: int) -> SearchDocument:
    return document.timed(document.times.model_copy(update={"visible_us": now_us}))


def _sample(times: DocumentTimes, committed_us: int) -> FreshnessSample:
    return FreshnessSample(times.changed_us, times.logged_us, times.indexed_us, committed_us)

"""One run of `ferroflux up`, put together from the production classes in the order of `EmbeddedSystem.start` and `stop`."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from ferroflux.embedded.broker import PARTITIONS
from ferroflux.embedded.intake.intake import ChangeIntake
from ferroflux.embedded.intake.progress import LogEnds, LogProgress, Stage, WatchedJournal, WatchedWriter
from ferroflux.embedded.publishing import PacedPublisher
from ferroflux.embedded.recovery import Found, reconcile, replay
from indexer.consuming.lanes import Lanes, SliceLength
from indexer.consuming.publish_lock import PublishLock
from indexer.consuming.runner import BatchRunner, JournalledLog, Observers
from indexer.journal import LogSlice, SqliteChangeJournal
from indexer.ports import Timing
from indexer.readiness import ConsumerHealth
from indexer.records import InboundRecord, LogId, TopicPartition, next_offsets
from retrieval.text.memory import MemoryTextReader
from runtime.kafka.log_writer import OutboundRecord
from runtime.retry import Backoff, BackoffPolicy
from schemas.errors import RetryableError
from schemas.topics import TopicNames
from tests.sim.cluster.indexer import BACKOFF, METRICS, SimTopics, build_pipeline
from tests.sim.cluster.replica import MortalWriter, build_tailer
from tests.sim.embedded.disk import Disk
from tests.sim.model.broker import BULK, CHANGES, DOCUMENTS, Broker
from tests.sim.model.store import SimIndex
from tests.sim.model.world import Process

T = TypeVar("T")

_DRAIN_S: Final = 5.0


class SystemRun:
    """The system from a start to whatever ends it. Its broker's topics end with it."""

    def __init__(self, process: Process, disk: Disk) -> None:
        world = process.world
        self.process = process
        self._disk = disk
        self._rng = random.Random(world.rng.getrandbits(32))
        self._broker = Broker(
            world, {CHANGES: PARTITIONS, BULK: PARTITIONS, DOCUMENTS: PARTITIONS, "dead letters": 1}, process.name
        )
        self._progress = LogProgress()
        self._positions = dict.fromkeys(self._broker.ends(CHANGES, BULK), 0)
        self._changes = _Ends(self._broker, CHANGES, BULK)
        self._documents = _Ends(self._broker, DOCUMENTS)
        self._reader = MemoryTextReader(disk.text)
        self._journal: SqliteChangeJournal
        self.intake: ChangeIntake | None = None
        """There once the system serves."""
        self.poison = ""
        """The title that this run's version cannot analyse."""

    def start(self) -> None:
        self.process.spawn(self._live())

    async def stop(self) -> bool:
        """A stop in order; whether everything that was taken is in both stores."""
        intake, self.intake = self.intake, None
        if intake is None:
            return False
        await intake.close()
        if not self.process.world.guards.drained:
            return True
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._changes.reached(self._progress, Stage.APPLIED)
                await self._documents.reached(self._progress, Stage.READABLE)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """The process is gone, and with it its hold of the journal."""
        if hasattr(self, "_journal"):
            self._journal._connection.close()

    async def _live(self) -> None:
        guards = self.process.world.guards
        self._journal = journal = _MortalJournal.of(self.process, self._disk)
        vectors = self._disk.vectors
        # Asked at once, as part of the journal's opening: a point of waiting more would make every seed another schedule.
        spoken_of = journal._collection_id() if guards.collection_compared else None
        found = Found(
            self._disk.previous,
            vectors_are_new=vectors.absent,
            vectors_are_others=spoken_of is not None and not vectors.absent and spoken_of != vectors.collection,
        )
        if found.watermarks_are_void and guards.void_watermarks:
            if guards.voided_durably:
                await journal.forget_applied()
            self._disk.made_up_for()
        await self.process.point()
        vectors.create()
        journal._note_collection(vectors.collection)
        writer = MortalWriter(self._disk.text, self.process)
        self.poison = writer.poison
        found = replace(found, replica_is_new=writer.checkpoint() is None)
        former = writer.checkpoint()
        watched = WatchedWriter(writer, DOCUMENTS, self._progress, former_log="" if former is None else former.log_id)
        self.process.supervise("replica", lambda: build_tailer(self.process, self._broker, watched).run())
        index = SimIndex(self._disk.vectors, self.process)
        topics = SimTopics(self._broker, self.process)
        publisher = _Topics(PacedPublisher(topics, self._documents, self._progress), topics)
        pipeline = build_pipeline(self.process, index, publisher, self._rng)
        await self._recover(found, journal, pipeline, index)
        lanes = Lanes(
            self._runner(journal, pipeline).run, self, bulk_topic=BULK, live_turns=2,
            slice_length=SliceLength(0.05, 3, products=1, smallest=1), live_length=SliceLength(0.05, 3, products=1, smallest=1),
            clock=self.process.world,
        )  # fmt: skip
        topic_names = TopicNames(changes=(CHANGES,), bulk=BULK, documents=DOCUMENTS)
        self.intake = ChangeIntake(_Producer(self._broker, self.process), topic_names, self._progress, self._searchable)
        await self._consume(lanes)

    async def _recover(self, found: Found, journal: SqliteChangeJournal, pipeline: Any, index: SimIndex) -> None:
        guards = self.process.world.guards
        source: Any = journal
        if found.watermarks_are_void and guards.void_watermarks and not guards.voided_durably:
            source = _WholeJournal(journal)
        await self._persist(
            lambda: replay(source, pipeline, lambda *_: None, Backoff(BackoffPolicy(), random.Random(0)))
        )
        await self._documents.reached(self._progress, Stage.READABLE)
        if found.stores_may_differ and guards.compare:
            self._reader.refresh()
            compared: Any = index if guards.raised else _NeverRaised(index)
            said = await self._persist(lambda: reconcile(compared, self._reader, pipeline))
            self.process.world.note(self.process.name, said)
            await self._documents.reached(self._progress, Stage.READABLE)

    async def _persist(self, work: Callable[[], Any]) -> Any:
        """A start that fails is tried again by whoever supervises it; here, without the process's end."""
        while True:
            try:
                return await work()
            except RetryableError:
                await asyncio.sleep(0.1)

    def _runner(self, journal: SqliteChangeJournal, pipeline: Any) -> BatchRunner:
        lock = PublishLock()
        lock.grant()
        guards, kept = self.process.world.guards, journal
        if not guards.journal:
            kept = _Forgetful(journal)  # type: ignore[assignment] # the guard is taken away
        if not guards.watermark_last:
            kept = _Hasty(journal)  # type: ignore[assignment] # the guard is taken away
        return BatchRunner(
            pipeline, self, lock, Observers(ConsumerHealth(), METRICS), Timing(self.process.world, self._rng),
            backoff=BACKOFF,
            journal=JournalledLog(WatchedJournal(kept, self._progress), LogId(self._broker.log_id)),
        )  # fmt: skip

    async def _consume(self, lanes: Lanes) -> None:
        while True:
            await self.process.point()
            records = self._poll((CHANGES, BULK))
            if records:
                await lanes.take(records)
            else:
                await self._broker.appended(0.3)

    async def _searchable(self) -> None:
        await self._documents.reached(self._progress, Stage.READABLE)
        self._reader.refresh()

    # The ports `PartitionControl` and `LaneControl`, of a group with one member.

    @property
    def revocations(self) -> int:
        return 0

    async def poll_live(self) -> Sequence[InboundRecord]:
        return self._poll((CHANGES,))

    async def more_live(self) -> Sequence[InboundRecord]:
        await self.process.point()
        return self._poll((CHANGES,))

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._positions |= offsets

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Offsets end with the broker: nobody reads them."""

    def _poll(self, topics: tuple[str, ...]) -> list[InboundRecord]:
        records: list[InboundRecord] = []
        for place, at in self._positions.items():
            if place[0] in topics:
                rows = self._broker.logs[place][at : at + self._rng.randint(1, 4)]
                self._positions[place] = at + len(rows)
                records += rows
        return records


class _MortalJournal(SqliteChangeJournal):
    """The production journal: a statement of a dead process does not run, one that runs is done."""

    process: Process

    @classmethod
    def of(cls, process: Process, disk: Disk) -> "_MortalJournal":
        made = cls.open(disk.journal)
        assert isinstance(made, cls)
        made.process = process
        return made

    async def _run(self, statement: Callable[[], T]) -> T:
        await self.process.point()
        result: Any = await super()._run(lambda: statement() if self.process.alive else None)
        await self.process.point()
        return result  # type: ignore[no-any-return] # of a dead process nobody takes it


class _Ends(LogEnds):
    """The production class, asking the model broker."""

    def __init__(self, broker: Broker, *topics: str) -> None:
        self._broker = broker
        self._topics = topics

    async def now(self) -> dict[TopicPartition, int]:
        return {place: end for place, end in self._broker.ends(*self._topics).items() if end}


class _Producer:
    """As much of a `LogWriter` as the intake uses."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def append_to(self, topic: str, partition: int, records: Sequence[OutboundRecord]) -> int:
        end = 0
        for key, value, _ in records:
            await self._process.point()
            place = self._broker.append(topic, key, value, partition)
            end = self._broker.logs[place][-1].offset + 1
        return end


class _Topics:
    """Documents are paced, dead letters are not."""

    def __init__(self, paced: PacedPublisher, topics: SimTopics) -> None:
        self.publish, self.send = paced.publish, topics.send


class _Forgetful:
    """The journal taken away: it says that it keeps, and keeps nothing."""

    def __init__(self, journal: SqliteChangeJournal) -> None:
        self._journal = journal

    async def append(self, log_id: LogId, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        """Nothing is written."""
        return records

    async def mark_applied(self, log_id: LogId, offsets: Mapping[TopicPartition, int]) -> None:
        await self._journal.mark_applied(log_id, offsets)


class _Hasty(_Forgetful):
    """The order taken away: a record counts as applied as soon as it is kept."""

    async def append(self, log_id: LogId, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        kept = await self._journal.append(log_id, records)
        await self._journal.mark_applied(log_id, next_offsets(records))
        return kept


class _WholeJournal:
    """As recovery was at first: all of it is read, but nothing is written down about what is not believed."""

    def __init__(self, journal: SqliteChangeJournal) -> None:
        self.size, self.mark_applied = journal.size, journal.mark_applied
        self._journal = journal

    def unapplied(self) -> AsyncIterator[LogSlice]:
        return self._journal.read()


class _NeverRaised:
    """The lift taken away: points that fell behind their documents stay there."""

    def __init__(self, index: SimIndex) -> None:
        self.scan = index.scan

    async def write(self, writes: object) -> None:
        """Nothing is written."""

"""A store that is replaced under the offsets, and change topics that are made again: the guard, and the operator's remedy.

Only some schedules have such a fault, by dice of their own; every other is the very same as it was before there were any.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from indexer.batch.publishing import StoredDocuments
from indexer.identity import Committed, Mark, OffsetGuard
from indexer.ports import Target
from indexer.reconcile.log_sources import LOWEST, DocumentRows
from indexer.reconcile.run import ReconcileOptions, Reconciliation
from indexer.records import TopicPartition
from schemas.documents import SearchDocument
from schemas.errors import LogUnavailableError, RetryableError
from schemas.events.canonical import encode_event
from schemas.product.building import DEFAULT_POLICY, build_document
from schemas.product.changes import ChangeEvent
from schemas.product.merge import ItemState
from tests.sim.cluster.indexer import SimTopics
from tests.sim.model.broker import BULK, CHANGES, DOCUMENTS, Broker
from tests.sim.model.groups import Group
from tests.sim.model.store import ModelStore, SimIndex
from tests.sim.model.world import Process, World


class IdentityFault(Enum):
    """What becomes another one under its name."""

    STORE = "the vector store is replaced"
    TOPICS = "the change topics are made again"

    @classmethod
    def of(cls, world: World) -> "IdentityFault | None":
        return world.identities.choice(list(cls)) if world.identities.random() < 0.1 else None


class SimGroupOffsets:
    """The guard's port `GroupOffsets` on the model group."""

    def __init__(self, group: Group) -> None:
        self._group = group

    async def committed(self) -> Mapping[TopicPartition, Committed]:
        marks = self._group.marks
        return {
            place: Committed(offset, Mark.parse(marks.get(place, "")))
            for place, offset in self._group.committed.items()
        }

    async def members(self) -> int:
        return self._group.present()

    async def begin_at(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        if self._group.present():
            raise LogUnavailableError
        self._group.committed |= {place: entry.offset for place, entry in offsets.items()}
        self._group.marks |= {place: entry.mark.to_metadata() for place, entry in offsets.items()}
        self._group.world.note("group", "offsets set", {f"{t}/{n}": e.offset for (t, n), e in offsets.items()})


def guard_of(process: Process, store: ModelStore, broker: Broker, group: Group) -> OffsetGuard:
    """The production guard of one process; what a removed guard would have asked for, it does not hear of."""
    guards, index = process.world.guards, SimIndex(store, process)

    async def ids(topics: Collection[str]) -> Mapping[str, str]:
        return {topic: broker.topic_ids[topic] for topic in topics} if guards.topic_compared else {}

    compared = guards.collection_compared
    return OffsetGuard(
        SimGroupOffsets(group),
        group.topics,
        ids,
        identify=index.identify if compared else None,
        identity=index.identity if compared else None,
    )


class RestoreProcess:
    """`ferroflux reconcile --source documents --repair`, by an operator who tries until it goes through; then a replay of the log."""

    def __init__(self, process: Process, store: ModelStore, broker: Broker, group: Group) -> None:
        self.process = process
        self._broker = broker
        self._index = SimIndex(store, process)
        self._stored = StoredDocuments(Target(self._index, SimTopics(broker, process), build_document), process.world)
        self._guard = guard_of(process, store, broker, group)
        self._rng = random.Random(process.world.identities.getrandbits(32))

    async def run(self) -> None:
        while True:
            try:
                await asyncio.sleep(1.0)
                truth = DocumentRows(self._documents, DEFAULT_POLICY)
                now_us = self.process.world.now_us() if await self._guard.replaced() else 0
                options = ReconcileOptions(settle_s=0.5, lift_below=now_us)
                run = Reconciliation(truth, self._index, None, options=options, clock=self.process.world)  # type: ignore[arg-type] # only what it calls
                await run.compare()
                await run.repair(self, self._stored)
                await self._guard.adopt()
            except RetryableError:
                continue
            self.process.world.note(self.process.name, "restored the store")
            return

    async def send(self, events: Sequence[ChangeEvent]) -> None:
        await self.process.point()
        for event in events:
            self._broker.append(CHANGES, event.key.kafka_key, encode_event(event))
            self.process.world.note(self.process.name, "sends", str(event.key), event.facet)

    async def _documents(self) -> AsyncIterator[Sequence[SearchDocument]]:
        await self.process.point()
        last = {row.key: row for row in self._broker.retained(DOCUMENTS)}
        yield [SearchDocument.model_validate_json(row.value) for row in last.values() if row.value is not None]


def make_again(world: World, broker: Broker, group: Group) -> None:
    """Delete the change topics and create them again. Kafka forgets the offsets with them; a late commit brings them back."""
    for topic in (CHANGES, BULK):
        broker.make_again(topic)
    group.reached.clear()
    world.note("the change topics are made again")


def without_restored(state: ItemState) -> ItemState:
    """A state without what a restored document left in it: the absence of fields, at the lowest version there is."""
    return ItemState(
        {
            key: replace(facet, carried={n: kept for n, kept in facet.carried.items() if kept.stamp.version != LOWEST})
            for key, facet in state.facets.items()
        }
    )

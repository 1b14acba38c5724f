"""The operator's jobs beside a running installation: collecting tombstones, and replaying the change log."""

import random
from collections.abc import AsyncIterator, Sequence
from typing import Final

from indexer.records import InboundRecord, next_offsets
from indexer.replay.replayer import Interrupted, Replayer
from indexer.replay.selection import Page, Position, Selection
from indexer.tombstone_gc import Tombstone, TombstoneGc, read_tombstone
from runtime.retry import BackoffPolicy
from schemas.errors import RetryableError
from schemas.identity import SkuKey
from tests.sim.cluster.indexer import BACKOFF, SimTopics, build_pipeline
from tests.sim.model.broker import BULK, CHANGES, DOCUMENTS, Broker
from tests.sim.model.store import ModelStore, SimIndex
from tests.sim.model.world import Process

OLDER_THAN_S: Final = 30.0
"""What gc is told; longer than any request, stop or lag of the simulation."""


class CollectionProcess:
    """`ferroflux gc --yes`: run again where a dependency stayed away, as its message says."""

    def __init__(self, process: Process, store: ModelStore, broker: Broker) -> None:
        world = process.world
        self.process = process
        self._broker = broker
        index, topics = SimIndex(store, process), SimTopics(broker, process)
        pipeline = build_pipeline(process, index, topics, random.Random(world.rng.getrandbits(32)))
        self._gc = TombstoneGc(index, _Tombstones(broker, process), topics, pipeline.republish)  # type: ignore[arg-type] # only what it calls

    def start(self) -> None:
        self.process.spawn(self._collect())

    async def _collect(self) -> None:
        world = self.process.world
        oldest = min((row.timestamp_ms * 1000 for row in self._broker.retained(CHANGES, BULK)), default=world.now_us())
        before_us = min(world.now_us() - int(OLDER_THAN_S * 1e6), oldest)
        if not world.guards.replay_window:
            before_us = world.now_us()
        for _ in range(3):
            try:
                found = await self._gc.run(before_us=before_us, apply=True)
            except RetryableError:
                continue
            world.note(self.process.name, found)
            return


class ReplayProcess:
    """`ferroflux replay --yes` over all that the change log keeps, begun again where it stopped if it was killed."""

    def __init__(self, process: Process, store: ModelStore, broker: Broker, kept: "KeptPosition") -> None:
        world = process.world
        self.process = process
        self._kept = kept
        index, topics = SimIndex(store, process), SimTopics(broker, process)
        rng = random.Random(world.rng.getrandbits(32))
        self._replayer = Replayer(
            _Changes(broker, process), build_pipeline(process, index, topics, rng), index, world.feeds.parser_now(),  # type: ignore[arg-type] # only what it calls
            clock=world, rng=rng, backoff=BackoffPolicy(base_s=BACKOFF.base_s, cap_s=BACKOFF.cap_s),
        )  # fmt: skip

    def start(self) -> None:
        self.process.spawn(self._replay())

    async def _replay(self) -> None:
        while True:
            try:
                counts = await self._replayer.run(Selection(), apply=True, checkpoint=self._kept)  # type: ignore[arg-type] # the file in memory
            except RetryableError:
                continue
            self._kept.done = True
            self.process.world.note(self.process.name, "replayed", counts.read, "records,", counts.applied, "applied")
            return


class KeptPosition:
    """A replay's checkpoint file, which outlives its process."""

    def __init__(self) -> None:
        self.done = False
        self._kept: Interrupted | None = None

    def load(self) -> Interrupted | None:
        return self._kept

    def save(self, selection: Selection, position: Position, at_us: int) -> None:
        self._kept = Interrupted(selection, position, at_us)

    def clear(self) -> None:
        self._kept = None


class _Tombstones:
    """The port `TombstoneSource`: the documents topic from its beginning to its present end."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def tombstones(self) -> AsyncIterator[Sequence[Tombstone]]:
        await self._process.point()
        found: dict[SkuKey, Tombstone] = {}
        for row in self._broker.retained(DOCUMENTS):
            tombstone = read_tombstone(row.key, row.value)
            if isinstance(tombstone, Tombstone):
                found[tombstone.key] = tombstone
            elif tombstone is not None:
                found.pop(tombstone, None)
        for tombstone in sorted(found.values(), key=lambda one: one.key):
            await self._process.point()
            yield [tombstone]


class _Changes:
    """The port `ReplaySource` on the model broker, in pages of a few records."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def pages(self, selection: Selection, position: Position | None) -> AsyncIterator[Page]:
        del selection
        await self._process.point()
        position = position or {
            "next": {place: self._broker.begins[place] for place in self._broker.ends(CHANGES, BULK)},
            "ends": self._broker.ends(CHANGES, BULK),
        }
        reached = dict(position["next"])
        for place, end in position["ends"].items():
            while reached[place] < end:
                await self._process.point()
                at = reached[place]
                rows: list[InboundRecord] = self._broker.logs[place][at : min(end, at + 3)]
                reached |= next_offsets(rows)
                yield Page(rows, {"next": dict(reached), "ends": position["ends"]}, 0.5)

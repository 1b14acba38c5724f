"""Seeding a generation from the products that there are, where the change log no longer reaches back to their beginning.

The documents topic says which products there are, and the points of the generation before hold what a document does not:
the merged state with its versions, against which later changes are merged. So each product's state is joined into the
new collection, as a merge of all its events would have been, and its document is published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from indexer.batch.apart import ENCODE, PLAN, READ, WRITE, Apart, Fault, Stages
from indexer.batch.plan import Merged, plan
from indexer.batch.planned import PlannedWork
from indexer.batch.publishing import FencedPublisher
from indexer.batch.report import BatchReport
from indexer.generations.takeover import StoredPoints, VectorDonor, with_vectors
from indexer.pipeline import PermanentLease
from indexer.ports import DocumentComposer, DocumentPublisher, PassageEncoder
from retrieval.vectors.port import PointPayload, VectorIndex
from runtime.clock import Clock
from schemas.errors import ContentionError
from schemas.identity import SkuKey
from schemas.merge import ItemState

log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 6

Listing = AsyncIterator[Mapping[SkuKey, bool]]
"""Pages of products: True where there is one, False where it was removed for good since."""


@dataclass(slots=True)
class Seeded:
    """Counts of a seeding so far: products joined, unchanged since an interrupted one, and listed ones without a point."""

    products: int = 0
    unchanged: int = 0
    embedded: int = 0
    apart: dict[SkuKey, Fault] = field(default_factory=dict)
    """Products that could not be taken over, and why; the rest goes on. They are not in the new generation."""
    without_state: set[SkuKey] = field(default_factory=set)
    """Their documents are there and their points are not: `ferroflux reconcile --source … --repair` mends that."""


class Seeder:
    """Joins states from a source collection into a new one. Doing it again changes nothing."""

    def __init__(
        self,
        *,
        source: StoredPoints,
        target: VectorIndex,
        publisher: DocumentPublisher,
        encoder: PassageEncoder,
        donor: VectorDonor | None,
        compose: DocumentComposer,
        clock: Clock,
        embed_chunk: int = 32,
    ) -> None:
        self._source = source
        self._target = target
        self._encoder = encoder
        self._donor = donor
        self._compose = compose
        self._clock = clock
        self._chunk = embed_chunk
        self._stages = Stages()
        self._documents = FencedPublisher(target, publisher, compose=compose, clock=clock)

    async def run(self, listing: Listing, on_progress: Callable[[Seeded], None] = lambda _: None) -> Seeded:
        """Seed every product of the listing.

        Raises:
            RetryableError: a store or the log did not answer; running it again is safe.
            DefectError: too many products could not be taken over.
        """
        seeded = Seeded()
        async for page in listing:
            removed = [key for key, there in page.items() if not there]
            seeded.without_state.difference_update(removed)
            keys = [key for key, there in page.items() if there]
            apart = Apart(self._stages, len(keys))
            for key in (*removed, *keys):
                # A later page may bring a product again, and then it is another try.
                seeded.apart.pop(key, None)
            states = dict(await apart.together(READ, keys, _itself, self._read))
            seeded.without_state |= set(keys) - states.keys() - apart.faults.keys()
            await self._join(states, seeded, apart)
            seeded.apart |= apart.faults
            on_progress(seeded)
        if seeded.apart:
            log.error(
                "products could not be taken over",
                products=len(seeded.apart),
                samples={str(key): fault.reason.detail for key, fault in sorted(seeded.apart.items())[:5]},
            )
        if seeded.without_state:
            log.warning(
                "products have a document but no point in the source collection",
                products=len(seeded.without_state),
                samples=sorted(map(str, seeded.without_state))[:5],
            )
        return seeded

    async def _read(self, keys: Sequence[SkuKey]) -> list[tuple[SkuKey, PointPayload]]:
        return list((await self._source.read(keys)).items())

    async def _join(self, states: Mapping[SkuKey, PointPayload], seeded: Seeded, apart: Apart) -> None:
        pending = dict(states)
        for _ in range(_ATTEMPTS):
            if not pending:
                return
            held = await self._target.read(list(pending))
            planned: list[PlannedWork] = []
            for key, payload in pending.items():
                with apart.one(PLAN, key):
                    work = self._planned(key, payload, held.get(key))
                    if work is None:
                        seeded.unchanged += 1
                    else:
                        planned.append(work)
            refused = await self._write(planned, seeded, apart)
            pending = {key: pending[key] for key in refused}
        if pending:
            raise ContentionError(f"{len(pending)} products were changed by others in all of {_ATTEMPTS} attempts")

    def _planned(self, key: SkuKey, source: PointPayload, target: PointPayload | None) -> PlannedWork | None:
        before = ItemState() if target is None else ItemState.from_bytes(target.state)
        state = before.join(ItemState.from_bytes(source.state))
        if target is not None and state.to_bytes() == target.state:
            return None
        merged = Merged(state, applied=1, duplicates=0, stale=0)
        decision = plan(
            key, target, merged, (), compose=self._compose, model=self._encoder.model, first_rev=self._clock.now_us()
        )
        return PlannedWork(key, decision, merged)

    async def _write(self, planned: Sequence[PlannedWork], seeded: Seeded, apart: Apart) -> set[SkuKey]:
        heavy = [work for work in planned if work.text is not None]
        ready = [work for work in planned if work.text is None]
        encoding = partial(with_vectors, encoder=self._encoder, donor=self._donor)
        for start in range(0, len(heavy), self._chunk):
            ready += await apart.together(ENCODE, heavy[start : start + self._chunk], _key, encoding)
        written_at = self._clock.monotonic()
        refused: set[SkuKey] = set()

        async def write(works: Sequence[PlannedWork]) -> Sequence[PlannedWork]:
            refused.update(await self._target.write([work.write for work in works if work.write is not None]))
            return works

        tried = await apart.together(WRITE, ready, _key, write)
        accepted = [work for work in tried if work.key not in refused]
        await self._documents.publish(
            [work.document for work in accepted if work.document is not None],
            written_at=written_at,
            lease=PermanentLease(),
            report=BatchReport(),
            apart=apart,
        )
        seeded.products += len(accepted)
        seeded.embedded += sum(work.text is not None for work in accepted)
        await asyncio.sleep(0)
        return refused


def _itself(key: SkuKey) -> SkuKey:
    return key


def _key(work: PlannedWork) -> SkuKey:
    return work.key

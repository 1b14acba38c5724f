"""The backfill of a generation from the products that there are, where the change log no longer reaches back to their beginning.

The documents topic says which products there are, and the points of the generation before hold what a document does not:
the merged state with its versions, against which later changes are merged. So each product's state is joined into the
new collection, as a merge of all its events would have been, and its document is published.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from indexer.batch.batch import READ, Batch, Fault
from indexer.batch.embedding import StoredPoints
from indexer.batch.plan import Merged, Plan, plan
from indexer.batch.settling import Planner, Settler
from retrieval.vectors.port import PointPayload
from schemas.identity import SkuKey
from schemas.product.merge import ItemState

log = structlog.get_logger(__name__)

Listing = AsyncIterator[Mapping[SkuKey, bool]]
"""Pages of products: True where there is one, False where it was removed for good since."""


@dataclass(slots=True)
class Backfilled:
    """Counts of a backfill so far: products joined, unchanged since an interrupted one, and listed ones without a point."""

    products: int = 0
    unchanged: int = 0
    embedded: int = 0
    apart: dict[SkuKey, Fault] = field(default_factory=dict)
    """Products that could not be taken over, and why; the rest goes on. They are not in the new generation."""
    without_state: set[SkuKey] = field(default_factory=set)
    """Their documents are there and their points are not: `ferroflux reconcile --source … --repair` mends that."""


class Backfill:
    """Joins states from a source collection into a new one. Doing it again changes nothing."""

    def __init__(self, settler: Settler, source: StoredPoints) -> None:
        self._settler = settler
        self._source = source

    async def run(self, listing: Listing, on_progress: Callable[[Backfilled], None] = lambda _: None) -> Backfilled:
        """Take over every product of the listing.

        Raises:
            RetryableError: a store or the log did not answer; running it again is safe.
            DefectError: too many products could not be taken over.
        """
        found = Backfilled()
        async for page in listing:
            removed = [key for key, there in page.items() if not there]
            found.without_state.difference_update(removed)
            keys = [key for key, there in page.items() if there]
            batch = Batch(self._settler.stages, len(keys))
            for key in (*removed, *keys):
                # A later page may bring a product again, and then it is another try.
                found.apart.pop(key, None)
            states = dict(await batch.together(READ, keys, _itself, self._read))
            found.without_state |= set(keys) - states.keys() - batch.faults.keys()
            await self._settler.settle(list(states), self._planner(states, found), batch)
            found.products += batch.report.applied
            found.embedded += batch.report.embedded
            found.apart |= batch.faults
            on_progress(found)
        if found.apart:
            log.error(
                "products could not be taken over",
                products=len(found.apart),
                samples={str(key): fault.reason.detail for key, fault in sorted(found.apart.items())[:5]},
            )
        if found.without_state:
            log.warning(
                "products have a document but no point in the source collection",
                products=len(found.without_state),
                samples=sorted(map(str, found.without_state))[:5],
            )
        return found

    async def _read(self, keys: Sequence[SkuKey]) -> list[tuple[SkuKey, PointPayload]]:
        return list((await self._source.read(keys)).items())

    def _planner(self, states: Mapping[SkuKey, PointPayload], found: Backfilled) -> Planner:
        settler = self._settler

        def planned(key: SkuKey, target: PointPayload | None) -> Plan | None:
            before = ItemState() if target is None else ItemState.from_bytes(target.state)
            state = before.join(ItemState.from_bytes(states[key].state))
            if target is not None and state.to_bytes() == target.state:
                found.unchanged += 1
                return None
            return plan(
                key,
                target,
                Merged(state, applied=1, duplicates=0, stale=0),
                (),
                compose=settler.target.compose,
                spaces=settler.embedding.encoder.spaces,
                first_rev=settler.timing.clock.now_us(),
            )

        return planned


def _itself(key: SkuKey) -> SkuKey:
    return key

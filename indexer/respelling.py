"""One product, one spelling: what a release before stored under another spelling of a SKU is joined to its product.

Events are keyed by the SKU in its one spelling (`schemas.identity`), so a point under another one would never be changed
again and stay on sale beside its double. The join of the two states is what a merge of all their events would have been.

The order of effects makes it safe to stop anywhere and do it again. First the product is written and published with what
both knew. Then the other point is marked dead under a guard of the revision that was joined, so that what an indexer of the
release before still writes there is joined by the next try instead of lost. Then the null record lets replicas forget its
document, and last the point goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from indexer.batch.batch import Fault, until_settled
from indexer.batch.embedding import CollectionReuse, Embedding
from indexer.batch.settling import PipelineLimits, Settler
from indexer.generations.backfill import Backfill
from indexer.ports import DocumentRemover, PassageEncoder, Target, Timing
from retrieval.vectors.port import AnyVector, PointPayload, PointWrite, VectorIndex
from schemas.identity import SkuKey
from schemas.product.merge import ItemState

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Respelled:
    """Keys in other spellings whose points were joined to their products and removed, and products that could not be."""

    joined: int = 0
    apart: dict[SkuKey, Fault] = field(default_factory=dict)


class Respeller:
    """Joins points in other spellings to their products, in one collection. Doing it again changes nothing."""

    def __init__(
        self,
        target: Target,
        remover: DocumentRemover,
        encoder: PassageEncoder,
        timing: Timing,
        *,
        limits: PipelineLimits | None = None,
    ) -> None:
        self._index = target.index
        self._remover = remover
        self._settler = Settler(target, Embedding(encoder), timing, limits)

    async def respell_all(self, *, page: int = 1000) -> Respelled:
        """Go through the whole collection once."""
        respelled = Respelled()
        async for points in self._index.scan(page=page):
            found = await self.respell(points.keys())
            respelled.joined += found.joined
            respelled.apart |= found.apart
        return respelled

    async def respell(self, keys: Iterable[SkuKey]) -> Respelled:
        """Join those of `keys` that are in another spelling and have a point.

        Raises:
            RetryableError: a store or the log did not answer, or others kept writing; doing it again is safe.
            DefectError: too many products could not be joined.
        """
        others = {key for key in keys if not key.is_canonical}
        respelled = Respelled()

        async def attempt(pending: Collection[SkuKey]) -> Collection[SkuKey]:
            return await self._join(pending, respelled)

        await until_settled(others, attempt, pause=self._settler.pause)
        return respelled

    async def _join(self, others: Collection[SkuKey], respelled: Respelled) -> set[SkuKey]:
        """Join and remove once; returns those whose points were changed meanwhile."""
        points = await self._index.read(list(others))
        if not points:
            return set()
        spellings = _Spellings(self._index, points)
        settler = self._settler.reusing(CollectionReuse(spellings, self._settler.embedding.encoder.spaces))
        moved = await Backfill(settler, spellings).run(_once(spellings.products))
        products = [key for key in spellings.products if key not in moved.apart]
        # A try before this one may have written a product and not published it.
        await self._settler.republish(products)
        respelled.apart |= moved.apart
        joined = {key: point for key, point in points.items() if key.canonical not in moved.apart}
        return await self._remove(joined, respelled)

    async def _remove(self, joined: Mapping[SkuKey, PointPayload], respelled: Respelled) -> set[SkuKey]:
        writes = [
            PointWrite(key, point.rev, replace(point, rev=point.rev + 1, alive=False)) for key, point in joined.items()
        ]
        refused = await self._index.write(writes)
        dead = {write.key: write.payload.rev for write in writes if write.key not in refused}
        await self._remover.remove(list(dead))
        back = await self._index.collect(dead)
        respelled.joined += len(dead) - len(back)
        if dead:
            log.info(
                "products stored in another spelling of their SKU were joined to their own",
                products=len(dead) - len(back),
                first=str(min(dead)),
            )
        return {*refused, *back}


class _Spellings:
    """The points in other spellings as one collection by their products' own keys: what the backfill and the reuse of vectors read."""

    def __init__(self, index: VectorIndex, points: Mapping[SkuKey, PointPayload]) -> None:
        self._index = index
        self._points = points
        self.products: dict[SkuKey, list[SkuKey]] = {}
        for key in sorted(points):
            self.products.setdefault(key.canonical, []).append(key)

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        return {key: self._joined(key) for key in keys if key in self.products}

    async def vectors(self, keys: Collection[SkuKey], *, using: str) -> dict[SkuKey, AnyVector]:
        offering = {self._offering(key): key for key in keys if key in self.products}
        held = await self._index.vectors(list(offering), using=using)
        return {offering[key]: vector for key, vector in held.items()}

    def _joined(self, product: SkuKey) -> PointPayload:
        state = ItemState()
        for key in self.products[product]:
            state = state.join(ItemState.from_bytes(self._points[key].state))
        return replace(self._points[self._offering(product)], state=state.to_bytes())

    def _offering(self, product: SkuKey) -> SkuKey:
        """The one spelling whose vector is offered: a living product's, where there is one."""
        return max(self.products[product], key=lambda key: (self._points[key].alive, self._points[key].rev))


async def _once(products: Iterable[SkuKey]) -> AsyncIterator[Mapping[SkuKey, bool]]:
    yield dict.fromkeys(products, True)
